//! Attending to a task: it gets its worktree, its agent is told what to do, and what the agent's chat tells is written down
//! for the task, until the task is over.

use std::collections::HashSet;
use std::path::PathBuf;

use flightdeck_api::generated::errors::ErrorCode;
use flightdeck_api::generated::types::{ChatTurnStatus, TaskStatus};
use flightdeck_api::support::ApiError;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{Attendant, SessionEvent, Tasks, json, status, work_branch};
use crate::log::{Item, Reader, ReaderLimits, Start, Work};
use crate::service::chats::{ChatEvent, HomeChat, chat_stream, title_of};
use crate::service::repo::{Diff, RepoError, Worktree};
use crate::service::sessions::event::{QuestionEvent, StatusEvent};
use crate::store::sessions::{self, SessionRow};
use crate::store::tasks::{self, TaskChange, TaskRow};

/// What may wait of a chat: its attendant only looks at what is kept, and reads it again when it falls behind.
const QUEUE: ReaderLimits = ReaderLimits { events: 1_024, bytes: 1 << 20 };

/// Before something is tried again when the database is away, in milliseconds.
const PAUSE: i64 = 1_000;

/// Why nobody attends to a task any more.
enum Left {
    /// The task is over; its worktree is to go.
    Over,
    /// The server goes away.
    Leaving,
}

/// What an attendant has seen in the chat.
#[derive(Default)]
struct Seen {
    /// The turn that ran last.
    running: Option<Uuid>,
    /// Questions that wait for an answer.
    asked: HashSet<Uuid>,
}

impl Tasks {
    /// Somebody attends to a task from now on, and has not begun.
    pub(super) fn expect(&self, id: Uuid) -> CancellationToken {
        let over = CancellationToken::new();
        self.0.attendants.insert(id, Attendant { over: over.clone(), waiting: Some(Vec::new()) });
        over
    }

    /// Attends to a task from now on, until it is `over`: with `prompt`, from its beginning, else from where its chat is.
    pub(super) fn attend(&self, row: TaskRow, over: CancellationToken, prompt: Option<String>) {
        let tasks = self.clone();
        self.0.under_way.spawn(async move {
            let left = tasks.attend_until_over(&row, prompt, &over).await;
            if matches!(left, Left::Over) {
                // Something may have been said at the last moment.
                if let Err(error) = tasks.0.chats.silence(row.chat_id).await {
                    tracing::warn!(task_id = %row.id, %error, "could not end the agent of a task that is over");
                }
                tasks.clear_away(&row).await;
            }
            tasks.0.attendants.remove(&row.id);
        });
    }

    async fn attend_until_over(&self, row: &TaskRow, prompt: Option<String>, over: &CancellationToken) -> Left {
        let leaving = self.0.leaving.clone();
        let followed = async {
            let since = match prompt {
                Some(prompt) => {
                    if !self.begin(row, prompt).await? {
                        return Ok(());
                    }
                    0
                }
                None => self.0.log.extent(&chat_stream(row.chat_id)).await?.map_or(0, |stream| stream.last_seq),
            };
            self.pass_on_what_waits(row).await?;
            self.follow(row, since).await
        };
        tokio::select! {
            biased;
            () = over.cancelled() => return Left::Over,
            () = leaving.cancelled() => return Left::Leaving,
            followed = followed => if let Err(error) = followed {
                self.fail(row, error.message).await;
            },
        }
        Left::Over
    }

    /// Makes the worktree, and tells the agent what to do; `false` if nobody wants that any more.
    async fn begin(&self, row: &TaskRow, prompt: String) -> Result<bool, ApiError> {
        let (worktree, workspace_id) = self.make_worktree(row).await.map_err(|error| failure(&error))?;
        let chat = HomeChat {
            id: row.chat_id,
            workspace_id,
            title: title_of(&row.instruction),
            agent: row.agent.clone(),
            cwd: worktree.path().to_string_lossy().into_owned(),
        };
        // What can be read before the agent begins: no patches, against the commit where it starts.
        let none = json(&Diff { base: worktree.base().to_owned(), digest: String::new(), files: Vec::new() });
        let event = SessionEvent::Status(status(row, TaskStatus::Running));
        let (chats, now) = (self.0.chats.clone(), self.0.clock.now());
        let (id, session_id) = (row.id, row.session_id);
        let begun = self.0.log.transact(None, move |work: &mut Work<'_>| {
            let (chats, chat, prompt) = (chats.clone(), chat.clone(), prompt.clone());
            let (none, event) = (none.clone(), event.of(session_id, now));
            Box::pin(async move {
                let change = TaskChange { status: Some("running"), ..TaskChange::default() };
                if !tasks::change(work.tx().connection(), id, &["planning"], change, now).await? {
                    return Ok(false);
                }
                tasks::keep_patches(work.tx().connection(), id, none).await?;
                work.append(vec![event]).await?;
                chats.begin_at_home(work, chat, prompt, now).await?;
                Ok::<_, ApiError>(true)
            })
        });
        begun.await
    }

    /// Says what was said before the agent began.
    async fn pass_on_what_waits(&self, row: &TaskRow) -> Result<(), ApiError> {
        let waiting = self.0.attendants.get_mut(&row.id).and_then(|mut attendant| attendant.waiting.take());
        for content in waiting.unwrap_or_default() {
            self.pass_on(row.chat_id, content).await?;
        }
        Ok(())
    }

    /// The worktree, and the workspace of its session.
    async fn make_worktree(&self, row: &TaskRow) -> Result<(Worktree, Uuid), Failure> {
        let session = self.session_of(row).await?;
        let repository = self.0.sessions.repository(&session).await?;
        let (head, checked_out) = repository.head().await?;
        // A branch that does not exist yet begins where the repository is.
        let base = match &row.branch {
            Some(branch) if Some(branch) != checked_out.as_ref() => {
                repository.branch_tip(branch).await?.unwrap_or(head)
            }
            _ => head,
        };
        let folder = self.worktree(row.id);
        let name = format!("flightdeck-{}", row.id);
        let worktree = repository.add_worktree(&name, &folder, &work_branch(row.id), &base).await?;
        Ok((worktree, session.workspace_id))
    }

    /// Writes down what the chat tells. Ends when the task is over.
    async fn follow(&self, row: &TaskRow, mut since: i64) -> Result<(), ApiError> {
        let stream = chat_stream(row.chat_id);
        let begin = |since| {
            let mut reader: Reader = self.0.log.reader(QUEUE);
            reader.follow(&stream, Start::After(since));
            reader
        };
        let mut reader = begin(since);
        let mut seen = Seen::default();
        loop {
            let events: Vec<ChatEvent> = match reader.next().await {
                Ok(Item::Stored { events, .. }) => {
                    since = events.last().map_or(since, |event| event.seq);
                    events.iter().filter_map(|event| ChatEvent::read(&event.kind, &event.payload)).collect()
                }
                Ok(Item::Live { event, .. }) if event.seq > 0 => {
                    since = event.seq;
                    ChatEvent::read(&event.event.kind, &event.event.payload).into_iter().collect()
                }
                Ok(Item::FellBehind) => {
                    reader = begin(since);
                    continue;
                }
                Ok(Item::Live { .. } | Item::Gap { .. } | Item::Synced { .. }) => continue,
                Err(error) => {
                    tracing::warn!(task_id = %row.id, %error, "could not follow a task's chat; will try again");
                    self.0.clock.sleep_until(self.0.clock.now() + PAUSE).await;
                    continue;
                }
            };
            for event in events {
                while let Err(error) = self.note(row, &mut seen, &event).await {
                    if error.code != ErrorCode::Unavailable {
                        return Err(error);
                    }
                    self.0.clock.sleep_until(self.0.clock.now() + PAUSE).await;
                }
            }
        }
    }

    /// What something in the chat means for the task.
    async fn note(&self, row: &TaskRow, seen: &mut Seen, event: &ChatEvent) -> Result<(), ApiError> {
        let moved = |phase: TaskStatus| TaskChange {
            status: Some(phase.as_str()),
            ended_at: Some(None),
            ..TaskChange::default()
        };
        match event {
            ChatEvent::Turn { turn_id, status: ChatTurnStatus::Running, .. } => {
                seen.running = Some(*turn_id);
                let change = TaskChange { error: Some(None), ..moved(TaskStatus::Running) };
                let event = SessionEvent::Status(status(row, TaskStatus::Running));
                self.advance(row, &["ready"], change, vec![event]).await?;
            }
            ChatEvent::ApprovalRequest { approval_id, tool_name, command, .. } => {
                seen.asked.insert(*approval_id);
                let question =
                    QuestionEvent { approval_id: *approval_id, tool_name: tool_name.clone(), command: command.clone() };
                let phase = TaskStatus::AwaitingApproval;
                let event = StatusEvent { question: Some(question), ..status(row, phase) };
                self.advance(row, &tasks::UNFINISHED, moved(phase), vec![SessionEvent::Status(event)]).await?;
            }
            ChatEvent::ApprovalResolved { approval_id, .. } => {
                seen.asked.remove(approval_id);
                let phase = if seen.asked.is_empty() { TaskStatus::Running } else { TaskStatus::AwaitingApproval };
                let event = StatusEvent { resolved_id: Some(*approval_id), ..status(row, phase) };
                self.advance(row, &tasks::UNFINISHED, moved(phase), vec![SessionEvent::Status(event)]).await?;
            }
            ChatEvent::Turn { status: ChatTurnStatus::Finished, .. } => self.collect(row, None).await?,
            // One that waited and was taken back has changed nothing.
            ChatEvent::Turn { turn_id, status: ChatTurnStatus::Cancelled, .. } if seen.running == Some(*turn_id) => {
                self.fall_back(row, TaskStatus::Cancelled, None).await?;
            }
            ChatEvent::Turn { status: ChatTurnStatus::Failed | ChatTurnStatus::Interrupted, error, .. } => {
                let why = error.clone().unwrap_or_else(|| "The agent failed.".to_owned());
                self.fall_back(row, TaskStatus::Failed, Some(why)).await?;
            }
            ChatEvent::Deleted {} => {
                self.give_up(row, TaskStatus::Cancelled, None).await?;
            }
            _ => {}
        }
        Ok(())
    }

    /// A turn came to nothing. Where an earlier one had made patches, they and what has been changed since can be reviewed.
    async fn fall_back(&self, row: &TaskRow, phase: TaskStatus, error: Option<String>) -> Result<(), ApiError> {
        if self.kept_patches(row.id).await?.digest.is_empty() {
            self.give_up(row, phase, error).await.map(|_| ())
        } else {
            self.collect(row, error).await
        }
    }

    /// The agent is done, or came to nothing: what it has changed is kept, and can be reviewed.
    async fn collect(&self, row: &TaskRow, problem: Option<String>) -> Result<(), ApiError> {
        let diff = match self.changes(row).await {
            Ok(diff) => diff,
            Err(Failure::Api(error)) if error.code == ErrorCode::Unavailable => return Err(error),
            Err(error) => {
                self.give_up(row, TaskStatus::Failed, Some(error.to_string())).await?;
                return Ok(());
            }
        };
        let count = diff.files.len() as u64;
        let change = TaskChange {
            status: Some("ready"),
            error: Some(problem.clone()),
            ended_at: Some(Some(self.0.clock.now())),
            patch_count: Some(i64::try_from(count).unwrap_or(i64::MAX)),
            ..TaskChange::default()
        };
        let patch =
            SessionEvent::Patch { task_id: row.id, count, base: diff.base.clone(), digest: diff.digest.clone() };
        let ready = SessionEvent::Status(StatusEvent { error: problem, ..status(row, TaskStatus::Ready) });
        let (id, session_id, now, text) = (row.id, row.session_id, self.0.clock.now(), json(&diff));
        let kept = self.0.log.transact(None, move |work: &mut Work<'_>| {
            let (change, text) = (change.clone(), text.clone());
            let events = [&patch, &ready].map(|event| event.of(session_id, now)).to_vec();
            Box::pin(async move {
                if tasks::change(work.tx().connection(), id, &tasks::UNFINISHED, change, now).await? {
                    tasks::keep_patches(work.tx().connection(), id, text).await?;
                    work.append(events).await?;
                }
                Ok::<_, ApiError>(())
            })
        });
        kept.await
    }

    async fn session_of(&self, row: &TaskRow) -> Result<SessionRow, ApiError> {
        let session = sessions::find(self.0.store.reader(), row.session_id).await?;
        session.ok_or_else(|| ErrorCode::SessionNotFound.into())
    }

    async fn changes(&self, row: &TaskRow) -> Result<Diff, Failure> {
        let kept = self.kept_patches(row.id).await?;
        let repository = self.0.sessions.repository(&self.session_of(row).await?).await?;
        let worktree = repository.open_worktree(&self.worktree(row.id), &work_branch(row.id), &kept.base).await?;
        Ok(worktree.diff().await?)
    }

    async fn fail(&self, row: &TaskRow, why: String) {
        if let Err(error) = self.give_up(row, TaskStatus::Failed, Some(why)).await {
            tracing::warn!(task_id = %row.id, %error, "could not write down that a task failed; the next start does");
        }
    }

    /// Removes a task's worktree and its branch.
    pub(super) async fn clear_away(&self, row: &TaskRow) {
        if let Err(error) = self.try_clear_away(row).await {
            tracing::warn!(task_id = %row.id, %error, "could not remove a task's worktree; will try again");
        }
    }

    async fn try_clear_away(&self, row: &TaskRow) -> Result<(), Failure> {
        let folder: PathBuf = self.worktree(row.id);
        let session = self.session_of(row).await?;
        match self.0.sessions.repository(&session).await {
            Ok(repository) => {
                repository.remove_worktree(&folder).await?;
                repository.delete_branch(&work_branch(row.id)).await?;
            }
            // A repository that is gone has no worktrees. One that only can't be used now still has.
            Err(_) if tokio::fs::try_exists(&session.repo).await.is_ok_and(|exists| !exists) => {}
            Err(error) => return Err(error.into()),
        }
        match tokio::fs::remove_dir_all(&folder).await {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(Failure::Folder(format!("{}: {error}", folder.display())));
            }
            _ => {}
        }
        let all = ["planning", "running", "awaiting_approval", "ready", "applied", "failed", "cancelled"];
        let (id, now) = (row.id, self.0.clock.now());
        let noted = self.0.log.transact(None, move |work: &mut Work<'_>| {
            Box::pin(async move {
                let change = TaskChange { has_worktree: Some(false), ..TaskChange::default() };
                tasks::change(work.tx().connection(), id, &all, change, now).await.map_err(ApiError::from)
            })
        });
        noted.await?;
        Ok(())
    }
}

/// Why a task can't go on, in words for a person.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("{}", said(.0))]
    Api(#[from] ApiError),
    #[error(transparent)]
    Repo(#[from] RepoError),
    #[error("The folder can't be removed: {0}")]
    Folder(String),
}

impl From<crate::store::StoreError> for Failure {
    fn from(error: crate::store::StoreError) -> Self {
        Self::Api(error.into())
    }
}

/// What happened, with what is known in particular.
fn said(error: &ApiError) -> String {
    error
        .details
        .first()
        .map_or_else(|| error.message.clone(), |detail| format!("{} {}", error.message, detail.message))
}

fn failure(failure: &Failure) -> ApiError {
    let mut error = ApiError::new(ErrorCode::GitFailed);
    error.message = failure.to_string();
    error
}
