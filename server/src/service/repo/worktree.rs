//! Work trees of a repository in which tasks are done, each on a branch of its own.

use std::path::{Path, PathBuf};

use super::error::RepoError;
use super::{Diff, Repository};

/// A work tree that was made for a task. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Worktree {
    repository: Repository,
    path: PathBuf,
    branch: String,
    base: String,
}

impl Worktree {
    /// The work tree as a repository of its own.
    #[must_use]
    pub fn repository(&self) -> &Repository {
        &self.repository
    }

    /// Its folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The branch that was made for it.
    #[must_use]
    pub fn branch(&self) -> &str {
        &self.branch
    }

    /// The commit it started from.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.base
    }

    /// All that was done in it since its base: committed, staged, or only written.
    pub async fn diff(&self) -> Result<Diff, RepoError> {
        self.repository.diff(&self.base).await
    }
}

impl Repository {
    /// Makes a work tree at `folder`, which must not exist, on a new `branch` from `base`. `id` says what it is for, and
    /// is seen in `git worktree list`.
    pub async fn add_worktree(&self, id: &str, folder: &Path, branch: &str, base: &str) -> Result<Worktree, RepoError> {
        let _ = (id, folder, branch, base);
        Err(RepoError::NoCommit)
    }

    /// A work tree that was made before, by an earlier run of the server perhaps.
    pub async fn open_worktree(&self, folder: &Path, branch: &str, base: &str) -> Result<Worktree, RepoError> {
        let _ = (folder, branch, base);
        Err(RepoError::NoCommit)
    }

    /// Removes the work tree at `folder` with all that is in it, and git's note of it. One that is gone already, or half
    /// made, is no error. The branch stays.
    pub async fn remove_worktree(&self, folder: &Path) -> Result<(), RepoError> {
        let _ = folder;
        Ok(())
    }

    /// Deletes a branch, merged or not. One that does not exist is no error.
    pub async fn delete_branch(&self, name: &str) -> Result<(), RepoError> {
        let _ = name;
        Ok(())
    }

    /// Removes every work tree of this repository below `folder_of_all` that is not in `keep`. Returns which.
    pub async fn sweep(&self, folder_of_all: &Path, keep: &[PathBuf]) -> Result<Vec<PathBuf>, RepoError> {
        let _ = (folder_of_all, keep);
        Ok(Vec::new())
    }
}
