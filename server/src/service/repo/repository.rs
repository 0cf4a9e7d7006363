//! A repository that is open, and folders in it.

use std::ffi::OsStr;
use std::fmt;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::FileType;
use rustix::io::Errno;

use super::beneath::{self, Links};
use super::error::RepoError;
use super::git::Git;

/// A git repository that may be used, held by a handle to the top of its work tree. Cheap to clone.
#[derive(Clone)]
pub struct Repository(Arc<Parts>);

struct Parts {
    top: OwnedFd,
    path: PathBuf,
    /// Where git keeps what is this work tree's own, and what all work trees share. Found once, when it is opened: what
    /// lies among the files does not say where git looks.
    git_dir: PathBuf,
    common: PathBuf,
}

impl fmt::Debug for Repository {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Repository").field(&self.0.path).finish()
    }
}

/// A folder in a repository, held by a handle: a command that starts in it starts there, whatever is renamed meanwhile.
#[derive(Debug)]
pub struct Directory {
    handle: OwnedFd,
    path: PathBuf,
}

impl Directory {
    /// Where it is, for show.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What a child is to be given as its working directory while this is held: the handle itself, where the system has
    /// a name for it.
    #[must_use]
    pub fn entry(&self) -> PathBuf {
        entry(&self.handle, &self.path)
    }
}

impl AsFd for Directory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.handle.as_fd()
    }
}

#[cfg(target_os = "linux")]
fn entry(handle: &OwnedFd, _path: &Path) -> PathBuf {
    beneath::entry(handle)
}

#[cfg(not(target_os = "linux"))]
fn entry(_handle: &OwnedFd, path: &Path) -> PathBuf {
    path.to_owned()
}

impl Repository {
    /// The repository at a folder that was opened and may be used.
    pub(super) fn at(top: OwnedFd, path: &Path, allowed: impl Fn(&Path) -> bool) -> Result<Self, RepoError> {
        let shown = || path.to_string_lossy().into_owned();
        let none = || RepoError::NotARepository(shown());
        let (git_dir, common) = match beneath::kind(&top, OsStr::new(".git")) {
            Ok(FileType::Directory) => (path.join(".git"), path.join(".git")),
            Ok(FileType::RegularFile) => {
                let text = beneath::short_text(&top, ".git").map_err(|_| none())?;
                let target = text.strip_prefix("gitdir:").ok_or_else(none)?.trim();
                let git_dir = path.join(target).canonicalize().map_err(|_| none())?;
                let common = common_of(&git_dir).ok_or_else(none)?;
                // A file among the files that names a folder elsewhere must not make that one usable.
                if !allowed(&git_dir) || !allowed(&common) {
                    return Err(RepoError::NotAllowed(shown()));
                }
                (git_dir, common)
            }
            _ => return Err(none()),
        };
        Self::with(top, path.to_owned(), git_dir, common).ok_or_else(none)
    }

    /// The same with git's folders known.
    pub(super) fn with(top: OwnedFd, path: PathBuf, git_dir: PathBuf, common: PathBuf) -> Option<Self> {
        let real = git_dir.join("HEAD").symlink_metadata().is_ok() && common.join("objects").is_dir();
        real.then(|| Self(Arc::new(Parts { top, path, git_dir, common })))
    }

    /// The top of its work tree: absolute, without links.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    pub(super) fn top(&self) -> &OwnedFd {
        &self.0.top
    }

    pub(super) fn git_dir(&self) -> &Path {
        &self.0.git_dir
    }

    pub(super) fn common(&self) -> &Path {
        &self.0.common
    }

    /// Its top as the working directory of a child.
    pub(super) fn entry(&self) -> PathBuf {
        entry(&self.0.top, &self.0.path)
    }

    /// That it is still where it was opened.
    pub(super) fn check(&self) -> Result<(), RepoError> {
        let here = beneath::is_at(self.top(), self.path())
            && beneath::whereabouts(self.top(), self.path()).is_ok_and(|now| now == self.path());
        if here { Ok(()) } else { Err(RepoError::Moved(self.path().to_string_lossy().into_owned())) }
    }

    /// A folder of it, given from its top or as a whole path. The empty path is the top. Links that stay within are
    /// followed.
    pub fn directory(&self, cwd: &str) -> Result<Directory, RepoError> {
        self.check()?;
        let outside = || RepoError::OutsideRepository(cwd.to_owned());
        let given = Path::new(cwd);
        let relative =
            if given.is_absolute() { given.strip_prefix(self.path()).map_err(|_| outside())? } else { given };
        let handle = beneath::folder(self.top(), relative, Links::Within).map_err(|error| match error {
            Errno::XDEV | Errno::LOOP => outside(),
            Errno::AGAIN => RepoError::Moved(cwd.to_owned()),
            _ => RepoError::NotFound(cwd.to_owned()),
        })?;
        let path = beneath::whereabouts(&handle, &self.path().join(relative)).map_err(|_| outside())?;
        if !path.starts_with(self.path()) {
            return Err(outside());
        }
        Ok(Directory { handle, path })
    }

    /// The commit and the branch that are checked out.
    pub async fn head(&self) -> Result<(String, Option<String>), RepoError> {
        let said = Git::new(self, "read what is checked out")
            .args(["rev-parse", "HEAD^{commit}", "--symbolic-full-name", "HEAD"])
            .output()
            .await?;
        if !said.ok {
            return Err(RepoError::NoCommit);
        }
        let text = String::from_utf8_lossy(&said.stdout);
        let mut lines = text.lines();
        let commit = lines.next().filter(|line| !line.is_empty()).ok_or(RepoError::NoCommit)?.to_owned();
        let branch = lines.next().and_then(|name| name.strip_prefix("refs/heads/")).map(str::to_owned);
        Ok((commit, branch))
    }

    /// The commit that `name` stands for.
    pub(super) async fn commit(&self, name: &str) -> Result<String, RepoError> {
        let unknown = || RepoError::BaseUnknown(name.to_owned());
        if name.is_empty() || name.starts_with('-') || name.contains(['\0', '\n']) {
            return Err(unknown());
        }
        let said = Git::new(self, "find the revision")
            .args(["rev-parse", "--verify", "--quiet", "--end-of-options"])
            .arg(format!("{name}^{{commit}}"))
            .output()
            .await?;
        let text = String::from_utf8_lossy(&said.stdout).trim().to_owned();
        if said.ok && is_object(&text) { Ok(text) } else { Err(unknown()) }
    }

    /// Copies the index to `to`. None if there is none yet.
    pub(super) fn copy_index(&self, to: &Path) -> Result<bool, RepoError> {
        let folder = File::open(self.git_dir()).map_err(|error| io("Reading the index", &error))?;
        match beneath::kind(&folder, OsStr::new("index")) {
            Err(Errno::NOENT) => return Ok(false),
            Ok(FileType::RegularFile) => {}
            _ => return Err(RepoError::IndexRefused),
        }
        let mut from = beneath::plain_file(&folder, OsStr::new("index")).map_err(|_| RepoError::IndexRefused)?;
        let about = from.metadata().map_err(|error| io("Reading the index", &error))?;
        if about.len() > MAX_INDEX_BYTES {
            return Err(RepoError::IndexRefused);
        }
        let mut copy = File::create(to).map_err(|error| io("Copying the index", &error))?;
        // By the time of the index git knows which files may have changed since unseen; a copy that is younger hides them.
        std::io::copy(&mut from, &mut copy)
            .and_then(|_| copy.set_modified(about.modified()?))
            .map_err(|error| io("Copying the index", &error))?;
        Ok(true)
    }
}

/// How large an index may be: that of some millions of files.
const MAX_INDEX_BYTES: u64 = 512 * 1024 * 1024;

pub(super) fn io(what: &'static str, error: &std::io::Error) -> RepoError {
    RepoError::Io { what, why: error.to_string() }
}

/// Whether it is the full name of an object.
pub(super) fn is_object(name: &str) -> bool {
    matches!(name.len(), 40 | 64) && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// What the work trees share with the one whose own folder this is.
pub(super) fn common_of(git_dir: &Path) -> Option<PathBuf> {
    let folder = File::open(git_dir).ok()?;
    match beneath::short_text(&folder, "commondir") {
        Ok(text) => git_dir.join(text.trim_end_matches('\n')).canonicalize().ok(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Some(git_dir.to_owned()),
        Err(_) => None,
    }
}
