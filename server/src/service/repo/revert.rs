//! Taking a change out again, with a commit of its own.

use super::apply::with_trailers;
use super::compose::Change;
use super::error::ApplyError;
use super::git::Git;
use super::land::{Landing, land};
use super::snapshot::{WRITTEN, made};
use super::{Receipt, Repository};

impl Repository {
    /// Undoes the commit of `receipt` with a new commit on what is checked out. What was changed since in the same place
    /// is a conflict.
    pub async fn revert(
        &self,
        receipt: &Receipt,
        message: &str,
        trailers: &[(String, String)],
    ) -> Result<Receipt, ApplyError> {
        let commit = self.commit(&receipt.commit).await?;
        let written = Git::new(self, "read the commit")
            .args(["diff-tree", "-r", "-R", "--no-commit-id"])
            .args(WRITTEN)
            .args([format!("{commit}^1"), commit])
            .run()
            .await?;
        let undoing = made(receipt.base.clone(), &written)?;
        let change = Change::of(&undoing, &[])?;
        let message = with_trailers(message, trailers)?;
        land(self, Landing { change, message, author: None, branch: None }).await
    }
}
