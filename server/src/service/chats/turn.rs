//! One turn: the agent gets its prompt, and what it tells becomes events of the chat.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use flightdeck_api::generated::errors::ErrorCode;
use flightdeck_api::support::{ApiError, JsonObject};
use futures_util::FutureExt;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::desk::Desk;
use super::event::{ChatEvent, PlanStep, chat_stream};
use super::runner::Seated;
use super::{Chats, question};
use crate::log::Work;
use crate::service::agents::update::{Outcome, Progress, TurnEnd, Update};
use crate::service::agents::{AgentError, clipped};
use crate::store::chats::{self, ChatRow};
use crate::store::events;
use crate::store::turns::TurnRow;

/// Text that is announced at once, in bytes: what an agent says while the last piece is announced goes together.
const PIECE: usize = 8 << 10;

/// How long an agent has to end a turn that is cancelled; then it is ended itself.
const CANCELLED: Duration = Duration::from_millis(750);

/// Questions of one turn that may wait.
const QUESTIONS: usize = 64;

/// Bytes of a thought, and of a line or name.
const THOUGHT: usize = 16 << 10;
const LINE: usize = 1_000;

/// Steps of a plan that are told.
const STEPS: usize = 200;

/// Bytes of a tool's input that are told.
const INPUT: usize = 64 << 10;

/// Before it tries again to write down what an agent told, in milliseconds.
const PAUSE: i64 = 500;

/// So many events at most come after one whose writing was not answered, until it is tried again.
const NEW: i64 = 1_000;

/// How a turn ended.
#[derive(Debug, Clone)]
pub(super) struct Ended {
    pub(super) end: TurnEnd,
    /// The server goes away.
    pub(super) interrupted: bool,
}

impl Ended {
    fn with(outcome: Outcome) -> Self {
        Self { end: TurnEnd::of(outcome), interrupted: false }
    }

    pub(super) fn interrupted() -> Self {
        Self { end: TurnEnd::of(Outcome::Cancelled), interrupted: true }
    }
}

/// A turn that is worked on.
pub(super) struct Performance<'p> {
    chats: &'p Chats,
    chat: &'p ChatRow,
    turn: &'p TurnRow,
    desk: &'p Arc<Desk>,
    stream: String,
    /// Somebody wants the turn to end.
    cancel: CancellationToken,
    questions: JoinSet<()>,
    /// Questions that wait for a person.
    open: Arc<AtomicUsize>,
}

impl<'p> Performance<'p> {
    pub(super) fn new(
        chats: &'p Chats,
        chat: &'p ChatRow,
        turn: &'p TurnRow,
        desk: &'p Arc<Desk>,
        cancel: CancellationToken,
    ) -> Self {
        let stream = chat_stream(chat.id);
        Self { chats, chat, turn, desk, stream, cancel, questions: JoinSet::new(), open: Arc::default() }
    }

    /// Works on it to its end. The agent stays seated if it can go on with another turn.
    pub(super) async fn perform(mut self, seated: &mut Option<Seated>) -> Ended {
        let (cwd, prompt) = match self.unless_stopped(self.chats.place(self.chat, self.turn)).await {
            Ok(Ok(place)) => place,
            Ok(Err(why)) => return Ended::with(Outcome::Failed(why)),
            Err(stopped) => return stopped,
        };
        let ended = match self.unless_stopped(self.seat(seated, &cwd, &prompt)).await {
            Ok(Ok(())) => self.follow(seated, &cwd).await,
            Ok(Err(error)) => Ended::with(Outcome::Failed(error.to_string())),
            // What was half started is ended by being dropped.
            Err(stopped) => stopped,
        };
        if ended.interrupted
            && let Some(Seated { agent, .. }) = seated.take()
        {
            agent.close().await;
        }
        self.flush().await;
        // Questions without a turn are taken back.
        self.cancel.cancel();
        while self.questions.join_next().await.is_some() {}
        ended
    }

    /// Does something unless the turn is to end before.
    async fn unless_stopped<T>(&self, step: impl Future<Output = T>) -> Result<T, Ended> {
        tokio::select! {
            biased;
            () = self.chats.0.desks.leaving.cancelled() => Err(Ended::interrupted()),
            () = self.desk.lost.cancelled() => Err(Ended::interrupted()),
            () = self.cancel.cancelled() => Err(Ended::with(Outcome::Cancelled)),
            () = self.desk.gone.cancelled() => Err(Ended::with(Outcome::Cancelled)),
            done = step => Ok(done),
        }
    }

    /// Has an agent begin the turn: the one that is there, or else a new one.
    async fn seat(&self, seated: &mut Option<Seated>, cwd: &Path, prompt: &str) -> Result<(), AgentError> {
        let name = &self.chat.agent;
        if let Some(mut present) = seated.take() {
            if present.cwd == *cwd && present.name == *name {
                // It may have ended while nothing was to do.
                if present.agent.prompt(prompt).await.is_ok() {
                    *seated = Some(present);
                    return Ok(());
                }
            }
            present.agent.close().await;
        }
        self.status("Starting the agent");
        // A session belongs to the folder in which it began.
        let same_place = self.turn.repo_name.is_none() || self.chat.cwd.as_deref() == cwd.to_str();
        let resume = self.chat.agent_session.clone().filter(|_| same_place);
        let mut agent = self.chats.0.agents.start(name, cwd.to_owned(), resume).await?;
        agent.prompt(prompt).await?;
        *seated = Some(Seated { agent, name: name.clone(), cwd: cwd.to_owned() });
        Ok(())
    }

    /// Passes on what the agent tells, until the turn's end.
    async fn follow(&mut self, seated: &mut Option<Seated>, cwd: &Path) -> Ended {
        let Some(present) = seated else { return Ended::interrupted() };
        let agent = &mut *present.agent;
        let silence = self.chats.0.limits.silence;
        let leaving = self.chats.0.desks.leaving.clone();
        let (gone, lost) = (self.desk.gone.clone(), self.desk.lost.clone());
        let mut until = Instant::now() + silence;
        let mut waiting: Option<Result<Update, AgentError>> = None;
        let mut cancelled = false;
        let ended = loop {
            let next = async {
                match waiting.take() {
                    Some(update) => update,
                    None => agent.next().await,
                }
            };
            let update = tokio::select! {
                biased;
                () = leaving.cancelled() => break Ended::interrupted(),
                () = lost.cancelled() => break Ended::interrupted(),
                () = gone.cancelled() => break Ended::with(Outcome::Cancelled),
                () = self.cancel.cancelled(), if !cancelled => {
                    cancelled = true;
                    until = Instant::now() + CANCELLED;
                    agent.cancel().await;
                    continue;
                }
                () = tokio::time::sleep_until(until) => {
                    if cancelled {
                        // It does not listen, so it gets no time to end by itself.
                        *seated = None;
                        return Ended::with(Outcome::Cancelled);
                    }
                    let heard_until = agent.last_heard() + silence;
                    if heard_until > Instant::now() {
                        until = heard_until;
                        continue;
                    }
                    if self.open.load(Ordering::Relaxed) == 0 {
                        let why = format!("The agent gave no sign of life for {} seconds.", silence.as_secs());
                        break Ended::with(Outcome::Failed(why));
                    }
                    // It waits for a person, who may take as long as the question lasts.
                    until = Instant::now() + silence;
                    continue;
                }
                update = next => update,
            };
            if !cancelled {
                until = Instant::now() + silence;
            }
            match update {
                Ok(Update::Text(mut text)) => {
                    while text.len() < PIECE {
                        match agent.next().now_or_never() {
                            Some(Ok(Update::Text(more))) => text.push_str(&more),
                            other => {
                                waiting = other;
                                break;
                            }
                        }
                    }
                    self.say(&text).await;
                }
                Ok(Update::TurnEnd(end)) => return Ended { end, interrupted: false },
                Ok(Update::Session(session)) => {
                    let cwd = self.turn.repo_name.is_some().then(|| cwd.to_string_lossy().into_owned());
                    self.chats.remember(self.chat.id, Some(session), cwd).await;
                }
                Ok(update) => self.tell(update, cwd).await,
                Err(_) if cancelled => break Ended::with(Outcome::Cancelled),
                Err(error) => break Ended::with(Outcome::Failed(error.to_string())),
            }
        };
        // It did not come to the turn's end by itself, so nobody knows what it would do with the next one.
        if let Some(Seated { agent, .. }) = seated.take() {
            agent.close().await;
        }
        ended
    }

    async fn say(&self, mut text: &str) {
        let turn_id = self.turn.id;
        while !text.is_empty() {
            let (piece, rest) = text.split_at(text.floor_char_boundary(PIECE.min(text.len())));
            let long = self.desk.live.add(turn_id, piece, |saying| {
                self.announce(|| {
                    let super::Saying { message_id, after, .. } = *saying;
                    let (content, offset) = (piece.to_owned(), saying.text.len() as u64);
                    ChatEvent::AssistantMessage { turn_id, message_id, content, offset, after: Some(after) }
                });
            });
            if long {
                self.flush().await;
            }
            text = rest;
        }
    }

    /// Stores what was said as a message.
    async fn flush(&self) {
        if let Some(saying) = self.desk.live.look() {
            let super::Saying { turn_id, message_id, text: content, .. } = saying;
            self.record(ChatEvent::AssistantMessage { turn_id, message_id, content, offset: 0, after: None }).await;
            self.desk.live.clear();
        }
    }

    fn status(&self, message: &str) {
        let message = clipped(message.to_owned(), LINE);
        self.announce(|| ChatEvent::AgentStatus { turn_id: self.turn.id, message });
    }

    async fn tell(&mut self, update: Update, cwd: &Path) {
        let turn_id = self.turn.id;
        let event = match update {
            Update::Status(message) => return self.status(&message),
            Update::Thought(content) => {
                let content = clipped(content, THOUGHT);
                return self.announce(|| ChatEvent::AgentThought { turn_id, content });
            }
            Update::EndOfText => return self.flush().await,
            // Dropped, it counts as withdrawn.
            Update::Permission(_) if self.open.load(Ordering::Relaxed) >= QUESTIONS => return,
            Update::Permission(permission) => {
                self.flush().await;
                let asking = question::Asking {
                    chats: self.chats.clone(),
                    chat: self.chat.clone(),
                    desk: self.desk.clone(),
                    turn_id,
                    cwd: cwd.to_string_lossy().into_owned(),
                    cancel: self.cancel.clone(),
                    open: self.open.clone(),
                };
                self.questions.spawn(asking.ask(permission));
                return;
            }
            Update::Plan(steps) => {
                let entries = steps.into_iter().take(STEPS).map(|step| PlanStep {
                    content: clipped(step.content, LINE),
                    status: match step.progress {
                        Progress::Pending => "pending",
                        Progress::InProgress => "in_progress",
                        Progress::Completed => "completed",
                    }
                    .to_owned(),
                });
                ChatEvent::Plan { turn_id, entries: entries.collect() }
            }
            Update::ToolCall(call) => {
                let tool_input = bounded(call.input, INPUT);
                let (tool_id, tool_name) = (clipped(call.id, LINE), clipped(call.name, LINE));
                ChatEvent::ToolUse { turn_id, tool_id, tool_name, tool_input }
            }
            Update::ToolResult(result) => {
                let (tool_id, content, is_error) = (clipped(result.id, LINE), result.content, result.is_error);
                ChatEvent::ToolResult { turn_id, tool_id, content, is_error }
            }
            Update::Patch(patch) => ChatEvent::Patch { turn_id, path: clipped(patch.path, LINE), diff: patch.diff },
            // Handled where the turn is followed.
            Update::Text(_) | Update::Session(_) | Update::TurnEnd(_) => return,
        };
        self.flush().await;
        self.record(event).await;
    }

    fn announce(&self, event: impl FnOnce() -> ChatEvent) {
        self.chats.0.log.announce(&self.stream, || event().of(self.chat.id, self.chats.0.clock.now()));
    }

    async fn record(&self, event: ChatEvent) {
        self.chats.record(self.desk, self.chat.id, event).await;
    }
}

impl Chats {
    /// Appends an event to a chat that this server has. Waits for a database that is away; gives up what it refuses.
    pub(super) async fn record(&self, desk: &Desk, chat_id: Uuid, event: ChatEvent) {
        let (clock, server) = (&self.0.clock, self.0.server);
        let event = event.of(chat_id, clock.now());
        let mut again = false;
        loop {
            let event = event.clone();
            let appended = self.0.log.transact(None, move |work: &mut Work<'_>| {
                let event = event.clone();
                Box::pin(async move {
                    let connection = work.tx().connection();
                    if !chats::is_held(connection, chat_id, server).await? {
                        return Ok(None);
                    }
                    // An attempt that was not answered may have been written all the same.
                    if again && let Some(seq) = events::find_new(connection, &event.stream, event.id, NEW).await? {
                        return Ok(Some(seq));
                    }
                    let placed = work.append(vec![event]).await?;
                    Ok::<_, ApiError>(placed.first().map(|event| event.seq))
                })
            });
            match appended.await {
                Ok(Some(seq)) => return desk.live.stored(seq),
                Ok(None) => return desk.lost.cancel(),
                Err(error) if error.code == ErrorCode::Internal => {
                    return tracing::error!(%chat_id, %error, "what an agent told can't be written down");
                }
                Err(error) => {
                    tracing::warn!(%chat_id, %error, "could not write down what an agent told; will try again");
                }
            }
            again = true;
            if !self.pause(desk).await {
                return;
            }
        }
    }

    /// Waits before something is tried again. `false`: it is not to be tried any more.
    pub(super) async fn pause(&self, desk: &Desk) -> bool {
        let clock = &self.0.clock;
        tokio::select! {
            () = clock.sleep_until(clock.now() + PAUSE) => true,
            () = self.0.desks.leaving.cancelled() => false,
            () = desk.lost.cancelled() => false,
            () = desk.gone.cancelled() => false,
        }
    }
}

/// A tool's input, unless it is too large to be shown to everybody.
pub(super) fn bounded(input: JsonObject, most: usize) -> JsonObject {
    let size = serde_json::to_string(&input).map_or(0, |text| text.len());
    if size <= most {
        return input;
    }
    let told = format!("{size} bytes; more than {most} are not shown");
    JsonObject([("omitted".to_owned(), told.into())].into_iter().collect())
}
