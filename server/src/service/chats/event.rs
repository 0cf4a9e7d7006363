//! What happens in a chat, as it is in the log and on its way to those who follow it.
//!
//! The stream is `chats/{chat_id}`. What a person may want to see again is appended; pieces of messages, thoughts and
//! status lines are announced and not kept. This is the only place that knows the events' names and payloads.

use flightdeck_api::generated::types::{ApprovalStatus, ChatTurnStatus};
use flightdeck_api::support::JsonObject;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::service::tagged;
use crate::store::events::NewEvent;

/// The stream of a chat.
#[must_use]
pub fn chat_stream(chat_id: Uuid) -> String {
    format!("chats/{chat_id}")
}

/// The chat whose stream this is, if it is one's.
pub(super) fn chat_of(stream: &str) -> Option<Uuid> {
    stream.strip_prefix("chats/")?.parse().ok()
}

/// Something that happens in a chat.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "payload", rename_all = "snake_case")]
pub enum ChatEvent {
    UserMessage {
        turn_id: Uuid,
        message_id: Uuid,
        content: String,
    },
    /// A piece of a message, from byte `offset` on; stored, the whole message. What the agent did before has its place up to
    /// `after`, which only pieces have.
    AssistantMessage {
        turn_id: Uuid,
        message_id: Uuid,
        content: String,
        #[serde(default)]
        offset: u64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<i64>,
    },
    AgentThought {
        turn_id: Uuid,
        content: String,
    },
    AgentStatus {
        turn_id: Uuid,
        message: String,
    },
    Plan {
        turn_id: Uuid,
        entries: Vec<PlanStep>,
    },
    ToolUse {
        turn_id: Uuid,
        tool_id: String,
        tool_name: String,
        tool_input: JsonObject,
    },
    ToolResult {
        turn_id: Uuid,
        tool_id: String,
        content: String,
        is_error: bool,
    },
    Patch {
        turn_id: Uuid,
        path: String,
        diff: String,
    },
    ApprovalRequest {
        turn_id: Uuid,
        approval_id: Uuid,
        tool_name: String,
        command: String,
        expires_at: i64,
    },
    ApprovalResolved {
        turn_id: Uuid,
        approval_id: Uuid,
        status: ApprovalStatus,
        note: Option<String>,
    },
    /// A turn is queued, begins or ends; one that failed, why.
    Turn {
        turn_id: Uuid,
        status: ChatTurnStatus,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<String>,
    },
    /// A turn is over. `cost` is in US dollars.
    Result {
        turn_id: Uuid,
        status: ChatTurnStatus,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cost: Option<f64>,
        duration_ms: u64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        usage: Option<(u64, u64)>,
    },
    /// Somebody wants a turn that runs to end. For the server that runs it.
    CancelRequested {
        turn_id: Uuid,
    },
    /// The chat is gone.
    Deleted {},
}

/// A step of a plan; its status as the protocol calls it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanStep {
    pub content: String,
    pub status: String,
}

impl ChatEvent {
    /// As an event of the chat's stream.
    pub(super) fn of(&self, chat_id: Uuid, now: i64) -> NewEvent {
        tagged::write(self, chat_stream(chat_id), now)
    }

    /// Reads an event of a chat's stream; `None` for one that this version does not know.
    #[must_use]
    pub fn read(kind: &str, payload: &str) -> Option<Self> {
        tagged::read(kind, payload)
    }
}

/// The kinds of events that are messages.
pub(super) const MESSAGES: [&str; 2] = ["user_message", "assistant_message"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_back_as_they_went() {
        let (chat_id, turn_id) = (Uuid::from_u128(1), Uuid::from_u128(2));
        for event in [
            ChatEvent::UserMessage { turn_id, message_id: Uuid::from_u128(3), content: "\"ä\"\n".into() },
            ChatEvent::Result {
                turn_id,
                status: ChatTurnStatus::Finished,
                cost: Some(0.25),
                duration_ms: 7,
                usage: Some((1, 2)),
            },
            ChatEvent::Turn { turn_id, status: ChatTurnStatus::Queued, error: None },
            ChatEvent::Deleted {},
        ] {
            let stored = event.of(chat_id, 5);
            assert_eq!(chat_of(&stored.stream), Some(chat_id));
            assert_eq!(ChatEvent::read(&stored.kind, &stored.payload), Some(event));
        }
        assert_eq!(ChatEvent::read("new in a later version", "{}"), None);
    }
}
