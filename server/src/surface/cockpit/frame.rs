//! What happens in a session, and what an agent does in a task's chat, as messages of the socket.

use flightdeck_api::generated::errors::ErrorCode;
use flightdeck_api::generated::sockets::cockpit::CockpitServerMessage;
use flightdeck_api::generated::types::{self, OutputKind};
use flightdeck_api::support::{Fault, Timestamp};
use uuid::Uuid;

use crate::service::chats::ChatEvent;
use crate::service::sessions::event::{QuestionEvent, SessionEvent, StatusEvent};
use crate::surface::convert;

/// An event of a session's stream; the end of the session is none of the messages.
pub(super) fn told(event: SessionEvent, seq: i64, at: i64) -> Option<CockpitServerMessage> {
    let (seq, timestamp) = (convert::seq(seq), Timestamp(at));
    Some(match event {
        SessionEvent::Status(StatusEvent { task_id, phase, question, resolved_id, commit, error, .. }) => {
            let (message_id, tool_name, command) = match question {
                Some(QuestionEvent { approval_id, tool_name, command }) => {
                    (Some(approval_id), Some(tool_name), Some(command))
                }
                None => (None, None, None),
            };
            CockpitServerMessage::Status(types::CockpitStatus {
                seq,
                task_id,
                phase,
                timestamp,
                message_id,
                tool_name,
                command,
                resolved_id,
                commit,
                message: error,
            })
        }
        SessionEvent::Patch { task_id, count, base, digest } => {
            CockpitServerMessage::Patch(types::CockpitPatch { seq, task_id, count, base, digest, timestamp })
        }
        SessionEvent::Exit { command_id, code, duration_ms, reason } => {
            CockpitServerMessage::Exit(types::CockpitExit { seq, command_id, code, duration_ms, reason, timestamp })
        }
        SessionEvent::Ended {} => return None,
    })
}

/// What an agent says and does.
pub(super) fn output(task_id: Uuid, event: ChatEvent) -> Option<CockpitServerMessage> {
    let (kind, content, message_id) = match event {
        ChatEvent::UserMessage { content, .. } => (OutputKind::User, content, None),
        ChatEvent::AssistantMessage { content, message_id, .. } => (OutputKind::Message, content, Some(message_id)),
        ChatEvent::AgentThought { content, .. } => (OutputKind::Thought, content, None),
        ChatEvent::AgentStatus { message, .. } => (OutputKind::Status, message, None),
        ChatEvent::ToolUse { tool_name, .. } => (OutputKind::Tool, tool_name, None),
        ChatEvent::ToolResult { content, .. } => (OutputKind::Tool, content, None),
        _ => return None,
    };
    Some(CockpitServerMessage::Output(types::CockpitOutput { task_id, kind, content, message_id }))
}

/// What a client is told of a message that is none.
pub(in crate::surface) fn faulty(fault: Fault) -> types::CockpitFault {
    let Fault { kind, path, message, .. } = fault;
    types::CockpitFault { message, path: Some(path).filter(|path| !path.is_empty()), ..refusal(kind.code()) }
}

/// What a client is told of a message that is refused.
pub(in crate::surface) fn refusal(code: ErrorCode) -> types::CockpitFault {
    types::CockpitFault {
        message: code.message().to_owned(),
        code: Some(code.as_str().to_owned()),
        action: Some(code.action().to_owned()),
        path: None,
    }
}
