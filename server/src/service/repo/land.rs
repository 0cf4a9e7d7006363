//! Putting a patch onto what is checked out, and committing it: all of it or nothing.
//!
//! The commit is made of its own index, which is `HEAD` with the patch and nothing else; hooks see that one. The person's
//! index gets the patch too, and keeps whatever else was staged in it. In order:
//!
//! 1. git's lock of the index is taken, so that no other git moves anything;
//! 2. the patch is tried on `HEAD`, on the index and on the files; a file that the person has changed is a conflict;
//! 3. the files are kept, and it is written down that it begins (see `journal`);
//! 4. the files are written, so that hooks find what they check;
//! 5. `git commit` runs, with the hooks. If it does not commit, the files are put back;
//! 6. the new index takes the place of the old one, and the lock ends with that.
//!
//! Cut short before 5, the next change puts the files back; cut short after, it finishes 6. Up to that, the lock stays,
//! and no other git takes the half for the whole.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use super::compose::{Change, Piece};
use super::error::{ApplyError, RepoError};
use super::git::{Git, Said, one_line};
use super::journal::{Begun, Journal};
use super::repository::io;
use super::{Receipt, Repository, locks};

/// How long a commit may take with its hooks.
const COMMIT_PATIENCE: Duration = Duration::from_secs(120);
/// How many bytes of names git is given at once.
const MAX_NAMES: usize = 64 * 1024;
/// How many files are tried by themselves when git does not say which it is.
const MAX_TRIED: usize = 64;
/// Who commits where git does not know who it is.
const NAME: &str = "Flightdeck";
const EMAIL: &str = "flightdeck@localhost";

/// What is to land, and how.
#[derive(Debug)]
pub(super) struct Landing {
    pub(super) change: Change,
    pub(super) message: String,
    pub(super) author: Option<(String, String)>,
    pub(super) branch: Option<String>,
}

/// Lands it. Goes on to its end even if nobody waits for that any more.
pub(super) async fn land(repository: &Repository, landing: Landing) -> Result<Receipt, ApplyError> {
    let repository = repository.clone();
    let done = tokio::spawn(async move { Land { repository: &repository }.run(&landing).await });
    done.await.unwrap_or_else(|error| Err(RepoError::Io { what: "Applying", why: error.to_string() }.into()))
}

impl Repository {
    /// Undoes or finishes a change that was cut short. Where none was, nothing is done.
    ///
    /// # Errors
    /// If the repository is busy, or git can't do it.
    pub async fn settle(&self) -> Result<(), ApplyError> {
        let repository = self.clone();
        let done = tokio::spawn(async move {
            let _turn = locks::turn(repository.git_dir()).await;
            repository.check()?;
            let journal = Journal::take(&repository)?;
            Land { repository: &repository }.recover(&journal).await
        });
        done.await.unwrap_or_else(|error| Err(RepoError::Io { what: "Settling", why: error.to_string() }.into()))
    }
}

struct Land<'a> {
    repository: &'a Repository,
}

impl Land<'_> {
    async fn run(&self, landing: &Landing) -> Result<Receipt, ApplyError> {
        let _turn = locks::turn(self.repository.git_dir()).await;
        self.repository.check()?;
        let journal = Journal::take(self.repository)?;
        self.recover(&journal).await?;
        self.at_rest()?;
        let (head, branch) = self.repository.head().await?;
        if let Some(expected) = landing.branch.as_ref().filter(|expected| branch.as_ref() != Some(expected)) {
            return Err(ApplyError::OtherBranch { expected: expected.clone(), found: branch });
        }
        Journal::lock_index(self.repository)?;
        let done = self.under_lock(landing, &journal, &head).await;
        Journal::unlock_index(self.repository);
        journal.end();
        let commit = done?;
        let digest = hex::encode(Sha256::digest(&landing.change.patch));
        Ok(Receipt { commit, branch, base: head, digest })
    }

    /// That no merge or rebase is unfinished: the commit would end it.
    fn at_rest(&self) -> Result<(), ApplyError> {
        const UNFINISHED: [(&str, &str); 6] = [
            ("MERGE_HEAD", "merge"),
            ("CHERRY_PICK_HEAD", "cherry-pick"),
            ("REVERT_HEAD", "revert"),
            ("rebase-merge", "rebase"),
            ("rebase-apply", "rebase"),
            ("BISECT_LOG", "bisection"),
        ];
        for (name, what) in UNFINISHED {
            if self.repository.git_dir().join(name).symlink_metadata().is_ok() {
                return Err(ApplyError::Busy(format!("a {what} is unfinished. Finish or abort it.")));
            }
        }
        Ok(())
    }

    async fn under_lock(&self, landing: &Landing, journal: &Journal, head: &str) -> Result<String, ApplyError> {
        let change = &landing.change;
        let written = fs::write(journal.file("patch"), &change.patch)
            .and_then(|()| fs::write(journal.file("message"), &landing.message));
        written.map_err(|error| io("Writing the patch", &error))?;
        self.repository.copy_index(&journal.file("tip"))?;
        self.repository.copy_index(&journal.file("index"))?;

        self.git("read the commit").args(["read-tree", "--reset", head]).index(journal.file("tip")).run().await?;
        self.put(change, journal, "tip", "--cached", false).await?;
        let tree = line(&self.git("write the tree").arg("write-tree").index(journal.file("tip")).run().await?);
        if tree == self.tree_of(head).await? {
            return Err(ApplyError::NothingToApply);
        }
        self.refresh(journal).await?;
        self.untouched(change, journal, head).await?;
        self.put(change, journal, "index", "--index", true).await?;

        let begun = journal.begin(self.repository, head, &tree, &change.paths())?;
        let done = async {
            // To be linked changes what git knows a file by.
            self.refresh(journal).await?;
            self.put(change, journal, "index", "--index", false).await?;
            self.commit(landing, journal, head).await
        };
        let done = done.await;
        match done {
            Ok(commit) => {
                self.finish(journal, &begun, &commit).await?;
                Ok(commit)
            }
            Err(error) => {
                journal.put_back(self.repository, &begun, |_| true);
                Err(error)
            }
        }
    }

    fn git(&self, what: &'static str) -> Git<'_> {
        Git::new(self.repository, what)
    }

    /// Has git look at the files whose times are not those of the index: `apply` takes them for changed.
    async fn refresh(&self, journal: &Journal) -> Result<(), RepoError> {
        let git = self.git("look at the files").args(["update-index", "-q", "--ignore-submodules", "--refresh"]);
        // That it fails says only that some are changed indeed.
        git.index(journal.file("index")).output().await.map(drop)
    }

    async fn tree_of(&self, commit: &str) -> Result<String, RepoError> {
        Ok(line(&self.git("read the commit").args(["rev-parse", &format!("{commit}^{{tree}}")]).run().await?))
    }

    /// Puts the patch into an index of the journal, and, with `--index`, into the files.
    async fn put(
        &self,
        change: &Change,
        journal: &Journal,
        index: &str,
        where_to: &str,
        only_check: bool,
    ) -> Result<(), ApplyError> {
        let git = self.git("apply the change").args(["apply", where_to]).index(journal.file(index));
        let git = if only_check { git.arg("--check") } else { git };
        let git = git.arg("--").arg(journal.file("patch"));
        let said = match journal.lock.try_clone() {
            Ok(lock) => git.holding(lock).output().await?,
            Err(error) => return Err(io("Holding the lock", &error).into()),
        };
        if said.ok {
            return Ok(());
        }
        Err(self.conflict(change, journal, (index, where_to), &said).await)
    }

    /// Which hunk does not apply. Git names the file, and the line at which the hunk was to be.
    async fn conflict(&self, change: &Change, journal: &Journal, put: (&str, &str), said: &Said) -> ApplyError {
        for piece in &change.pieces {
            if let Some((hunk, why)) = named(piece, &said.stderr) {
                return ApplyError::Conflict { file: piece.file.clone(), hunk, why };
            }
        }
        for piece in change.pieces.iter().take(MAX_TRIED) {
            let git = self.git("try the change").args(["apply", put.1, "--check", "-"]).index(journal.file(put.0));
            let tried = git.input(change.patch[piece.patch.clone()].to_vec()).output().await;
            if let Ok(tried) = tried
                && !tried.ok
            {
                let hunk = piece.hunks.first().map(|(_, hunk)| *hunk);
                return ApplyError::Conflict { file: piece.file.clone(), hunk, why: one_line(&tried.stderr) };
            }
        }
        match change.pieces.first() {
            Some(piece) if said.code == Some(1) => {
                ApplyError::Conflict { file: piece.file.clone(), hunk: None, why: one_line(&said.stderr) }
            }
            _ => said.error("apply the change").into(),
        }
    }

    /// That the person has changed none of the files, staged or not.
    async fn untouched(&self, change: &Change, journal: &Journal, head: &str) -> Result<(), ApplyError> {
        let git = self
            .git("look for uncommitted changes")
            .args(["diff", "--name-only", "-z", "--no-renames", "--no-ext-diff", "--no-textconv"])
            .args(["--ignore-submodules=dirty", head, "--"])
            .index(journal.file("index"));
        let paths = change.paths();
        let few = paths.iter().map(|path| path.len() + 1).sum::<usize>() < MAX_NAMES;
        let git = if few { git.args(paths.iter().map(|path| OsStr::from_bytes(path))) } else { git };
        let changed = git.run().await?;
        let changed: BTreeSet<&[u8]> = changed.split(|byte| *byte == 0).collect();
        let touched =
            change.pieces.iter().find(|piece| piece.paths.iter().any(|path| changed.contains(path.as_slice())));
        match touched {
            None => Ok(()),
            Some(piece) => Err(ApplyError::Conflict {
                file: piece.file.clone(),
                hunk: None,
                why: "the file has changes in the repository that are not committed".to_owned(),
            }),
        }
    }

    async fn commit(&self, landing: &Landing, journal: &Journal, head: &str) -> Result<String, ApplyError> {
        let lock = journal.lock.try_clone().map_err(|error| io("Holding the lock", &error))?;
        let mut git = self
            .git("commit the change")
            .args(["commit", "--quiet", "--cleanup=whitespace", "--no-status", "-F"])
            .arg(journal.file("message"))
            .index(journal.file("tip"))
            .with_hooks(COMMIT_PATIENCE)
            .holding(lock);
        let known = self.git("read who commits").args(["-c", "user.useConfigOnly=true", "var", "GIT_COMMITTER_IDENT"]);
        let known = known.output().await?.ok;
        if !known {
            git = git.env("GIT_COMMITTER_NAME", NAME).env("GIT_COMMITTER_EMAIL", EMAIL);
        }
        if let Some((name, email)) = &landing.author {
            git = git.env("GIT_AUTHOR_NAME", name).env("GIT_AUTHOR_EMAIL", email);
        } else if !known {
            git = git.env("GIT_AUTHOR_NAME", NAME).env("GIT_AUTHOR_EMAIL", EMAIL);
        }
        let said = git.output().await;
        // What a hook does after the commit may fail or take too long, and the commit is there all the same.
        let (now, _) = self.repository.head().await?;
        if now != head && self.parent_of(&now).await.as_deref() == Some(head) {
            return Ok(now);
        }
        match said? {
            said if said.code == Some(1) => Err(ApplyError::Hook { said: one_line(&said.stderr) }),
            said => Err(said.error("commit the change").into()),
        }
    }

    async fn parent_of(&self, commit: &str) -> Option<String> {
        let said = self.git("read the commit").args(["rev-parse", "--verify", "--quiet", &format!("{commit}^1")]);
        Some(line(&said.run().await.ok()?))
    }

    /// Has the person's index follow the commit. A hook may have committed something else than was put in.
    async fn finish(&self, journal: &Journal, begun: &Begun, commit: &str) -> Result<(), RepoError> {
        if self.tree_of(commit).await? != begun.tree {
            let git = self.git("compare what a hook changed").args(["diff-tree", "-r", "-z", "--no-renames"]);
            let raw = git.args([&begun.tree, commit]).run().await?;
            let input = index_info(&raw);
            let git = self.git("write the index").args(["update-index", "-z", "--index-info"]);
            git.index(journal.file("index")).input(input).run().await?;
            self.refresh(journal).await?;
        }
        journal.install(self.repository)
    }

    /// Undoes or finishes what was cut short.
    async fn recover(&self, journal: &Journal) -> Result<(), ApplyError> {
        if let Some(begun) = journal.begun() {
            let (head, _) = self.repository.head().await?;
            if head == begun.head {
                self.undo(journal, &begun).await?;
            } else if self.parent_of(&head).await.as_ref() == Some(&begun.head) && journal.file("index").exists() {
                self.finish(journal, &begun, &head).await?;
            }
        }
        Journal::unlock_index(self.repository);
        journal.end();
        Ok(())
    }

    /// Puts back what was written, but not what the person has written since.
    async fn undo(&self, journal: &Journal, begun: &Begun) -> Result<(), RepoError> {
        let git = self.git("look for what was written").args(["diff", "--name-only", "-z", "--no-renames"]);
        let git = git.args(["--no-ext-diff", "--no-textconv", "--ignore-submodules=dirty"]);
        let changed = git.index(journal.file("tip")).run().await?;
        let changed: BTreeSet<&[u8]> = changed.split(|byte| *byte == 0).collect();
        let listed = self.git("look for what was written").args(["ls-files", "-z"]).index(journal.file("tip"));
        let listed = listed.run().await?;
        let listed: BTreeSet<&[u8]> = listed.split(|byte| *byte == 0).collect();
        journal.put_back(self.repository, begun, |kept| {
            let path = kept.path.as_slice();
            let there = self.repository.path().join(Path::new(OsStr::from_bytes(path))).symlink_metadata().is_ok();
            !there || (listed.contains(path) && !changed.contains(path))
        });
        Ok(())
    }
}

/// What git says of this file: which hunk, and why.
fn named(piece: &Piece, said: &str) -> Option<(Option<usize>, String)> {
    let names: Vec<String> = piece.paths.iter().map(|path| String::from_utf8_lossy(path).into_owned()).collect();
    for name in &names {
        let Some((_, rest)) = said.split_once(&format!("error: patch failed: {name}:")) else { continue };
        let line: u64 = rest.split(|letter: char| !letter.is_ascii_digit()).next()?.parse().ok()?;
        let hunk = piece.hunks.iter().find(|(old, _)| *old == line).or(piece.hunks.first());
        return Some((
            hunk.map(|(_, hunk)| *hunk),
            "the lines that it changes are not there, or are others".to_owned(),
        ));
    }
    for name in &names {
        let Some((_, rest)) = said.split_once(&format!("error: {name}: ")) else { continue };
        return Some((None, one_line(rest.lines().next().unwrap_or_default())));
    }
    None
}

fn line(said: &[u8]) -> String {
    String::from_utf8_lossy(said).trim().to_owned()
}

/// What `diff-tree -z` wrote, as `update-index --index-info` takes it.
fn index_info(raw: &[u8]) -> Vec<u8> {
    let mut fields = raw.split(|byte| *byte == 0);
    let mut input = Vec::new();
    while let (Some(head), Some(path)) = (fields.next(), fields.next()) {
        let head = String::from_utf8_lossy(head);
        let mut words = head.split(' ').skip(1);
        if let (Some(mode), Some(object)) = (words.next(), words.nth(1)) {
            input.extend_from_slice(format!("{mode} {object}\t").as_bytes());
            input.extend_from_slice(path);
            input.push(0);
        }
    }
    input
}
