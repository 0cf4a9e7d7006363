//! A repository that is open, and folders in it.

use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Diff;
use super::error::RepoError;

/// A git repository that may be used, held by a handle to the top of its work tree. Cheap to clone.
#[derive(Clone)]
pub struct Repository(Arc<Parts>);

struct Parts {
    top: OwnedFd,
    path: PathBuf,
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
        self.path.clone()
    }
}

impl AsFd for Directory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.handle.as_fd()
    }
}

impl Repository {
    /// The top of its work tree: absolute, without links.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// A folder of it, given from its top or as a whole path. The empty path is the top.
    pub fn directory(&self, cwd: &str) -> Result<Directory, RepoError> {
        let _ = &self.0.top;
        Err(RepoError::OutsideRepository(cwd.to_owned()))
    }

    /// The commit and the branch that are checked out.
    pub async fn head(&self) -> Result<(String, Option<String>), RepoError> {
        Err(RepoError::NoCommit)
    }

    /// What has changed in the work tree against `base`, with files that git does not know yet, but not with those it is
    /// told to ignore. Leaves nothing behind.
    pub async fn diff(&self, base: &str) -> Result<Diff, RepoError> {
        Err(RepoError::BaseUnknown(base.to_owned()))
    }
}
