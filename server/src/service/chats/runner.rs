//! Works on one chat: one turn after the other, with one agent that stays as long as there is something to say.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use flightdeck_api::generated::types::ChatTurnStatus;
use flightdeck_api::support::ApiError;
use uuid::Uuid;

use super::Chats;
use super::desk::{Desk, HELD};
use super::event::ChatEvent;
use super::seats::{Seat, Wish};
use super::turn::{Ended, Performance};
use crate::log::Work;
use crate::service::agents::Agent;
use crate::service::agents::update::{Outcome, TurnEnd};
use crate::service::runs::{self, Milestone};
use crate::store::chats::{self, ChatChange, ChatRow};
use crate::store::turns::{self, TurnRow};
use crate::store::workspaces::Scope;

/// Before it tries again when the database is away, in milliseconds.
const PAUSE: i64 = 1_000;

/// What a person reads of a turn that the server did not live to see the end of.
const INTERRUPTED: &str = "The server went away while the agent was working on this. Send the message again to go on.";

/// An agent that waits for its next turn.
pub(super) struct Seated {
    pub(super) agent: Box<dyn Agent>,
    pub(super) name: String,
    pub(super) cwd: PathBuf,
}

/// What there is to do.
enum Next {
    /// A turn, and the place at which it begins.
    Turn(Box<(ChatRow, TurnRow)>, i64),
    /// Nothing for now.
    Nothing,
    /// Another server does it.
    Elsewhere,
    /// The chat is deleted.
    Gone,
}

/// Works until there is nothing to do for a while.
pub(super) async fn run(chats: Chats, chat_id: Uuid, desk: Arc<Desk>) {
    let mut seated: Option<(Seated, Seat)> = None;
    let clock = chats.0.clock.clone();
    let leaving = chats.0.desks.leaving.clone();
    let idle = i64::try_from(chats.0.limits.idle.as_millis()).unwrap_or(i64::MAX);
    // From the end of the last turn on, whatever else rings meanwhile.
    let mut idle_until = i64::MAX;
    let mut wish: Option<Wish> = None;
    let ended = |desk: &Desk| leaving.is_cancelled() || desk.gone.is_cancelled() || desk.lost.is_cancelled();
    let holds = loop {
        if ended(&desk) {
            break !desk.lost.is_cancelled();
        }
        let seat = match &mut seated {
            Some(_) => None,
            None => tokio::select! {
                seat = chats.0.seats.take() => Some(seat),
                () = desk.gone.cancelled() => continue,
                () = desk.lost.cancelled() => continue,
                () = leaving.cancelled() => continue,
            },
        };
        let until = match chats.next_turn(chat_id).await {
            Ok(Next::Turn(next, begins)) => {
                desk.is_held.store(true, Ordering::Release);
                desk.live.stored(begins);
                let (chat, turn) = *next;
                let (agent, seat) = seated.take().map_or((None, seat), |(agent, seat)| (Some(agent), Some(seat)));
                let agent = chats.work_on(chat, turn, &desk, agent).await;
                seated = agent.zip(seat);
                idle_until = clock.now().saturating_add(idle);
                continue;
            }
            Ok(Next::Nothing) if seated.is_some() => idle_until,
            Ok(Next::Nothing | Next::Gone) => break true,
            Ok(Next::Elsewhere) => break false,
            Err(error) => {
                tracing::warn!(%chat_id, %error, "could not look for a chat's next turn; will try again");
                clock.now().saturating_add(PAUSE)
            }
        };
        drop(seat);
        tokio::select! {
            () = desk.bell.notified() => {}
            () = clock.sleep_until(until) => if until == idle_until { break true },
            wanted = chats.0.seats.wanted(), if seated.is_some() => {
                wish = Some(wanted);
                break true;
            }
            () = desk.gone.cancelled() => {}
            () = desk.lost.cancelled() => {}
            () = leaving.cancelled() => {}
        }
    };
    if let Some((Seated { agent, .. }, seat)) = seated.take() {
        agent.close().await;
        // Who wished for it may be gone; then it is free.
        let _ = wish.map(|wish| wish.send(seat));
    }
    desk.is_held.store(false, Ordering::Release);
    if holds && let Err(error) = chats.let_go(chat_id).await {
        tracing::debug!(%chat_id, %error, "could not let go of a chat; others wait until its time is up");
    }
    chats.0.desks.clear(chat_id);
    // Somebody may have said something after the last look; whoever rang then found this desk.
    if holds && matches!(turns::first(chats.0.store.reader(), chat_id, "queued").await, Ok(Some(_))) {
        chats.wake(chat_id);
    }
}

impl Chats {
    /// Takes the chat, and the next of its turns.
    async fn next_turn(&self, chat_id: Uuid) -> Result<Next, ApiError> {
        let (holder, now) = ((self.0.server, self.0.home), self.0.clock.now());
        let taken =
            self.0.log.transact(None, move |work: &mut Work<'_>| Box::pin(next_turn(work, chat_id, holder, now)));
        let (next, interrupted) = taken.await?;
        for turn_id in interrupted {
            self.withdraw_all_of(turn_id).await;
        }
        Ok(next)
    }

    /// Takes back what a turn that is over has asked: nobody would act on the answers. What can't be taken back expires.
    pub(super) async fn withdraw_all_of(&self, turn_id: Uuid) {
        if let Err(error) = self.0.approvals.withdraw_all_of(turn_id).await {
            tracing::warn!(%turn_id, %error, "could not take back what a turn asked");
        }
    }

    async fn let_go(&self, chat_id: Uuid) -> Result<(), ApiError> {
        let server = self.0.server;
        let released = self.0.log.transact(None, move |work: &mut Work<'_>| {
            Box::pin(
                async move { chats::release(work.tx().connection(), chat_id, server).await.map_err(ApiError::from) },
            )
        });
        released.await
    }

    /// Does one turn, and writes down how it ended. Gives the agent that can go on with the next one.
    async fn work_on(
        &self,
        chat: ChatRow,
        turn: TurnRow,
        desk: &Arc<Desk>,
        mut agent: Option<Seated>,
    ) -> Option<Seated> {
        let begun = self.0.clock.monotonic();
        let cancel = desk.begin(turn.id);
        let performance = Performance::new(self, &chat, &turn, desk, cancel);
        let ended = performance.perform(&mut agent).await;
        desk.end();
        let took = u64::try_from((self.0.clock.monotonic() - begun).as_millis()).unwrap_or(u64::MAX);
        // A turn that is over must be known to be over: nothing else of the chat goes on before.
        while !desk.lost.is_cancelled() {
            match self.finish(&chat, &turn, &ended, took).await {
                Ok(()) => {
                    // Each question is taken back by itself, unless the database failed in the middle of it.
                    self.withdraw_all_of(turn.id).await;
                    break;
                }
                Err(error) => tracing::warn!(chat_id = %chat.id, %error, "could not end a turn; will try again"),
            }
            let clock = &self.0.clock;
            tokio::select! {
                () = clock.sleep_until(clock.now() + PAUSE) => {}
                () = desk.lost.cancelled() => {}
                // The next server finds a turn that nobody works on.
                () = self.0.desks.leaving.cancelled() => break,
            }
        }
        desk.live.clear();
        agent
    }

    async fn finish(&self, chat: &ChatRow, turn: &TurnRow, ended: &Ended, took: u64) -> Result<(), ApiError> {
        let (chat, turn, ended, now) = (chat.clone(), turn.clone(), ended.clone(), self.0.clock.now());
        let server = self.0.server;
        self.0
            .log
            .transact(None, move |work: &mut Work<'_>| {
                let (chat, turn, ended) = (chat.clone(), turn.clone(), ended.clone());
                Box::pin(async move {
                    // Who has taken the chat has ended the turn.
                    if chats::is_held(work.tx().connection(), chat.id, server).await? {
                        end(work, &chat, &turn, ended, took, now).await?;
                    }
                    Ok::<_, ApiError>(())
                })
            })
            .await
    }

    /// Where a turn is worked on, and what the agent is told.
    ///
    /// # Errors
    /// If there can't be such a place; the text is for the person.
    pub(super) async fn place(&self, chat: &ChatRow, turn: &TurnRow) -> Result<(PathBuf, String), String> {
        if let Some(repo_name) = &turn.repo_name {
            if chat.home.is_some() {
                return Err("A task's agent has a folder of its own. Start research in another chat.".to_owned());
            }
            return self.0.research.prepare(chat.workspace_id, &turn.content, repo_name).await;
        }
        let cwd = chat.cwd.as_ref().map_or_else(|| self.folder(chat.id), PathBuf::from);
        if chat.home.is_none() {
            make_folder(&cwd).await?;
        } else if !tokio::fs::try_exists(&cwd).await.unwrap_or(false) {
            return Err(
                "The task that this chat belonged to is over, and its folder is gone. Start another task.".to_owned()
            );
        }
        Ok((cwd, turn.content.clone()))
    }

    /// The chat's own folder.
    pub(super) fn folder(&self, chat_id: Uuid) -> PathBuf {
        self.0.limits.folder.join(chat_id.to_string())
    }

    /// Remembers what is needed to take the agent up again, unless another server has the chat by now.
    pub(super) async fn remember(&self, chat_id: Uuid, agent_session: Option<String>, cwd: Option<String>) {
        let (change, server) = (ChatChange { agent_session, cwd, ..ChatChange::default() }, self.0.server);
        let remembered = self.0.log.transact(None, move |work: &mut Work<'_>| {
            let change = change.clone();
            Box::pin(async move {
                let connection = work.tx().connection();
                if chats::is_held(connection, chat_id, server).await? {
                    chats::change(connection, chat_id, change).await?;
                }
                Ok::<_, ApiError>(())
            })
        });
        if let Err(error) = remembered.await {
            tracing::warn!(%chat_id, %error, "could not remember an agent's session");
        }
    }
}

pub(super) async fn make_folder(folder: &Path) -> Result<(), String> {
    let made = tokio::fs::create_dir_all(folder).await;
    made.map_err(|error| format!("The folder {} can't be made: {error}", folder.display()))
}

/// What there is to do, and the turns that were found interrupted.
async fn next_turn(
    work: &mut Work<'_>,
    chat_id: Uuid,
    (server, home): (Uuid, Uuid),
    now: i64,
) -> Result<(Next, Vec<Uuid>), ApiError> {
    let connection = work.tx().connection();
    if !chats::hold(connection, chat_id, server, home, now, now + HELD).await? {
        return Ok((Next::Elsewhere, Vec::new()));
    }
    let Some(chat) = chats::find(connection, chat_id, &Scope::All).await? else {
        return Ok((Next::Gone, Vec::new()));
    };
    // Whoever worked on it is gone: this server has the chat, and works on nothing.
    let interrupted = interrupt(work, &chat, now).await?;
    let connection = work.tx().connection();
    let Some(turn) = turns::first(connection, chat_id, "queued").await? else {
        return Ok((Next::Nothing, interrupted));
    };
    turns::advance(connection, turn.id, ("queued", "running"), None, now).await?;
    runs::mark(work, &milestone(&chat, &turn, "RUN_STARTED", None), now).await?;
    let event = ChatEvent::Turn { turn_id: turn.id, status: ChatTurnStatus::Running, error: None };
    let placed = work.append(vec![event.of(chat_id, now)]).await?;
    let begins = placed.first().map_or(0, |event| event.seq);
    Ok((Next::Turn(Box::new((chat, turn)), begins), interrupted))
}

/// Ends the turns of a chat that run and that nobody works on any more, and returns them.
pub(super) async fn interrupt(work: &mut Work<'_>, chat: &ChatRow, now: i64) -> Result<Vec<Uuid>, ApiError> {
    let mut interrupted = Vec::new();
    while let Some(turn) = turns::first(work.tx().connection(), chat.id, "running").await? {
        let took = u64::try_from(now - turn.started_at.unwrap_or(now)).unwrap_or(0);
        end(work, chat, &turn, Ended::interrupted(), took, now).await?;
        interrupted.push(turn.id);
    }
    Ok(interrupted)
}

/// Ends a turn that runs, if it still does.
async fn end(
    work: &mut Work<'_>,
    chat: &ChatRow,
    turn: &TurnRow,
    ended: Ended,
    took: u64,
    now: i64,
) -> Result<(), ApiError> {
    let Ended { end: TurnEnd { outcome, cost, usage }, interrupted } = ended;
    let (status, error) = match (&outcome, interrupted) {
        (_, true) => (ChatTurnStatus::Interrupted, Some(INTERRUPTED.to_owned())),
        (Outcome::Finished, _) => (ChatTurnStatus::Finished, None),
        (Outcome::Cancelled, _) => (ChatTurnStatus::Cancelled, None),
        (Outcome::Failed(why), _) => (ChatTurnStatus::Failed, Some(why.replace('\0', ""))),
    };
    let steps = ("running", status.as_str());
    if !turns::advance(work.tx().connection(), turn.id, steps, error.clone(), now).await? {
        return Ok(());
    }
    let kind = match status {
        ChatTurnStatus::Finished => "RUN_FINISHED",
        ChatTurnStatus::Cancelled => "RUN_STOPPED",
        _ => "RUN_FAILED",
    };
    runs::mark(work, &milestone(chat, turn, kind, error.as_deref()), now).await?;
    let turn_id = turn.id;
    let usage = usage.map(|usage| (usage.input_tokens, usage.output_tokens));
    let mut events = vec![ChatEvent::Turn { turn_id, status, error: error.clone() }];
    if error.is_none() {
        events.push(ChatEvent::Result { turn_id, status, cost, duration_ms: took, usage });
    }
    work.append(events.iter().map(|event| event.of(chat.id, now)).collect()).await?;
    chats::change(work.tx().connection(), chat.id, ChatChange { updated_at: Some(now), ..ChatChange::default() })
        .await?;
    Ok(())
}

fn milestone<'m>(chat: &'m ChatRow, turn: &TurnRow, kind: &'static str, message: Option<&'m str>) -> Milestone<'m> {
    Milestone {
        run_id: turn.id,
        workspace_id: chat.workspace_id,
        provider: &chat.agent,
        kind,
        message,
        facts: serde_json::Value::Null,
    }
}
