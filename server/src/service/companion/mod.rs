//! The companion: agents that are talked to from elsewhere. They register, get messages and send some; whether their
//! machines are there is told in `presence`.

mod event;
mod presence;

use std::sync::Arc;

use dashmap::DashSet;
use flightdeck_api::generated::errors::ErrorCode;
use flightdeck_api::generated::types::{
    AgentEventDraft, AgentEventSender, AgentEventType, AgentRegistration, MessageSend,
};
use flightdeck_api::support::{ApiError, JsonObject};
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::clock::Clock;
use crate::log::{Append, Appended, Log, Reader, ReaderLimits, Work, WriteError, agent_stream};
use crate::store::agents::{self, Registration, SeenAgent};
use crate::store::events::{self, EventRow, NewEvent, PageLimits};
use crate::store::idempotency::Claim;
use crate::store::{Store, StoreError};
use event::Envelope;

pub use event::Status;
pub use presence::sweep;

/// The least and the most messages that one page holds.
const PAGE: std::ops::RangeInclusive<i64> = 1..=200;

/// Payload bytes after which a page of messages ends early.
const PAGE_BYTES: usize = 8 << 20;

/// The property of a reported event's payload by which whoever sent it knows it again.
const OWN_ID: &str = "client_msg_id";

const MESSAGES: [&str; 2] = [AgentEventType::MessageIn.as_str(), AgentEventType::MessageOut.as_str()];

/// Agents, and what is said to them and by them.
#[derive(Clone)]
pub struct Companion(Arc<Parts>);

struct Parts {
    store: Store,
    log: Log,
    clock: Arc<dyn Clock>,
    /// How long a message's own id is remembered, in milliseconds: as long as the message is.
    remembers: i64,
    /// Agents that exist. None is ever deleted.
    known: DashSet<Uuid>,
}

impl Companion {
    /// `kept` is for how long an agent's events are, in milliseconds; `None` is for ever.
    #[must_use]
    pub fn new(store: Store, log: Log, clock: Arc<dyn Clock>, kept: Option<i64>) -> Self {
        Self(Arc::new(Parts { store, log, clock, remembers: kept.unwrap_or(i64::MAX), known: DashSet::new() }))
    }

    /// Makes an agent known, or changes what is known of the one of that name; returns its id.
    ///
    /// # Errors
    /// `unavailable`.
    pub async fn register(&self, registration: AgentRegistration) -> Result<Uuid, ApiError> {
        let AgentRegistration { name, platform, meta, user_id, tenant_id } = registration;
        let meta = meta.take().as_ref().map(serde_json::to_string).transpose();
        let registration = Registration {
            name: name.trim().to_owned(),
            platform: platform.take(),
            meta: meta.map_err(|_| ApiError::new(ErrorCode::Internal))?,
            user_id: user_id.take(),
            tenant_id: tenant_id.take(),
        };
        let now = self.now();
        let registered = self.0.log.transact(None, move |work: &mut Work<'_>| {
            let registration = registration.clone();
            Box::pin(
                async move { Ok::<_, ApiError>(agents::register(work.tx().connection(), &registration, now).await?) },
            )
        });
        let id = registered.await?;
        self.0.known.insert(id);
        Ok(id)
    }

    /// Every agent, the one seen last first.
    ///
    /// # Errors
    /// `unavailable`.
    pub async fn list(&self) -> Result<Vec<SeenAgent>, ApiError> {
        Ok(agents::list(self.0.store.reader()).await?)
    }

    /// Fails unless there is such an agent.
    ///
    /// # Errors
    /// `agent_not_found`.
    pub async fn require(&self, agent_id: Uuid) -> Result<(), ApiError> {
        if self.0.known.contains(&agent_id) {
            return Ok(());
        }
        if !agents::exists(self.0.store.reader(), agent_id).await? {
            return Err(ErrorCode::AgentNotFound.into());
        }
        self.0.known.insert(agent_id);
        Ok(())
    }

    /// Stores a message to an agent, and returns its event's id and place; those of the first one if the agent has had a
    /// message of that id before.
    ///
    /// # Errors
    /// `agent_not_found`.
    pub async fn send(&self, message: MessageSend) -> Result<(Uuid, i64), ApiError> {
        #[derive(Serialize)]
        struct Payload<'m> {
            content: &'m str,
            #[serde(skip_serializing_if = "Option::is_none")]
            client_msg_id: Option<&'m str>,
        }
        let MessageSend { agent_id, content, client_msg_id, user_id, tenant_id } = &message;
        let client_msg_id = client_msg_id.value().map(String::as_str);
        self.require(*agent_id).await?;
        let envelope = Envelope {
            sender: AgentEventSender::Ios,
            payload: Payload { content, client_msg_id },
            user_id: user_id.value(),
            tenant_id: tenant_id.value(),
        };
        let event = envelope.event(*agent_id, AgentEventType::MessageIn, self.now())?;
        let claim = client_msg_id.map(|id| Claim {
            scope: format!("messages/{agent_id}"),
            key: id.to_owned(),
            // Whatever the message says: its id alone decides.
            request_digest: [0; 32],
            lifetime: self.0.remembers,
        });
        self.append(event, claim).await
    }

    /// Messages to an agent and from it after `since`, in order.
    ///
    /// # Errors
    /// `agent_not_found`.
    pub async fn messages(&self, agent_id: Uuid, since: i64, limit: i64) -> Result<Vec<EventRow>, ApiError> {
        self.require(agent_id).await?;
        let limit = limit.clamp(*PAGE.start(), *PAGE.end());
        let limits = PageLimits { events: limit.unsigned_abs(), bytes: PAGE_BYTES };
        let stream = agent_stream(agent_id);
        Ok(events::of_kinds(self.0.store.reader(), &stream, &MESSAGES, since, limits).await?)
    }

    /// Stores what a client of the agent reports: without more words something that the agent said. One that is sent again as
    /// it was, with the same id of the client's own, is not stored again; then this gives the first one's place.
    ///
    /// # Errors
    /// `invalid_message`, if it claims to be the server; `unavailable`.
    pub async fn publish(&self, agent_id: Uuid, draft: AgentEventDraft) -> Result<Option<i64>, ApiError> {
        // What the server says closes sockets and restarts agents.
        if draft.sender.value() == Some(&AgentEventSender::System) {
            return Err(ApiError::new(ErrorCode::InvalidMessage)
                .message("Only the server speaks as `system`.")
                .detail("/event/sender", "must be `pc` or `ios`"));
        }
        let nothing = JsonObject::default();
        let envelope = Envelope {
            sender: draft.sender.take().unwrap_or(AgentEventSender::Pc),
            payload: draft.payload.value().unwrap_or(&nothing),
            user_id: draft.user_id.value(),
            tenant_id: draft.tenant_id.value(),
        };
        let kind = draft.r#type.take().unwrap_or(AgentEventType::MessageOut);
        let event = envelope.event(agent_id, kind, self.now())?;
        let own_id = envelope.payload.get(OWN_ID).and_then(Value::as_str).filter(|id| is_own_id(id));
        let claim = own_id.map(|id| Claim {
            scope: format!("published/{agent_id}"),
            key: id.to_owned(),
            // An answer may well quote the id of what it answers, and is something else all the same.
            request_digest: Sha256::digest(format!("{} {}", event.kind, event.payload)).into(),
            lifetime: self.0.remembers,
        });
        let id = event.id;
        let (stored, seq) = match self.try_append(event.clone(), claim).await? {
            Some(place) => place,
            None => self.append(event, None).await?,
        };
        Ok((stored != id).then_some(seq))
    }

    /// The event of the agent at this place, if it is kept.
    ///
    /// # Errors
    /// `unavailable`.
    pub async fn event(&self, agent_id: Uuid, seq: i64) -> Result<Option<EventRow>, ApiError> {
        let found = self.0.log.read(&agent_stream(agent_id), seq - 1, 1).await?;
        Ok(found.into_iter().find(|event| event.seq == seq))
    }

    /// Tells the agent's machine, if it is there, to start the agent anew; returns the event that records it.
    ///
    /// # Errors
    /// `agent_not_found`.
    pub async fn restart(&self, agent_id: Uuid) -> Result<(Uuid, i64), ApiError> {
        self.require(agent_id).await?;
        self.append(Status::Restart.event(agent_id, self.now())?, None).await
    }

    /// The place of the agent's last event; 0 if it has none.
    ///
    /// # Errors
    /// `unavailable`.
    pub async fn last_seq(&self, agent_id: Uuid) -> Result<i64, ApiError> {
        Ok(self.0.log.extent(&agent_stream(agent_id)).await?.map_or(0, |stream| stream.last_seq))
    }

    /// The server's time, in Unix milliseconds.
    #[must_use]
    pub fn now(&self) -> i64 {
        self.0.clock.now()
    }

    /// Follows agents' events.
    #[must_use]
    pub fn reader(&self, limits: ReaderLimits) -> Reader {
        self.0.log.reader(limits)
    }

    async fn append(&self, event: NewEvent, claim: Option<Claim>) -> Result<(Uuid, i64), ApiError> {
        // Without a claim there is none that another request has, and one that looks at the id alone has no other.
        self.try_append(event, claim).await?.ok_or_else(|| ErrorCode::Internal.into())
    }

    /// `None`: the claim is another request's.
    async fn try_append(&self, event: NewEvent, claim: Option<Claim>) -> Result<Option<(Uuid, i64)>, ApiError> {
        let append = Append { event: Arc::new(event), run: None, claim };
        let appended = match self.0.log.append(append.clone(), None).await {
            // Another server has stored a message of the same id at this moment. Now it is known.
            Err(WriteError::Store(cause)) if matches!(*cause, StoreError::Conflict(_)) => {
                self.0.log.append(append, None).await
            }
            appended => appended,
        };
        match appended? {
            Appended::At { event_id, seq } => Ok(Some((event_id, seq))),
            Appended::KeyReused => Ok(None),
            // It belongs to no run.
            Appended::ForeignRun => Err(ErrorCode::Internal.into()),
        }
    }
}

/// Whether a text is one that a client may call a message by; the same as for `client_msg_id` of a message.
fn is_own_id(text: &str) -> bool {
    (1..=200).contains(&text.chars().count()) && !text.contains('\0')
}
