//! Branches that are not checked out: where they are, and moving them on.

use super::error::RepoError;
use super::git::Git;
use super::{ApplyError, Repository};

/// What git names instead of a commit that must not be there.
const NOTHING: &str = "0000000000000000000000000000000000000000";

impl Repository {
    /// The commit at the end of a branch; `None` if there is no such branch.
    ///
    /// # Errors
    /// If git can't say.
    pub async fn branch_tip(&self, name: &str) -> Result<Option<String>, RepoError> {
        let git = Git::new(self, "look for the branch");
        let said = git.args(["show-ref", "--verify", "--hash"]).arg(format!("refs/heads/{name}")).output().await?;
        let tip = String::from_utf8_lossy(&said.stdout).trim().to_owned();
        Ok(Some(tip).filter(|tip| said.ok && !tip.is_empty()))
    }

    /// Fails if a branch is checked out somewhere: it can't be moved without the files there.
    ///
    /// # Errors
    /// `CheckedOut`.
    pub async fn require_free(&self, name: &str) -> Result<(), ApplyError> {
        let git = Git::new(self, "look for the branch").args(["for-each-ref", "--format=%(worktreepath)"]);
        let said = git.arg(format!("refs/heads/{name}")).run().await?;
        match String::from_utf8_lossy(&said).trim() {
            "" => Ok(()),
            at => Err(ApplyError::CheckedOut { branch: name.to_owned(), at: at.to_owned() }),
        }
    }

    /// Moves a branch that is not checked out from one commit to another, or makes it there.
    ///
    /// # Errors
    /// `CheckedOut`, if it is; `Busy`, if it is not at `from` any more.
    pub async fn move_branch(&self, name: &str, from: Option<&str>, to: &str) -> Result<(), ApplyError> {
        self.require_free(name).await?;
        let git = Git::new(self, "move the branch").args(["update-ref", "-m", "flightdeck: apply"]);
        let said = git.arg(format!("refs/heads/{name}")).arg(to).arg(from.unwrap_or(NOTHING)).output().await?;
        if said.ok { Ok(()) } else { Err(ApplyError::Busy(said.error("move the branch").to_string())) }
    }
}
