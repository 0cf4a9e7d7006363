//! What happens in a session, as it is in the log.
//!
//! The stream is `sessions/{session_id}`. This is the only place that knows the events' names and payloads.

use flightdeck_api::generated::types::TaskStatus;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::service::tagged;
use crate::store::events::NewEvent;

/// The stream of a session.
#[must_use]
pub fn session_stream(session_id: Uuid) -> String {
    format!("sessions/{session_id}")
}

/// Something that happens in a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "payload", rename_all = "snake_case")]
pub enum SessionEvent {
    /// A task has come to a phase, or its agent asks something.
    Status(StatusEvent),
    /// A task's patches can be reviewed.
    Patch { task_id: Uuid, count: u64, base: String, digest: String },
    /// A command has ended.
    Exit { command_id: Uuid, code: i64, duration_ms: u64, reason: Option<String> },
    /// The session is over.
    Ended {},
}

/// Where a task stands; what is absent has not changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusEvent {
    pub task_id: Uuid,
    pub chat_id: Uuid,
    pub phase: TaskStatus,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub question: Option<QuestionEvent>,
    /// The question that needs no answer any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolved_id: Option<Uuid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// What an agent asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuestionEvent {
    pub approval_id: Uuid,
    pub tool_name: String,
    pub command: String,
}

impl SessionEvent {
    /// As an event of the session's stream.
    pub(in crate::service) fn of(&self, session_id: Uuid, now: i64) -> NewEvent {
        tagged::write(self, session_stream(session_id), now)
    }

    /// Reads an event of a session's stream; `None` for one that this version does not know.
    #[must_use]
    pub fn read(kind: &str, payload: &str) -> Option<Self> {
        tagged::read(kind, payload)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_back_as_they_went() {
        let (session_id, task_id) = (Uuid::from_u128(1), Uuid::from_u128(2));
        for event in [
            SessionEvent::Status(StatusEvent {
                task_id,
                chat_id: Uuid::from_u128(3),
                phase: TaskStatus::AwaitingApproval,
                question: Some(QuestionEvent {
                    approval_id: Uuid::from_u128(4),
                    tool_name: "Bash".into(),
                    command: "echo \"ä\"\n".into(),
                }),
                resolved_id: None,
                commit: None,
                error: None,
            }),
            SessionEvent::Exit { command_id: task_id, code: -1, duration_ms: 7, reason: None },
            SessionEvent::Ended {},
        ] {
            let stored = event.of(session_id, 5);
            assert_eq!(stored.stream, session_stream(session_id));
            assert_eq!(SessionEvent::read(&stored.kind, &stored.payload), Some(event));
        }
        assert_eq!(SessionEvent::read("new in a later version", "{}"), None);
    }
}
