//! Applying a task's patches, and taking back what was applied.
//!
//! The commit says in a trailer which task it is of. So a server that went away between the commit and the receipt finds it
//! again, and commits nothing twice.

use std::sync::Arc;

use flightdeck_api::generated::errors::ErrorCode;
use flightdeck_api::generated::types::TaskStatus;
use flightdeck_api::support::ApiError;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use uuid::Uuid;

use super::{SessionEvent, Tasks, json, not_ready, refusal, status, work_branch};
use crate::log::Work;
use crate::service::chats::title_of;
use crate::service::repo::{Apply, ApplyError, Diff, Receipt, Repository, Selected};
use crate::service::runs::{self, Milestone};
use crate::service::sessions::event::StatusEvent;
use crate::store::sessions::{self, SessionRow};
use crate::store::tasks::{self, TaskChange, TaskRow};
use crate::store::turns;

const TRAILER: &str = "Flightdeck-Task";
const REVERTED: &str = "Flightdeck-Reverts";

/// Every status but one.
const NOT_APPLIED: [&str; 6] = ["planning", "running", "awaiting_approval", "ready", "failed", "cancelled"];

/// What somebody wants to be applied.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Everything if empty.
    pub select: Vec<Selected>,
    pub message: Option<String>,
    /// The digest of the patches that were looked at.
    pub digest: Option<String>,
}

/// The receipt, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    pub receipt: Receipt,
    /// What was selected; everything if empty.
    pub select: Vec<Selected>,
    /// The digest of the task's patches.
    pub digest: String,
}

/// What is about to be applied. Kept before it is, so that a commit whose receipt was lost is known for what it is.
#[derive(Debug, Serialize, Deserialize)]
struct Intended {
    select: Vec<Selected>,
    /// The digest of the task's patches.
    digest: String,
}

impl Tasks {
    /// Commits the selected changes of a task, all or none. The same again gives the same receipt.
    ///
    /// # Errors
    /// `task_not_found`, `task_not_ready`, `task_applied`, `selection_unknown`, `patch_conflict`, `commit_refused`,
    /// `repository_busy`, `git_failed`.
    pub async fn apply(&self, session: &SessionRow, id: Uuid, wanted: Wanted) -> Result<Applied, ApiError> {
        let lock = self.lock(id);
        let _held = lock.lock().await;
        let row = self.get(session.id, id).await?;
        let diff = match row.status.as_str() {
            "ready" | "applied" => self.kept_patches(id).await?,
            _ => return Err(not_ready(&row)),
        };
        if wanted.digest.as_ref().is_some_and(|digest| *digest != diff.digest) {
            return Err(
                ApiError::new(ErrorCode::TaskApplied).detail("/digest", format!("the patches have {}", diff.digest))
            );
        }
        if let Some(applied) = row.applied.as_deref().filter(|_| row.status == "applied") {
            let applied: Applied = read(applied)?;
            if same(&applied.select, &wanted.select) {
                return Ok(applied);
            }
            return Err(ApiError::new(ErrorCode::TaskApplied).detail("/select", "is not what was applied"));
        }
        let repository = self.0.sessions.repository(session).await.map_err(|error| git_failed(&error))?;
        let refused = |error| refusal::of_applying(&error);
        let trailer = (TRAILER, trailer(&row));
        let known = self.find(&repository, row.branch.as_deref(), &trailer, &diff.digest).await.map_err(refused)?;
        let intended: Option<Intended> =
            row.intended.as_deref().and_then(|text| serde_json::from_str::<Intended>(text).ok());
        let applied = match (known, intended) {
            // A server before committed this, and did not live to say so.
            (Some(receipt), Some(Intended { select, digest })) => Applied { receipt, select, digest },
            (Some(receipt), None) => Applied { receipt, select: Vec::new(), digest: diff.digest.clone() },
            (None, _) => {
                let intended = Intended { select: wanted.select.clone(), digest: diff.digest.clone() };
                let change = TaskChange { intended: Some(json(&intended)), ..TaskChange::default() };
                if !self.advance(&row, &["ready"], change, Vec::new()).await? {
                    return Err(not_ready(&self.get(session.id, id).await?));
                }
                let receipt = self.commit(&repository, &row, &diff, &wanted, trailer).await.map_err(refused)?;
                let Intended { select, digest } = intended;
                Applied { receipt, select, digest }
            }
        };
        let change = TaskChange {
            status: Some("applied"),
            error: Some(None),
            applied: Some(Some(json(&applied))),
            reverted: Some(None),
            ended_at: Some(Some(self.0.clock.now())),
            ..TaskChange::default()
        };
        // The commit is a fact, whatever became of the task meanwhile.
        self.record(&row, &NOT_APPLIED, change, TaskStatus::Applied, ("PATCHES_APPLIED", &applied)).await?;
        self.dismiss(&row).await?;
        if same(&applied.select, &wanted.select) && applied.digest == diff.digest {
            Ok(applied)
        } else {
            Err(ApiError::new(ErrorCode::TaskApplied).detail("/select", "is not what was applied"))
        }
    }

    /// Commits the opposite of what was applied. Once that is done, asking again gives the same receipt.
    ///
    /// # Errors
    /// `task_not_found`, `task_not_ready`, `patch_conflict`, `commit_refused`, `repository_busy`, `git_failed`.
    pub async fn revert(&self, session: &SessionRow, id: Uuid) -> Result<Applied, ApiError> {
        let lock = self.lock(id);
        let _held = lock.lock().await;
        let row = self.get(session.id, id).await?;
        match (row.status.as_str(), &row.applied, &row.reverted) {
            ("applied", Some(applied), _) => {
                let applied: Applied = read(applied)?;
                let repository = self.0.sessions.repository(session).await.map_err(|error| git_failed(&error))?;
                let receipt = self
                    .take_back(&repository, &row, &applied.receipt)
                    .await
                    .map_err(|error| refusal::of_applying(&error))?;
                let reverted = Applied { receipt, ..applied };
                let change = TaskChange {
                    status: Some("ready"),
                    reverted: Some(Some(json(&reverted))),
                    ..TaskChange::default()
                };
                self.record(&row, &["applied"], change, TaskStatus::Ready, ("PATCHES_REVERTED", &reverted)).await?;
                Ok(reverted)
            }
            ("ready", _, Some(reverted)) => read(reverted),
            _ => Err(not_ready(&row).detail("applied", "nothing of it is, so there is nothing to be taken back")),
        }
    }

    /// The commit that has a trailer, on the branch that it would be on.
    async fn find(
        &self,
        repository: &Repository,
        branch: Option<&str>,
        (key, value): &(&'static str, String),
        digest: &str,
    ) -> Result<Option<Receipt>, ApplyError> {
        let (_, checked_out) = repository.head().await?;
        let elsewhere = branch.filter(|branch| checked_out.as_deref() != Some(branch));
        if elsewhere.is_none() {
            // The commit of a server that was killed may be there, and what belongs to it not yet.
            repository.settle().await?;
        }
        let found = repository.find_commit(elsewhere, key, value).await?;
        let branch = branch.map_or(checked_out, |branch| Some(branch.to_owned()));
        Ok(found.map(|(commit, base)| Receipt { commit, branch, base, digest: digest.to_owned() }))
    }

    async fn commit(
        &self,
        repository: &Repository,
        row: &TaskRow,
        diff: &Diff,
        wanted: &Wanted,
        (key, value): (&'static str, String),
    ) -> Result<Receipt, ApplyError> {
        let message = wanted.message.clone().unwrap_or_else(|| title_of(&row.instruction));
        let author = self.0.limits.author.as_ref();
        let author = author.map(|author| (author.name.clone(), author.address.clone()));
        let (select, trailers) = (wanted.select.clone(), vec![(key.to_owned(), value)]);
        let apply = Apply { patches: diff, select, message, trailers, author, branch: row.branch.clone() };
        let (head, checked_out) = repository.head().await?;
        let Some(branch) = row.branch.clone().filter(|_| row.branch != checked_out) else {
            return repository.apply(apply).await;
        };
        let tip = repository.branch_tip(&branch).await?;
        let from = tip.clone().unwrap_or(head);
        self.aside(repository, &branch, tip, &from, async |aside: Repository| {
            aside.apply(Apply { branch: None, ..apply }).await
        })
        .await
    }

    async fn take_back(
        &self,
        repository: &Repository,
        row: &TaskRow,
        receipt: &Receipt,
    ) -> Result<Receipt, ApplyError> {
        let trailer = (REVERTED, receipt.commit.clone());
        if let Some(reverted) = self.find(repository, receipt.branch.as_deref(), &trailer, &receipt.digest).await? {
            return Ok(reverted);
        }
        let trailers = [(trailer.0.to_owned(), trailer.1)];
        let message = format!("Revert \"{}\"\n\nThis reverts commit {}.", title_of(&row.instruction), receipt.commit);
        let (_, checked_out) = repository.head().await?;
        if receipt.branch == checked_out {
            return repository.revert(receipt, &message, &trailers).await;
        }
        let Some(branch) = receipt.branch.clone() else {
            return Err(ApplyError::OtherBranch { expected: "(none)".to_owned(), found: checked_out });
        };
        let gone = || ApplyError::OtherBranch { expected: branch.clone(), found: None };
        let tip = repository.branch_tip(&branch).await?.ok_or_else(gone)?;
        self.aside(repository, &branch, Some(tip.clone()), &tip, async |aside: Repository| {
            aside.revert(receipt, &message, &trailers).await
        })
        .await
    }

    /// Commits something on a branch that is not checked out: in a worktree of its own, so that nothing else is touched.
    async fn aside(
        &self,
        repository: &Repository,
        branch: &str,
        tip: Option<String>,
        from: &str,
        work: impl AsyncFnOnce(Repository) -> Result<Receipt, ApplyError>,
    ) -> Result<Receipt, ApplyError> {
        repository.require_free(branch).await?;
        let id = Uuid::new_v4();
        let (folder, own) = (self.worktree(id), work_branch(id));
        self.0.busy.insert(id);
        let done = async {
            let worktree = repository.add_worktree(&format!("flightdeck-{id}"), &folder, &own, from).await?;
            let receipt = work(worktree.repository().clone()).await?;
            repository.move_branch(branch, tip.as_deref(), &receipt.commit).await?;
            Ok(Receipt { branch: Some(branch.to_owned()), ..receipt })
        };
        let done = done.await;
        let removed = repository.remove_worktree(&folder).await;
        let deleted = repository.delete_branch(&own).await;
        self.0.busy.remove(&id);
        if let Err(error) = removed.and(deleted) {
            tracing::warn!(%error, "could not remove a worktree; the next start does");
        }
        done
    }

    /// Writes down what became of the patches: for the task, for those who follow the session, and in the run's timeline.
    async fn record(
        &self,
        row: &TaskRow,
        from: &'static [&'static str],
        change: TaskChange,
        phase: TaskStatus,
        (kind, applied): (&'static str, &Applied),
    ) -> Result<(), ApiError> {
        let event = StatusEvent { commit: Some(applied.receipt.commit.clone()), ..status(row, phase) };
        let (row, receipt, now) = (row.clone(), applied.receipt.clone(), self.0.clock.now());
        let digest = applied.digest.clone();
        let recorded = self.0.log.transact(None, move |work: &mut Work<'_>| {
            let (row, change, event) = (row.clone(), change.clone(), event.clone());
            let (receipt, digest) = (receipt.clone(), digest.clone());
            Box::pin(async move {
                if !tasks::change(work.tx().connection(), row.id, from, change, now).await? {
                    return Ok(());
                }
                work.append(vec![SessionEvent::Status(event).of(row.session_id, now)]).await?;
                let session = sessions::find(work.tx().connection(), row.session_id).await?;
                let last = turns::list(work.tx().connection(), row.chat_id, 1).await?.pop();
                if let (Some(session), Some(turn)) = (session, last) {
                    let commit = &receipt.commit;
                    let on = receipt.branch.as_deref().unwrap_or("no branch");
                    let milestone = Milestone {
                        run_id: turn.id,
                        workspace_id: session.workspace_id,
                        provider: &row.agent,
                        kind,
                        message: Some(&format!("Commit {commit} on {on}.")),
                        facts: serde_json::json!({
                            "task_id": row.id, "commit": commit, "branch": receipt.branch, "base": receipt.base,
                            "digest": digest,
                        }),
                    };
                    runs::mark(work, &milestone, now).await?;
                }
                Ok::<_, ApiError>(())
            })
        });
        recorded.await
    }

    fn lock(&self, id: Uuid) -> Arc<Mutex<()>> {
        // One for each task that was ever applied here is not much, and those that nobody holds go.
        if self.0.locks.len() > 1_000 {
            self.0.locks.retain(|_, lock| Arc::strong_count(lock) > 1);
        }
        self.0.locks.entry(id).or_default().clone()
    }
}

/// What names a task's commit: a task that was taken back may be applied again, with another commit.
fn trailer(row: &TaskRow) -> String {
    let again = row.reverted.as_deref().and_then(|reverted| serde_json::from_str::<Applied>(reverted).ok());
    again.map_or_else(|| row.id.to_string(), |again| format!("{} after {}", row.id, again.receipt.commit))
}

/// Whether two selections are of the same hunks.
fn same(one: &[Selected], other: &[Selected]) -> bool {
    let sorted = |selection: &[Selected]| {
        let mut sorted: Vec<(String, Vec<usize>)> =
            selection.iter().map(|selected| (selected.file.clone(), selected.hunks.clone())).collect();
        for (_, hunks) in &mut sorted {
            hunks.sort_unstable();
            hunks.dedup();
        }
        sorted.sort();
        sorted.dedup();
        sorted
    };
    sorted(one) == sorted(other)
}

fn read(text: &str) -> Result<Applied, ApiError> {
    serde_json::from_str(text).map_err(|error| {
        tracing::error!(%error, "the database holds a receipt that is none");
        ErrorCode::Internal.into()
    })
}

fn git_failed(error: &ApiError) -> ApiError {
    let why = error.details.first().map_or(error.message.as_str(), |detail| detail.message.as_str());
    ApiError::new(ErrorCode::GitFailed).detail("repo", why)
}
