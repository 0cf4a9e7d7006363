//! A chat's events as messages of its socket.

use flightdeck_api::generated::errors::ErrorCode;
use flightdeck_api::generated::sockets::chats::ChatsServerMessage;
use flightdeck_api::generated::types;
use flightdeck_api::support::Timestamp;
use uuid::Uuid;

use crate::service::chats::event::{ChatEvent, PlanStep};
use crate::store::events::EventRow;
use crate::surface::convert;

/// An event as a message. `seq` is 0 for one that is not kept.
pub(super) fn told(chat_id: Uuid, event: ChatEvent, seq: i64) -> ChatsServerMessage {
    use ChatsServerMessage as Told;
    let chat_id = chat_id.to_string();
    let place = convert::seq(seq);
    match event {
        ChatEvent::UserMessage { turn_id, message_id, content } => {
            Told::UserMessage(types::ChatUserMessage { content, chat_id, turn_id, message_id, seq: place })
        }
        ChatEvent::AssistantMessage { turn_id, message_id, content, offset, .. } => {
            let seq = (seq > 0).then_some(place);
            Told::AssistantMessage(types::ChatAssistantMessage { content, chat_id, turn_id, message_id, offset, seq })
        }
        ChatEvent::AgentThought { turn_id, content } => {
            Told::AgentThought(types::ChatThought { content, chat_id, turn_id })
        }
        ChatEvent::AgentStatus { turn_id, message } => {
            Told::AgentStatus(types::ChatAgentStatus { message, chat_id, turn_id: Some(turn_id) })
        }
        ChatEvent::Plan { turn_id, entries } => {
            let entries = entries.into_iter().map(step).collect();
            Told::Plan(types::ChatPlan { entries, chat_id, turn_id, seq: place })
        }
        ChatEvent::ToolUse { turn_id, tool_id, tool_name, tool_input } => {
            Told::ToolUse(types::ChatToolUse { tool_name, tool_id, tool_input, chat_id, turn_id, seq: place })
        }
        ChatEvent::ToolResult { turn_id, tool_id, content, is_error } => {
            Told::ToolResult(types::ChatToolResult { tool_id, content, is_error, chat_id, turn_id, seq: place })
        }
        ChatEvent::Patch { turn_id, path, diff } => {
            Told::Patch(types::ChatPatch { path, diff, chat_id, turn_id, seq: place })
        }
        ChatEvent::ApprovalRequest { turn_id, approval_id, tool_name, command, expires_at } => {
            Told::ApprovalRequest(types::ChatApprovalRequest {
                approval_id,
                tool_name,
                command,
                expires_at: Timestamp(expires_at),
                chat_id,
                turn_id,
                seq: place,
            })
        }
        ChatEvent::ApprovalResolved { turn_id, approval_id, status, note } => {
            Told::ApprovalResolved(types::ChatApprovalResolved {
                approval_id,
                status,
                note,
                chat_id,
                turn_id,
                seq: place,
            })
        }
        ChatEvent::Turn { turn_id, status, error } => {
            Told::Turn(types::ChatTurnChanged { turn_id, status, chat_id, error, seq: place })
        }
        ChatEvent::CancelRequested { turn_id } => {
            let status = types::ChatTurnStatus::Cancelling;
            Told::Turn(types::ChatTurnChanged { turn_id, status, chat_id, error: None, seq: place })
        }
        ChatEvent::Result { turn_id, status, cost, duration_ms, usage } => Told::Result(types::ChatResult {
            success: status == types::ChatTurnStatus::Finished,
            chat_id,
            turn_id,
            status,
            cost,
            duration_ms: Some(duration_ms),
            usage: usage.map(|(input_tokens, output_tokens)| types::TokenUsage { input_tokens, output_tokens }),
            seq: place,
        }),
        ChatEvent::Deleted {} => Told::Deleted(types::ChatGone { chat_id }),
    }
}

/// All of a message has been told.
pub(super) fn finished(chat_id: Uuid, turn_id: Uuid, message_id: Uuid, seq: i64) -> ChatsServerMessage {
    let (chat_id, seq) = (chat_id.to_string(), convert::seq(seq));
    ChatsServerMessage::MessageFinished(types::ChatMessageFinished { message_id, chat_id, turn_id, seq })
}

/// What the inherited protocol says besides, when a turn has failed.
pub(super) fn failure(chat_id: Uuid, event: &ChatEvent) -> Option<ChatsServerMessage> {
    let ChatEvent::Turn { turn_id, error: Some(error), .. } = event else { return None };
    Some(ChatsServerMessage::Error(types::ChatFault {
        error: error.clone(),
        chat_id: Some(chat_id.to_string()),
        turn_id: Some(*turn_id),
        code: Some(ErrorCode::TurnFailed.as_str().to_owned()),
        action: Some(ErrorCode::TurnFailed.action().to_owned()),
        path: None,
    }))
}

fn step(step: PlanStep) -> types::PlanEntry {
    let status = step.status.parse().unwrap_or(types::PlanStatus::Pending);
    types::PlanEntry { content: step.content, status }
}

/// A stored message.
pub(super) fn message(chat_id: Uuid, row: &EventRow) -> Option<types::ChatMessage> {
    let (id, turn_id, role, content) = match ChatEvent::read(&row.kind, &row.payload)? {
        ChatEvent::UserMessage { turn_id, message_id, content } => {
            (message_id, turn_id, types::ChatRole::User, content)
        }
        ChatEvent::AssistantMessage { turn_id, message_id, content, .. } => {
            (message_id, turn_id, types::ChatRole::Assistant, content)
        }
        _ => return None,
    };
    let timestamp = Timestamp(row.created_at);
    Some(types::ChatMessage { id, chat_id, role, content, timestamp, turn_id, seq: convert::seq(row.seq) })
}
