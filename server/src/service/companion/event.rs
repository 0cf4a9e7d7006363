//! An agent's events, as they are in the log.
//!
//! The stream is `agents/{agent_id}`, an event's kind is `message_in`, `message_out` or `agent_status`, and its payload is
//! an envelope around what was said:
//!
//! ```json
//! {"sender": "ios", "payload": {"content": "ls"}, "user_id": null, "tenant_id": null}
//! ```
//!
//! With these properties and no others, so that whoever puts an event on the wire can copy the envelope's text into it. The
//! native socket shows the envelope as it is.

use flightdeck_api::generated::errors::ErrorCode;
use flightdeck_api::generated::types::{AgentEventSender, AgentEventType};
use flightdeck_api::support::ApiError;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::log::agent_stream;
use crate::store::events::NewEvent;

/// What was said, by whom, and whose it is.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Envelope<P, T = Option<String>> {
    pub(super) sender: AgentEventSender,
    pub(super) payload: P,
    pub(super) user_id: T,
    pub(super) tenant_id: T,
}

impl<P: Serialize, T: Serialize> Envelope<P, T> {
    /// The event of this agent that says so.
    pub(super) fn event(&self, agent_id: Uuid, kind: AgentEventType, now: i64) -> Result<NewEvent, ApiError> {
        let payload = serde_json::to_string(self).map_err(|error| {
            tracing::error!(%error, "an event can't be written as JSON");
            ApiError::new(ErrorCode::Internal)
        })?;
        Ok(NewEvent {
            stream: agent_stream(agent_id),
            id: Uuid::now_v7(),
            kind: kind.as_str().to_owned(),
            created_at: now,
            happened_at: None,
            payload,
        })
    }
}

/// What the server itself says of an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Its machine is there.
    Online,
    /// Its machine has been silent for too long.
    Offline,
    /// Its machine gave a sign of life.
    Heartbeat,
    /// Its machine is told to start it anew.
    Restart,
}

#[derive(Debug, Serialize, Deserialize)]
struct StatusPayload {
    status: Status,
}

impl Status {
    pub(super) fn event(self, agent_id: Uuid, now: i64) -> Result<NewEvent, ApiError> {
        let payload = StatusPayload { status: self };
        let envelope = Envelope { sender: AgentEventSender::System, payload, user_id: None::<&str>, tenant_id: None };
        envelope.event(agent_id, AgentEventType::AgentStatus, now)
    }

    /// What an event in the log says of its agent, if it is the server that says something. What a client reports under the
    /// same kind is its own affair.
    #[must_use]
    pub fn told(kind: &str, envelope: &str) -> Option<Self> {
        if kind != AgentEventType::AgentStatus.as_str() {
            return None;
        }
        let envelope: Envelope<StatusPayload> = serde_json::from_str(envelope).ok()?;
        (envelope.sender == AgentEventSender::System).then_some(envelope.payload.status)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_word_is_told_from_a_clients() {
        for status in [Status::Online, Status::Offline, Status::Heartbeat, Status::Restart] {
            let event = status.event(Uuid::nil(), 1).expect("it can be written");
            assert_eq!(Status::told(&event.kind, &event.payload), Some(status), "{}", event.payload);
            assert_eq!(Status::told("message_out", &event.payload), None);
            let reported = event.payload.replace("system", "pc");
            assert_eq!(Status::told(&event.kind, &reported), None, "{reported}");
        }
        let other = r#"{"sender":"system","payload":{"status":"busy"},"user_id":null,"tenant_id":null}"#;
        assert_eq!(Status::told("agent_status", other), None);
    }

    #[test]
    fn the_envelope_is_as_it_is_described() {
        let event = Status::Online.event(Uuid::nil(), 1).expect("it can be written");
        let described = r#"{"sender":"system","payload":{"status":"online"},"user_id":null,"tenant_id":null}"#;
        assert_eq!(event.payload, described);
    }
}
