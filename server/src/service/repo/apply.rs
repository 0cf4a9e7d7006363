//! Putting a reviewed change into a repository.

use serde::{Deserialize, Serialize};

use super::error::{ApplyError, RepoError};
use super::{Diff, Repository};

/// What is to be applied.
#[derive(Debug, Clone)]
pub struct Apply<'a> {
    pub patches: &'a Diff,
    /// Which of it; everything if empty.
    pub select: Vec<Selected>,
    pub message: String,
    /// Added below the message, as `Key: value`.
    pub trailers: Vec<(String, String)>,
    /// Name and email; the repository's own identity if `None`.
    pub author: Option<(String, String)>,
    /// The branch that must be checked out; any, or none, if `None`.
    pub branch: Option<String>,
}

/// A file of a diff, and which of its hunks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Selected {
    pub file: String,
    /// Counted from 0; all of them if empty. A file that can only be taken whole is selected by none or by `[0]`.
    pub hunks: Vec<usize>,
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The commit that was made.
    pub commit: String,
    /// The branch it is on; `None` if no branch was checked out.
    pub branch: Option<String>,
    /// The commit it was made on.
    pub base: String,
    /// SHA-256 of the patch that it put in, in hex: of what was selected, not of all that was shown.
    pub digest: String,
}

impl Repository {
    /// Puts the selected hunks onto what is checked out, and commits them; all of them or none.
    pub async fn apply(&self, request: Apply<'_>) -> Result<Receipt, ApplyError> {
        let _ = request;
        Err(ApplyError::NothingToApply)
    }

    /// The newest of the last 1,000 commits that has this trailer, so that a change that was committed but not written
    /// down is recognised.
    pub async fn find_commit(&self, key: &str, value: &str) -> Result<Option<String>, RepoError> {
        let _ = (key, value);
        Ok(None)
    }
}
