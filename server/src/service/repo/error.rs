//! What can go wrong with a repository, in words fit for the person who asked.

use std::time::Duration;

/// Why a repository could not be opened or read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RepoError {
    #[error("The path {0:?} is not absolute. Give the whole path, from the root.")]
    NotAbsolute(String),
    #[error("The folder {0:?} does not exist, or may not be read by the server.")]
    NotFound(String),
    #[error("The folder {0:?} is outside the folders that this server may use. Its administrator can add it.")]
    NotAllowed(String),
    #[error("The folder {0:?} is not the top of a git work tree. Give the folder that holds `.git`.")]
    NotARepository(String),
    #[error("The repository {0:?} was moved or replaced while it was in use. Open it again.")]
    Moved(String),
    #[error("The folder {0:?} is outside the repository.")]
    OutsideRepository(String),
    #[error("The revision {0:?} is not a commit of this repository.")]
    BaseUnknown(String),
    #[error("The repository has no commit yet. Make a first one.")]
    NoCommit,
    #[error("The name {0:?} can not be the name of a branch.")]
    BranchInvalid(String),
    #[error("The branch {0:?} exists already.")]
    BranchExists(String),
    #[error("The repository's index is not a plain file, or is larger than can be read.")]
    IndexRefused,
    #[error(
        "The change is too large to show: {files} files, {lines} lines, {bytes} bytes; at most {} files, {} lines and {} \
         bytes can be shown.",
        super::MAX_DIFF_FILES,
        super::MAX_DIFF_LINES,
        super::MAX_DIFF_BYTES
    )]
    DiffTooLarge { files: usize, lines: usize, bytes: u64 },
    #[error("Git could not {what}: {said}")]
    Git { what: &'static str, said: String },
    #[error("Git did not {what} within {} s, and was stopped.", .after.as_secs())]
    TimedOut { what: &'static str, after: Duration },
    #[error("Git said more than {limit} bytes when asked to {what}.")]
    TooMuch { what: &'static str, limit: usize },
    #[error("The git program could not be started: {0}. Is it installed, and in the server's PATH?")]
    NoGit(String),
    #[error("{what} failed: {why}")]
    Io { what: &'static str, why: String },
}

/// Why a change was not put in or taken out. Whichever it is, the repository is as it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    /// `hunk` is where it failed, counted from 0; `None` if the file as a whole is in the way.
    #[error("The change of {file:?}{} does not apply: {why}", hunk.map(|hunk| format!(" (part {})", hunk + 1)).unwrap_or_default())]
    Conflict { file: String, hunk: Option<usize>, why: String },
    #[error(
        "The branch {branch:?} is checked out in another work tree, {at}. Apply it there, or check out something else."
    )]
    CheckedOut { branch: String, at: String },
    /// `hunk` is `None` if it is the file that is unknown.
    #[error("The change has no {}.", match hunk { Some(hunk) => format!("part {} in {file:?}", hunk + 1), None => format!("file {file:?}") })]
    SelectionUnknown { file: String, hunk: Option<usize> },
    #[error("There is nothing to apply.")]
    NothingToApply,
    #[error("The repository is on {}, not on the branch {expected:?}.", match found { Some(found) => format!("the branch {found:?}"), None => "no branch".to_owned() })]
    OtherBranch { expected: String, found: Option<String> },
    #[error("The repository is busy: {0}")]
    Busy(String),
    #[error("A hook of the repository refused the commit: {said}")]
    Hook { said: String },
    /// What was refused is not of one shape with what git can take: a message, an author, a trailer.
    #[error("The {0} is empty, or holds what git can not take.")]
    Unfit(&'static str),
    #[error(transparent)]
    Repo(#[from] RepoError),
}
