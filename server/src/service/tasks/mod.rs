//! Tasks: what an agent does in a worktree of its own, and what becomes of its patches.
//!
//! A task is a row and a chat: the chat's service runs the agent, and an attendant of the task (`attend`) follows the chat and
//! writes down what that means for the task. A task belongs to the machine that has its worktree. Nothing of the person's own
//! files changes before patches are applied (`apply`).

mod apply;
mod attend;
mod create;
mod keep;
mod refusal;
mod talk;

use std::path::PathBuf;
use std::sync::Arc;

use dashmap::{DashMap, DashSet};
use flightdeck_api::generated::errors::ErrorCode;
use flightdeck_api::generated::types::TaskStatus;
use flightdeck_api::support::ApiError;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::approvals::Approvals;
use super::chats::Chats;
use super::repo::Diff;
use super::sessions::Sessions;
use super::sessions::event::{SessionEvent, StatusEvent};
use crate::clock::Clock;
use crate::config::CommitAuthor;
use crate::log::{Log, Work};
use crate::store::Store;
use crate::store::sessions::SessionRow;
use crate::store::tasks::{self, TaskChange, TaskRow};

pub use apply::{Applied, Wanted};
pub use create::NewTask;
pub use keep::keep;
use refusal::of_reading;

/// Tasks that are listed at once.
const LISTED: u64 = 200;

/// Tasks. Cheap to clone.
#[derive(Clone)]
pub struct Tasks(Arc<Parts>);

struct Parts {
    store: Store,
    log: Log,
    clock: Arc<dyn Clock>,
    sessions: Sessions,
    chats: Chats,
    approvals: Approvals,
    limits: Limits,
    /// Names this machine.
    home: Uuid,
    /// Who attends to a task here, by task.
    attendants: DashMap<Uuid, Attendant>,
    /// Worktrees that somebody here works in for a moment, or removes.
    busy: DashSet<Uuid>,
    /// One thing at a time is done with a task's patches.
    locks: DashMap<Uuid, Arc<Mutex<()>>>,
    leaving: CancellationToken,
    under_way: TaskTracker,
}

/// Somebody who attends to a task.
#[derive(Debug)]
struct Attendant {
    /// The task is over.
    over: CancellationToken,
    /// What was said before the agent was told what to do; `None` once it was.
    waiting: Option<Vec<String>>,
}

/// What tasks may take.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Where worktrees are.
    pub folder: PathBuf,
    /// Tasks of a session that are open at once.
    pub open: u64,
    pub author: Option<CommitAuthor>,
}

/// What tasks are made of.
pub struct Foundation {
    pub store: Store,
    pub log: Log,
    pub clock: Arc<dyn Clock>,
    pub sessions: Sessions,
    pub chats: Chats,
    pub approvals: Approvals,
    pub limits: Limits,
    pub home: Uuid,
}

impl Tasks {
    #[must_use]
    pub fn new(foundation: Foundation) -> Self {
        let Foundation { store, log, clock, sessions, chats, approvals, limits, home } = foundation;
        let (attendants, busy, locks, leaving, under_way) = Default::default();
        Self(Arc::new(Parts {
            store,
            log,
            clock,
            sessions,
            chats,
            approvals,
            limits,
            home,
            attendants,
            busy,
            locks,
            leaving,
            under_way,
        }))
    }

    /// A session's tasks, newest first; at most two hundred.
    ///
    /// # Errors
    /// `unavailable`.
    pub async fn list(&self, session_id: Uuid) -> Result<Vec<TaskRow>, ApiError> {
        Ok(tasks::list(self.0.store.reader(), session_id, LISTED).await?)
    }

    /// A task of a session.
    ///
    /// # Errors
    /// `task_not_found`.
    pub async fn get(&self, session_id: Uuid, id: Uuid) -> Result<TaskRow, ApiError> {
        let row = tasks::find(self.0.store.reader(), id).await?.filter(|row| row.session_id == session_id);
        row.ok_or_else(|| ErrorCode::TaskNotFound.into())
    }

    /// What a task changes.
    ///
    /// # Errors
    /// `task_not_found`, `task_not_ready`.
    pub async fn patches(&self, session_id: Uuid, id: Uuid) -> Result<Diff, ApiError> {
        let row = self.get(session_id, id).await?;
        if !matches!(row.status.as_str(), "ready" | "applied") {
            return Err(not_ready(&row));
        }
        self.kept_patches(id).await
    }

    /// What has changed in a session's own working tree against `base`.
    ///
    /// # Errors
    /// `repository_invalid`, `base_unknown`, `diff_too_large`, `git_failed`.
    pub async fn diff(&self, session: &SessionRow, base: &str) -> Result<Diff, ApiError> {
        let repository = self.0.sessions.repository(session).await?;
        repository.diff(base).await.map_err(|error| of_reading(&error))
    }

    async fn kept_patches(&self, id: Uuid) -> Result<Diff, ApiError> {
        let text = tasks::patches(self.0.store.reader(), id).await?;
        let text = text.ok_or_else(|| ApiError::new(ErrorCode::TaskNotReady))?;
        serde_json::from_str(&text).map_err(|error| {
            tracing::error!(task_id = %id, %error, "the database holds patches that are none");
            ErrorCode::Internal.into()
        })
    }

    /// Cancels a task: its agent is stopped, and its worktree goes. One that is over stays as it is.
    ///
    /// # Errors
    /// `task_not_found`.
    pub async fn cancel(&self, session_id: Uuid, id: Uuid) -> Result<TaskRow, ApiError> {
        let row = self.get(session_id, id).await?;
        self.give_up(&row, TaskStatus::Cancelled, None).await?;
        self.get(session_id, id).await
    }

    /// Moves a task from one of `from` to `phase`, tells so, and does what else has to be written down. Says whether it did.
    async fn advance(
        &self,
        row: &TaskRow,
        from: &'static [&'static str],
        change: TaskChange,
        events: Vec<SessionEvent>,
    ) -> Result<bool, ApiError> {
        let (id, session_id, now) = (row.id, row.session_id, self.0.clock.now());
        let moved = self.0.log.transact(None, move |work: &mut Work<'_>| {
            let (change, events) = (change.clone(), events.clone());
            Box::pin(async move {
                if !tasks::change(work.tx().connection(), id, from, change, now).await? {
                    return Ok(false);
                }
                work.append(events.iter().map(|event| event.of(session_id, now)).collect()).await?;
                Ok::<_, ApiError>(true)
            })
        });
        moved.await
    }

    /// Ends a task that is open, as failed or cancelled, and all that it has.
    async fn give_up(&self, row: &TaskRow, phase: TaskStatus, error: Option<String>) -> Result<bool, ApiError> {
        let change = TaskChange {
            status: Some(phase.as_str()),
            error: Some(error.clone()),
            ended_at: Some(Some(self.0.clock.now())),
            ..TaskChange::default()
        };
        let event = SessionEvent::Status(StatusEvent { error, ..status(row, phase) });
        let moved = self.advance(row, &tasks::OPEN, change, vec![event]).await?;
        if moved {
            self.dismiss(row).await?;
        }
        Ok(moved)
    }

    /// Ends the agent of a task that is over, and lets its worktree be removed.
    async fn dismiss(&self, row: &TaskRow) -> Result<(), ApiError> {
        self.0.chats.silence(row.chat_id).await?;
        match self.0.attendants.get(&row.id) {
            // It removes the worktree when it ends.
            Some(attendant) => attendant.over.cancel(),
            None if row.home == self.0.home => self.clear_away_soon(row),
            // Its own machine looks for what it should not have any more.
            None => {}
        }
        Ok(())
    }

    fn clear_away_soon(&self, row: &TaskRow) {
        if self.0.busy.insert(row.id) {
            let (tasks, row) = (self.clone(), row.clone());
            self.0.under_way.spawn(async move {
                tasks.clear_away(&row).await;
                tasks.0.busy.remove(&row.id);
            });
        }
    }

    /// The ids and chats of a session's tasks whose agents can be heard.
    ///
    /// # Errors
    /// `unavailable`.
    pub async fn audible(&self, session_id: Uuid) -> Result<Vec<(Uuid, Uuid)>, ApiError> {
        Ok(tasks::audible(self.0.store.reader(), session_id).await?)
    }

    /// Ends what is under way here, because the server goes away. What was not finished is given up at the next start.
    pub async fn leave(&self) {
        self.0.leaving.cancel();
        self.0.under_way.close();
        self.0.under_way.wait().await;
    }

    /// Where a task's worktree is.
    fn worktree(&self, id: Uuid) -> PathBuf {
        self.0.limits.folder.join(id.to_string())
    }
}

/// What the names of branches begin with on which agents work.
const BRANCHES: &str = "flightdeck/";

/// The branch on which a task's agent works; it goes with the worktree.
fn work_branch(id: Uuid) -> String {
    format!("{BRANCHES}{id}")
}

/// A status without anything beside it.
fn status(row: &TaskRow, phase: TaskStatus) -> StatusEvent {
    StatusEvent {
        task_id: row.id,
        chat_id: row.chat_id,
        phase,
        question: None,
        resolved_id: None,
        commit: None,
        error: None,
    }
}

fn not_ready(row: &TaskRow) -> ApiError {
    ApiError::new(ErrorCode::TaskNotReady).detail("status", format!("is {}", row.status))
}

/// As JSON, of what always can be.
fn json<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_else(|_| unreachable!("texts and numbers become JSON"))
}
