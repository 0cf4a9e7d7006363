//! Putting a reviewed change into a repository.

use serde::{Deserialize, Serialize};

use super::compose::Change;
use super::error::{ApplyError, RepoError};
use super::git::Git;
use super::land::{Landing, land};
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

/// How far back a commit is looked for.
const LOOKED_BACK: &str = "--max-count=1000";

impl Repository {
    /// Puts the selected hunks onto what is checked out, and commits them; all of them or none. What else is staged or
    /// changed stays as it is.
    pub async fn apply(&self, request: Apply<'_>) -> Result<Receipt, ApplyError> {
        let change = Change::of(request.patches, &request.select)?;
        let message = with_trailers(&request.message, &request.trailers)?;
        if let Some((name, email)) = &request.author {
            let unfit = |text: &str| text.trim().is_empty() || text.contains(['\n', '<', '>', '\0']);
            if unfit(name) || unfit(email) {
                return Err(ApplyError::Unfit("author"));
            }
        }
        land(self, Landing { change, message, author: request.author, branch: request.branch }).await
    }

    /// The newest of the last 1,000 commits of a branch, or else of what is checked out, that has this trailer, and the
    /// commit before it: so that a change that was committed but not written down is recognised.
    ///
    /// # Errors
    /// If git can't say.
    pub async fn find_commit(
        &self,
        branch: Option<&str>,
        key: &str,
        value: &str,
    ) -> Result<Option<(String, String)>, RepoError> {
        let on = match branch {
            Some(branch) if self.branch_tip(branch).await?.is_none() => return Ok(None),
            Some(branch) => format!("refs/heads/{branch}"),
            None => "HEAD".to_owned(),
        };
        let format = format!("--format=%H %P %(trailers:key={key},valueonly,unfold,separator=%x1f)");
        let git =
            Git::new(self, "look for a commit").args(["log", "-z", "--no-color", "--no-show-signature", LOOKED_BACK]);
        let said = git.arg(format).args([on.as_str(), "--"]).output().await?;
        if !said.ok {
            return if self.head().await == Err(RepoError::NoCommit) {
                Ok(None)
            } else {
                Err(said.error("look for a commit"))
            };
        }
        let text = String::from_utf8_lossy(&said.stdout);
        // One that was made by applying has exactly one commit before it.
        let commits = text.split('\0').filter_map(|line| {
            let mut parts = line.splitn(3, ' ');
            Some((parts.next()?, parts.next()?, parts.next()?))
        });
        let mut found = commits.filter(|(_, _, values)| values.split('\x1f').any(|one| one.trim() == value));
        Ok(found.next().map(|(commit, before, _)| (commit.to_owned(), before.to_owned())))
    }
}

/// The message as it is committed.
pub(super) fn with_trailers(message: &str, trailers: &[(String, String)]) -> Result<String, ApplyError> {
    let mut whole = message.trim().to_owned();
    if whole.is_empty() || whole.contains('\0') {
        return Err(ApplyError::Unfit("message"));
    }
    whole.push('\n');
    for (place, (key, value)) in trailers.iter().enumerate() {
        let fit = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if !fit || value.trim().is_empty() || value.contains(['\n', '\r', '\0']) {
            return Err(ApplyError::Unfit("trailer"));
        }
        if place == 0 {
            whole.push('\n');
        }
        whole.push_str(&format!("{key}: {}\n", value.trim()));
    }
    Ok(whole)
}
