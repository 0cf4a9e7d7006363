//! The companion's socket.
//!
//! A socket gets every event of its agent from the place that its `hello` names, subscribed or not. `subscribe` begins
//! anew from another place, and answers everything after that, also what this socket has had already: the client says what
//! it has, and is believed. Most clients subscribe as soon as they are connected; a new socket waits a moment for that, so
//! that they get each event once and in order. One that says something else, or nothing, gets its events then.
//!
//! What is published comes back to whoever published it, and that is how it knows that it is stored. Published again it is
//! not stored again, and still comes back: in its turn, or at once if its turn on this socket is over.

use std::time::Duration;

use flightdeck_api::generated::errors::ErrorCode;
use flightdeck_api::generated::sockets::CloseCode;
use flightdeck_api::generated::sockets::companion::{
    COMPANION, CompanionParameters, CompanionServerMessage, CompanionSession, CompanionSocket,
};
use flightdeck_api::generated::types::{self, CompanionRole};
use flightdeck_api::support::{ApiError, Context, Fault, FaultKind, Outbox, Timestamp};
use tokio::time::Instant;
use uuid::Uuid;

use super::frame;
use crate::auth::Authority;
use crate::log::{Encoding, Item, Reader, ReaderLimits, Start, Subscription, agent_stream};
use crate::service::companion::{Companion, Status};
use crate::store::StoreError;
use crate::store::events::EventRow;
use crate::surface::{convert, following};

/// How long a new socket waits for its client to subscribe.
const MOMENT: Duration = Duration::from_millis(500);

/// The most events in one frame.
const MOST: usize = 200;

/// Before history is read again, when the database is away.
const PAUSE: Duration = Duration::from_secs(1);

type Out = Outbox<CompanionServerMessage>;

/// Opens sockets.
pub(in crate::surface) struct CompanionSockets {
    pub(in crate::surface) authority: Authority,
    pub(in crate::surface) companion: Companion,
}

impl CompanionSocket for CompanionSockets {
    type Session = Session;

    async fn connect(&self, context: &Context, parameters: CompanionParameters) -> Result<Session, ApiError> {
        let CompanionParameters { agent_id, role, token } = parameters;
        self.authority.companion(context, token.as_deref())?;
        let limits = ReaderLimits { events: COMPANION.limits.queue_events, bytes: COMPANION.limits.queue_bytes };
        Ok(Session {
            reader: self.companion.reader(limits),
            companion: self.companion.clone(),
            agent_id,
            phase: Phase::New,
            given: 0,
            obeys_after: (role == CompanionRole::Pc).then_some(0),
        })
    }
}

/// One connection.
pub(in crate::surface) struct Session {
    companion: Companion,
    reader: Reader,
    agent_id: Uuid,
    phase: Phase,
    /// Up to which place the client has what it asked for.
    given: i64,
    /// For an agent's machine: up to which place it has done what the server says. Absent for others, who need not.
    obeys_after: Option<i64>,
}

/// How far the connection is.
enum Phase {
    New,
    /// Waits for the client to subscribe, and has given nothing yet of what came after `last_seq`.
    Waits {
        until: Instant,
        last_seq: i64,
    },
    /// Gives stored events. `answered`: some have been given.
    CatchesUp {
        subscription: Subscription,
        answered: bool,
    },
    /// Gives each event by itself.
    Follows(Subscription),
}

impl CompanionSession for Session {
    async fn opened(&mut self, out: &mut Out) -> Result<(), CloseCode> {
        if let Err(error) = self.greet(out).await {
            let code = match error.code {
                ErrorCode::AgentNotFound => CloseCode::NotFound,
                ErrorCode::Unavailable => CloseCode::Overloaded,
                _ => CloseCode::Internal,
            };
            refuse(error, out);
            return Err(code);
        }
        Ok(())
    }

    async fn subscribe(&mut self, message: types::CompanionSubscribe, _: &mut Out) -> Result<(), CloseCode> {
        if let Phase::CatchesUp { subscription, .. } | Phase::Follows(subscription) = self.phase {
            self.reader.unfollow(subscription);
        }
        let since = i64::try_from(message.since_seq.take().unwrap_or(0)).unwrap_or(i64::MAX);
        self.phase = Phase::CatchesUp { subscription: self.follow(since), answered: false };
        Ok(())
    }

    async fn publish(&mut self, message: types::CompanionPublish, out: &mut Out) -> Result<(), CloseCode> {
        self.wait_no_longer();
        if let Err(error) = self.store(message.event, out).await {
            refuse(error, out);
        }
        Ok(())
    }

    async fn heartbeat_message(&mut self, _: types::CompanionHeartbeat, out: &mut Out) -> Result<(), CloseCode> {
        self.wait_no_longer();
        if let Err(error) = self.companion.heartbeat(self.agent_id).await {
            refuse(error, out);
        }
        Ok(())
    }

    async fn faulty(&mut self, fault: Fault, out: &mut Out) -> Result<(), CloseCode> {
        self.wait_no_longer();
        let Fault { kind, path, message, .. } = fault;
        // These are the words that clients have always got.
        let message = if kind == FaultKind::NotJson { "Invalid JSON.".to_owned() } else { message };
        let path = Some(path).filter(|path| !path.is_empty());
        let code = Some(kind.code().as_str().to_owned());
        out.send(CompanionServerMessage::Error(types::CompanionFault { message, code, path }));
        Ok(())
    }

    async fn pending(&mut self, out: &mut Out) -> Result<(), CloseCode> {
        if let Phase::Waits { until, .. } = self.phase {
            tokio::time::sleep_until(until).await;
            self.wait_no_longer();
        }
        while out.is_empty() {
            match self.reader.next().await {
                Ok(item) => self.give(item, out)?,
                Err(StoreError::Unavailable(_) | StoreError::Conflict(_)) => tokio::time::sleep(PAUSE).await,
                Err(error @ StoreError::Refused(_)) => {
                    // Logs it.
                    let _ = ApiError::from(error);
                    return Err(CloseCode::Internal);
                }
            }
        }
        Ok(())
    }

    async fn heartbeat(&mut self, _: &mut Out) -> Result<(), CloseCode> {
        self.reader.tidy();
        Ok(())
    }

    async fn closed(self) {}
}

impl Session {
    async fn greet(&mut self, out: &mut Out) -> Result<(), ApiError> {
        self.companion.require(self.agent_id).await?;
        let last_seq = self.companion.last_seq(self.agent_id).await?;
        if let Some(after) = &mut self.obeys_after {
            // What was said to the machine before it came is not for it.
            *after = self.companion.arrive(self.agent_id).await?.unwrap_or(last_seq);
        }
        out.send(CompanionServerMessage::Hello(types::CompanionHello {
            agent_id: self.agent_id,
            last_seq: convert::seq(last_seq),
            server_time: Timestamp(self.companion.now()),
        }));
        self.phase = Phase::Waits { until: Instant::now() + MOMENT, last_seq };
        Ok(())
    }

    async fn store(&mut self, draft: types::AgentEventDraft, out: &mut Out) -> Result<(), ApiError> {
        let Some(before) = self.companion.publish(self.agent_id, draft).await? else { return Ok(()) };
        // What has not been given yet comes by itself, and in order.
        if before <= self.given
            && let Some(event) = self.companion.event(self.agent_id, before).await?
        {
            out.send_frame(frame::single(self.agent_id, &event));
        }
        Ok(())
    }

    fn follow(&mut self, since: i64) -> Subscription {
        self.given = since;
        self.reader.follow(&agent_stream(self.agent_id), Start::After(since))
    }

    fn wait_no_longer(&mut self) {
        if let Phase::Waits { last_seq, .. } = self.phase {
            self.phase = Phase::Follows(self.follow(last_seq));
        }
    }

    fn give(&mut self, item: Item, out: &mut Out) -> Result<(), CloseCode> {
        match item {
            Item::Gap { since, next, reason, .. } => {
                self.given = next - 1;
                out.send(CompanionServerMessage::Gap(types::CompanionGap {
                    since_seq: convert::seq(since),
                    next_seq: convert::seq(next),
                    reason: following::gap_reason(reason),
                }));
                Ok(())
            }
            Item::Stored { events, .. } => self.give_stored(&events, out),
            Item::Synced { subscription, .. } => {
                if let Phase::CatchesUp { answered: false, .. } = self.phase {
                    out.send_frame(frame::stored(self.agent_id, &[]));
                }
                self.phase = Phase::Follows(subscription);
                Ok(())
            }
            Item::Live { event, .. } => {
                let agent_id = self.agent_id;
                self.given = event.seq;
                out.send_frame(event.frame(Encoding::Companion, |event| frame::live(agent_id, event)));
                self.obey(event.seq, &event.event.kind, &event.event.payload, out)
            }
            Item::FellBehind => Err(CloseCode::SlowReader),
        }
    }

    fn give_stored(&mut self, events: &[EventRow], out: &mut Out) -> Result<(), CloseCode> {
        self.given = events.last().map_or(self.given, |event| event.seq);
        if let Phase::CatchesUp { answered, .. } = &mut self.phase {
            *answered = true;
            for events in events.chunks(MOST) {
                out.send_frame(frame::stored(self.agent_id, events));
            }
        } else {
            // They are new to this socket, only not to the log.
            for event in events {
                out.send_frame(frame::single(self.agent_id, event));
            }
        }
        events.iter().try_for_each(|event| self.obey(event.seq, &event.kind, &event.payload, out))
    }

    /// The agent's machine does what the server says, once.
    fn obey(&mut self, seq: i64, kind: &str, envelope: &str, out: &mut Out) -> Result<(), CloseCode> {
        let Some(after) = self.obeys_after.as_mut().filter(|after| seq > **after) else { return Ok(()) };
        *after = seq;
        match Status::told(kind, envelope) {
            Some(Status::Restart) => {
                let cmd = types::CompanionCommandName::Restart;
                out.send(CompanionServerMessage::Command(types::CompanionCommand { cmd }));
                Ok(())
            }
            // It has been silent for so long that it may be gone for good.
            Some(Status::Offline) => Err(CloseCode::Silent),
            Some(Status::Online | Status::Heartbeat) | None => Ok(()),
        }
    }
}

/// Tells the client what went wrong.
fn refuse(error: ApiError, out: &mut Out) {
    let declared = COMPANION.faults.contains(&error.code);
    let error = if declared { error } else { ErrorCode::Internal.into() };
    out.send(CompanionServerMessage::Error(types::CompanionFault {
        message: error.message,
        code: Some(error.code.as_str().to_owned()),
        path: None,
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_small() {
        let size = size_of::<Session>();
        assert!(size <= 384, "{size} bytes, for as long as the connection lasts");
    }
}
