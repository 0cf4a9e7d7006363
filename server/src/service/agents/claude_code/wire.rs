//! What Claude Code says and is told. Fields and kinds that are not used here are ignored.

use flightdeck_api::support::JsonObject;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

/// A line that it says.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Line {
    System(System),
    StreamEvent(StreamEvent),
    Assistant(Said),
    User(Said),
    Result(TurnResult),
    ControlRequest(ControlRequest),
    ControlResponse {
        response: ControlReply,
    },
    ControlCancelRequest {
        request_id: String,
    },
    #[serde(other)]
    Other,
}

/// Comes at the start of each turn as `init`, and whenever its state changes as `status`.
#[derive(Debug, Deserialize)]
pub(super) struct System {
    pub(super) subtype: String,
    pub(super) session_id: Option<String>,
    pub(super) status: Option<String>,
}

/// A piece of a message that is being made.
#[derive(Debug, Deserialize)]
pub(super) struct StreamEvent {
    pub(super) event: Event,
    /// Set if it is a subagent's.
    pub(super) parent_tool_use_id: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Event {
    MessageStart {
        message: Started,
    },
    ContentBlockDelta {
        delta: Delta,
    },
    ContentBlockStop,
    #[serde(other)]
    Other,
}

#[derive(Debug, Deserialize)]
pub(super) struct Started {
    pub(super) id: String,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "type")]
pub(super) enum Delta {
    #[serde(rename = "text_delta")]
    Text { text: String },
    #[serde(rename = "thinking_delta")]
    Thinking { thinking: String },
    #[serde(other)]
    Other,
}

/// A message, or a part of one: the assistant's, or as a user's what tools said.
#[derive(Debug, Deserialize)]
pub(super) struct Said {
    pub(super) message: Message,
    /// Set if it is a subagent's.
    pub(super) parent_tool_use_id: Option<String>,
    /// More about what a tool did; whatever the tool likes.
    pub(super) tool_use_result: Option<Value>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Message {
    pub(super) id: Option<String>,
    #[serde(deserialize_with = "blocks")]
    pub(super) content: Vec<Block>,
}

/// A person's message may be a mere text, of which nothing is told; and one block that is not understood spoils no other.
fn blocks<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Block>, D::Error> {
    let Value::Array(blocks) = Value::deserialize(deserializer)? else { return Ok(Vec::new()) };
    Ok(blocks.into_iter().filter_map(|block| serde_json::from_value(block).ok()).collect())
}

#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Block {
    Text {
        text: String,
    },
    Thinking {
        thinking: String,
    },
    ToolUse(ToolUse),
    ToolResult {
        tool_use_id: String,
        #[serde(default)]
        content: Value,
        #[serde(default)]
        is_error: bool,
    },
    #[serde(other)]
    Other,
}

#[derive(Debug, Deserialize)]
pub(super) struct ToolUse {
    pub(super) id: String,
    pub(super) name: String,
    #[serde(default)]
    pub(super) input: JsonObject,
}

/// The end of a turn.
#[derive(Debug, Deserialize)]
pub(super) struct TurnResult {
    pub(super) subtype: String,
    #[serde(default)]
    pub(super) is_error: bool,
    pub(super) result: Option<String>,
    pub(super) terminal_reason: Option<String>,
    #[serde(default)]
    pub(super) errors: Vec<String>,
    /// Of the whole session.
    pub(super) total_cost_usd: Option<f64>,
    /// Of the turn.
    pub(super) usage: Option<Usage>,
    /// Which prompts it answers: none, if it took the turn by itself; older versions don't say.
    pub(super) user_message_uuids: Option<Vec<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Usage {
    pub(super) input_tokens: u64,
    pub(super) cache_creation_input_tokens: u64,
    pub(super) cache_read_input_tokens: u64,
    pub(super) output_tokens: u64,
}

/// It asks something.
#[derive(Debug, Deserialize)]
pub(super) struct ControlRequest {
    pub(super) request_id: String,
    /// A [`CanUseTool`], if its `subtype` says so.
    pub(super) request: Value,
}

#[derive(Debug, Deserialize)]
pub(super) struct CanUseTool {
    pub(super) tool_name: String,
    #[serde(default)]
    pub(super) input: JsonObject,
    pub(super) tool_use_id: Option<String>,
}

/// It answers.
#[derive(Debug, Deserialize)]
pub(super) struct ControlReply {
    pub(super) request_id: String,
    pub(super) subtype: String,
    pub(super) error: Option<String>,
}

/// What `Edit` and `Write` are given, and what `MultiEdit` is.
#[derive(Debug, Deserialize)]
pub(super) struct Editing {
    pub(super) file_path: String,
    pub(super) old_string: Option<String>,
    pub(super) new_string: Option<String>,
    pub(super) content: Option<String>,
    #[serde(default)]
    pub(super) edits: Vec<Edit>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Edit {
    pub(super) old_string: String,
    pub(super) new_string: String,
}

/// What they say they did.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Edited {
    #[serde(default, rename = "structuredPatch")]
    pub(super) hunks: Vec<Hunk>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Hunk {
    pub(super) old_start: u64,
    pub(super) old_lines: u64,
    pub(super) new_start: u64,
    pub(super) new_lines: u64,
    pub(super) lines: Vec<String>,
}

/// What `TodoWrite` is given.
#[derive(Debug, Deserialize)]
pub(super) struct Todos {
    pub(super) todos: Vec<Todo>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Todo {
    pub(super) content: String,
    pub(super) status: String,
}

/// A line that it is told.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Told<'a> {
    User { message: Prompt<'a>, parent_tool_use_id: Option<&'a str>, session_id: &'a str, uuid: &'a str },
    ControlRequest { request_id: &'a str, request: Wanted },
    ControlResponse { response: Reply<'a> },
}

#[derive(Debug, Serialize)]
pub(super) struct Prompt<'a> {
    pub(super) role: &'a str,
    pub(super) content: [TextBlock<'a>; 1],
}

#[derive(Debug, Serialize)]
#[serde(tag = "type", rename = "text")]
pub(super) struct TextBlock<'a> {
    pub(super) text: &'a str,
}

#[derive(Debug, Serialize)]
#[serde(tag = "subtype", rename_all = "snake_case")]
pub(super) enum Wanted {
    Initialize,
    Interrupt,
}

#[derive(Debug, Serialize)]
#[serde(tag = "subtype", rename_all = "snake_case")]
pub(super) enum Reply<'a> {
    Success { request_id: &'a str, response: Verdict<'a> },
    Error { request_id: &'a str, error: &'a str },
}

#[derive(Debug, Serialize)]
#[serde(tag = "behavior", rename_all = "snake_case")]
pub(super) enum Verdict<'a> {
    Allow {
        #[serde(rename = "updatedInput")]
        updated_input: JsonObject,
    },
    Deny {
        message: &'a str,
        interrupt: bool,
    },
}
