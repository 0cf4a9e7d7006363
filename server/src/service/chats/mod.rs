//! Chats: conversations of people with agents that this server runs.
//!
//! What is said is in the log, in the stream of the chat; who is next is in the table of turns. A chat's agent belongs to one
//! server at a time, which holds the chat (`desk`); what anybody says or cancels reaches that server through the log. A turn
//! is a run as well, so its approvals and its life are shown wherever runs are.

mod desk;
pub mod event;
mod live;
mod question;
mod remove;
pub mod research;
mod runner;
mod say;
mod seats;
mod turn;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use flightdeck_api::generated::errors::ErrorCode;
use flightdeck_api::support::ApiError;
use uuid::Uuid;

use super::agents::Agents;
use super::approvals::Approvals;
use super::idempotency;
use crate::clock::Clock;
use crate::log::{Log, NonceGuard, Reader, ReaderLimits, Work};
use crate::store::chats::{self, ChatChange, ChatRow};
use crate::store::events::{EventRow, PageLimits};
use crate::store::idempotency::Claim;
use crate::store::turns::{self, TurnRow};
use crate::store::workspaces::{self, Scope, WorkspaceRow};
use crate::store::{Store, StoreError, events, facts, streams};

pub use desk::{Signals, attend, tend};
pub use event::{ChatEvent, chat_stream};
pub use live::Saying;
pub use remove::remove_deleted;
pub(super) use say::title_of;
pub use say::{Said, Saying as Say, claim_of};

use desk::Desks;
use research::Research;
use seats::Seats;

/// Chats that are listed at once.
const LISTED: u64 = 1_000;

/// Turns that are over and listed.
const OVER: u64 = 100;

/// Bytes of messages in one answer.
const PAGE_BYTES: usize = 8 << 20;

/// The fact that names the server's own workspace.
const OWN_WORKSPACE: &str = "own_workspace";

/// Chats. Cheap to clone.
#[derive(Clone)]
pub struct Chats(Arc<Parts>);

struct Parts {
    store: Store,
    log: Log,
    clock: Arc<dyn Clock>,
    agents: Agents,
    approvals: Approvals,
    research: Research,
    limits: Limits,
    /// Names this server among those that share the database.
    server: Uuid,
    /// Names its machine: chats that have another home are none of its business.
    home: Uuid,
    desks: Desks,
    seats: Seats,
}

/// What chats may take.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Where chats have their folders.
    pub folder: PathBuf,
    /// Messages that may wait in one chat.
    pub queued: u64,
    /// Agents that run at once.
    pub agents: usize,
    /// After this long without a message, an agent is ended; the next message starts it again.
    pub idle: Duration,
    /// After this long without a sign of a turn, it has failed.
    pub silence: Duration,
}

/// A chat, and what its agent does.
#[derive(Debug, Clone)]
pub struct CountedChat {
    pub chat: ChatRow,
    pub runs: bool,
    pub queued: u64,
    pub last_seq: i64,
}

/// A chat that does not exist yet.
#[derive(Debug, Clone, Default)]
pub struct NewChat {
    pub title: Option<String>,
    pub agent: Option<String>,
    pub workspace_id: Option<Uuid>,
}

/// A chat in a folder of this machine.
#[derive(Debug, Clone)]
pub(super) struct HomeChat {
    pub(super) id: Uuid,
    pub(super) workspace_id: Uuid,
    pub(super) title: String,
    pub(super) agent: String,
    pub(super) cwd: String,
}

/// What chats are made of.
pub struct Foundation {
    pub store: Store,
    pub log: Log,
    pub clock: Arc<dyn Clock>,
    pub agents: Agents,
    pub approvals: Approvals,
    pub research: Research,
    pub limits: Limits,
    pub home: Uuid,
}

impl Chats {
    #[must_use]
    pub fn new(foundation: Foundation) -> Self {
        let Foundation { store, log, clock, agents, approvals, research, limits, home } = foundation;
        let (server, desks, seats) = (Uuid::new_v4(), Desks::default(), Seats::new(limits.agents));
        Self(Arc::new(Parts { store, log, clock, agents, approvals, research, limits, server, home, desks, seats }))
    }

    /// Creates a chat.
    ///
    /// # Errors
    /// `agent_unknown`, `workspace_not_found`, `idempotency_key_reused`.
    pub async fn create(
        &self,
        scope: &Scope,
        new: NewChat,
        claim: Option<Claim>,
        nonce: Option<NonceGuard>,
    ) -> Result<CountedChat, ApiError> {
        let agent = self.0.agents.name(new.agent.as_deref()).ok_or_else(|| ApiError::new(ErrorCode::AgentUnknown))?;
        let agent = agent.to_owned();
        let workspace_id = self.workspace(scope, new.workspace_id).await?;
        let now = self.0.clock.now();
        let title = new.title;
        let id = self
            .0
            .log
            .transact(nonce, move |work: &mut Work<'_>| {
                let (agent, title, claim) = (agent.clone(), title.clone(), claim.clone());
                Box::pin(async move {
                    if let Some(answer) = idempotency::known(work, claim.as_ref()).await? {
                        return Uuid::from_slice(&answer).map_err(|_| ErrorCode::Internal.into());
                    }
                    let id = Uuid::now_v7();
                    let row = ChatRow {
                        id,
                        workspace_id,
                        title,
                        agent,
                        agent_session: None,
                        cwd: None,
                        created_at: now,
                        updated_at: now,
                        deleted_at: None,
                        held_by: None,
                        held_until: 0,
                        home: None,
                    };
                    chats::insert(work.tx().connection(), row).await?;
                    idempotency::remember(work, claim.as_ref(), id.as_bytes(), now).await?;
                    Ok::<_, ApiError>(id)
                })
            })
            .await?;
        self.get(scope, id).await
    }

    /// Writes down a chat whose agent works in `cwd`, a folder of this machine that somebody else looks after, and what is
    /// said in it first.
    pub(super) async fn begin_at_home(
        &self,
        work: &mut Work<'_>,
        new: HomeChat,
        prompt: String,
        now: i64,
    ) -> Result<(), ApiError> {
        let HomeChat { id, workspace_id, title, agent, cwd } = new;
        let row = ChatRow {
            id,
            workspace_id,
            title: Some(title),
            agent,
            agent_session: None,
            cwd: Some(cwd),
            created_at: now,
            updated_at: now,
            deleted_at: None,
            held_by: None,
            held_until: 0,
            home: Some(self.0.home),
        };
        chats::insert(work.tx().connection(), row.clone()).await?;
        say::said(work, &row, &Say::Message(prompt), self.0.limits.queued, now).await.map(|_| ())
    }

    /// Takes back what waits, and ends what runs. What cannot be told now is ended by whoever looks after the chat.
    pub(super) async fn silence(&self, id: Uuid) -> Result<(), ApiError> {
        for turn in turns::list(self.0.store.reader(), id, 0).await?.into_iter().rev() {
            match self.cancel(&Scope::All, id, Some(turn.id), None).await {
                Err(error) if error.code != ErrorCode::ChatNotFound && error.code != ErrorCode::TurnNotFound => {
                    return Err(error);
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The chats in view, newest first; at most a thousand.
    ///
    /// # Errors
    /// `unavailable`.
    pub async fn list(&self, scope: &Scope) -> Result<Vec<CountedChat>, ApiError> {
        Ok(self.count(chats::list(self.0.store.reader(), scope, LISTED).await?).await?)
    }

    /// # Errors
    /// `chat_not_found`.
    pub async fn get(&self, scope: &Scope, id: Uuid) -> Result<CountedChat, ApiError> {
        let row = self.find(scope, id).await?;
        self.count(vec![row]).await?.pop().ok_or_else(|| ErrorCode::ChatNotFound.into())
    }

    /// Gives a chat another title.
    ///
    /// # Errors
    /// `chat_not_found`.
    pub async fn rename(
        &self,
        scope: &Scope,
        id: Uuid,
        title: String,
        nonce: Option<NonceGuard>,
    ) -> Result<CountedChat, ApiError> {
        self.find(scope, id).await?;
        let change = ChatChange { title: Some(title), updated_at: Some(self.0.clock.now()), ..ChatChange::default() };
        self.change(id, change, nonce).await?;
        self.get(scope, id).await
    }

    /// Finished messages after `since`, in order.
    ///
    /// # Errors
    /// `chat_not_found`.
    pub async fn messages(&self, scope: &Scope, id: Uuid, since: i64, limit: u64) -> Result<Vec<EventRow>, ApiError> {
        self.find(scope, id).await?;
        let limits = PageLimits { events: limit, bytes: PAGE_BYTES };
        let reader = self.0.store.reader();
        Ok(events::of_kinds(reader, &chat_stream(id), &event::MESSAGES, since, limits).await?)
    }

    /// The last finished messages up to the chat's end, which comes first; and whether they are all.
    ///
    /// # Errors
    /// `chat_not_found`.
    pub async fn history(&self, scope: &Scope, id: Uuid, bytes: usize) -> Result<(i64, Vec<EventRow>, bool), ApiError> {
        self.find(scope, id).await?;
        let reader = self.0.store.reader();
        let stream = chat_stream(id);
        let last = streams::find(reader, &stream).await?.map_or(0, |row| row.last_seq);
        let (mut rows, complete) = events::last_of_kinds(reader, &stream, &event::MESSAGES, last, bytes).await?;
        rows.reverse();
        Ok((last, rows, complete))
    }

    /// The turns of a chat that are not over, and the last of the others.
    ///
    /// # Errors
    /// `chat_not_found`.
    pub async fn turns(&self, scope: &Scope, id: Uuid) -> Result<Vec<TurnRow>, ApiError> {
        self.find(scope, id).await?;
        Ok(turns::list(self.0.store.reader(), id, OVER).await?)
    }

    /// What the turn that runs has said so far and not stored, if this server runs it.
    #[must_use]
    pub fn saying(&self, id: Uuid) -> Option<Saying> {
        self.0.desks.find(id)?.live.look()
    }

    /// Where the agent's last message up to `seq` is; 0 if there is none.
    ///
    /// # Errors
    /// If the database can't be reached.
    pub async fn last_said(&self, id: Uuid, seq: i64) -> Result<i64, ApiError> {
        let (reader, stream) = (self.0.store.reader(), chat_stream(id));
        let (last, _) = events::last_of_kinds(reader, &stream, &event::MESSAGES[1..], seq, 0).await?;
        Ok(last.first().map_or(0, |row| row.seq))
    }

    /// Fails unless the caller may see the chat.
    ///
    /// # Errors
    /// `chat_not_found`.
    pub async fn require(&self, scope: &Scope, id: Uuid) -> Result<(), ApiError> {
        self.find(scope, id).await.map(|_| ())
    }

    /// The agents that can be named.
    #[must_use]
    pub fn agents(&self) -> &Agents {
        &self.0.agents
    }

    /// Follows chats.
    #[must_use]
    pub fn reader(&self, limits: ReaderLimits) -> Reader {
        self.0.log.reader(limits)
    }

    async fn find(&self, scope: &Scope, id: Uuid) -> Result<ChatRow, ApiError> {
        chats::find(self.0.store.reader(), id, scope).await?.ok_or_else(|| ErrorCode::ChatNotFound.into())
    }

    async fn count(&self, rows: Vec<ChatRow>) -> Result<Vec<CountedChat>, StoreError> {
        let reader = self.0.store.reader();
        let ids: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
        let open = turns::open(reader, &ids).await?;
        let heads = streams::heads(reader, ids.iter().map(|id| chat_stream(*id))).await?;
        let counted = rows.into_iter().map(|chat| {
            let (running, queued) = open.get(&chat.id).copied().unwrap_or_default();
            let last_seq = heads.get(&chat_stream(chat.id)).copied().unwrap_or(0);
            CountedChat { chat, runs: running > 0, queued, last_seq }
        });
        Ok(counted.collect())
    }

    async fn change(&self, id: Uuid, change: ChatChange, nonce: Option<NonceGuard>) -> Result<(), ApiError> {
        let done = self.0.log.transact(nonce, move |work: &mut Work<'_>| {
            let change = change.clone();
            Box::pin(async move { Ok::<_, ApiError>(chats::change(work.tx().connection(), id, change).await?) })
        });
        if done.await? { Ok(()) } else { Err(ErrorCode::ChatNotFound.into()) }
    }

    /// The workspace of a new chat: the one named, the caller's newest, or, for who sees all, the server's own.
    pub(super) async fn workspace(&self, scope: &Scope, named: Option<Uuid>) -> Result<Uuid, ApiError> {
        let reader = self.0.store.reader();
        let row = match (named, scope) {
            (Some(id), _) => workspaces::find(reader, id, scope).await?,
            (None, Scope::Workspaces(_)) => workspaces::list(reader, scope, None, 1).await?.pop(),
            (None, Scope::All) => return self.own_workspace().await,
        };
        row.map(|row| row.id).ok_or_else(|| ErrorCode::WorkspaceNotFound.into())
    }

    async fn own_workspace(&self) -> Result<Uuid, ApiError> {
        let now = self.0.clock.now();
        self.0
            .log
            .transact(None, move |work: &mut Work<'_>| {
                Box::pin(async move {
                    let connection = work.tx().connection();
                    let id = facts::settle(connection, OWN_WORKSPACE, &Uuid::new_v4().to_string()).await?;
                    let id: Uuid = id.parse().map_err(|_| ApiError::new(ErrorCode::Internal))?;
                    if workspaces::find(connection, id, &Scope::All).await?.is_none() {
                        let row = WorkspaceRow {
                            id,
                            device_id: None,
                            machine_id: "flightdeck-server".to_owned(),
                            display_name: "This server".to_owned(),
                            project_fingerprint: "chats".to_owned(),
                            created_at: now,
                            updated_at: now,
                        };
                        workspaces::insert(connection, row).await?;
                    }
                    Ok::<_, ApiError>(id)
                })
            })
            .await
    }
}
