//! What Codex's app server says and is told. Fields and kinds that are not used here are ignored.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// A line that it says: a request has an id and a method, a notification only a method, an answer only an id.
#[derive(Debug, Deserialize)]
pub(super) struct Line<'a> {
    pub(super) id: Option<Value>,
    pub(super) method: Option<String>,
    #[serde(borrow)]
    pub(super) params: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) result: Option<&'a RawValue>,
    pub(super) error: Option<Failure>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Failure {
    pub(super) message: String,
}

/// What the parameters of almost all notifications have.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct About {
    /// The conversation; subagents have their own.
    pub(super) thread_id: Option<String>,
    pub(super) turn_id: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct ThreadAnswer {
    pub(super) thread: Thread,
}

#[derive(Debug, Deserialize)]
pub(super) struct Thread {
    pub(super) id: String,
}

/// Of `turn/started` and `turn/completed`, and the answer to `turn/start`.
#[derive(Debug, Deserialize)]
pub(super) struct TurnNews {
    pub(super) turn: Turn,
}

#[derive(Debug, Deserialize)]
pub(super) struct Turn {
    pub(super) id: String,
    pub(super) status: String,
    pub(super) error: Option<Failure>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Piece {
    pub(super) item_id: String,
    pub(super) delta: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct ItemNews {
    pub(super) item: Item,
}

/// A thing that it says or does.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub(super) enum Item {
    AgentMessage {
        id: String,
        text: String,
    },
    CommandExecution(Execution),
    FileChange(FileChange),
    McpToolCall(McpToolCall),
    WebSearch {
        id: String,
        #[serde(default)]
        query: Option<String>,
    },
    ContextCompaction {},
    #[serde(other)]
    Other,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Execution {
    pub(super) id: String,
    pub(super) command: String,
    pub(super) cwd: Option<String>,
    pub(super) status: String,
    pub(super) aggregated_output: Option<String>,
    pub(super) exit_code: Option<i64>,
}

#[derive(Debug, Deserialize)]
pub(super) struct FileChange {
    pub(super) id: String,
    pub(super) changes: Vec<Change>,
    pub(super) status: String,
}

#[derive(Debug, Clone, Deserialize, Serialize)]
pub(super) struct Change {
    pub(super) path: String,
    pub(super) kind: ChangeKind,
    /// The whole text of a file that is added or deleted, or else hunks.
    pub(super) diff: String,
}

#[derive(Debug, Clone, Deserialize, Serialize)]
pub(super) struct ChangeKind {
    pub(super) r#type: String,
    /// Where a file that is updated goes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) move_path: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct McpToolCall {
    pub(super) id: String,
    pub(super) server: String,
    pub(super) tool: String,
    pub(super) status: String,
    #[serde(default)]
    pub(super) arguments: Value,
    pub(super) result: Option<Value>,
    pub(super) error: Option<Value>,
}

#[derive(Debug, Deserialize)]
pub(super) struct PlanNews {
    pub(super) plan: Vec<PlanStep>,
}

#[derive(Debug, Deserialize)]
pub(super) struct PlanStep {
    pub(super) step: String,
    pub(super) status: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TokenNews {
    pub(super) token_usage: TokenUsage,
}

#[derive(Debug, Deserialize)]
pub(super) struct TokenUsage {
    /// Of the conversation.
    pub(super) total: Tokens,
    /// Of the last request to the model.
    pub(super) last: Tokens,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Tokens {
    pub(super) input_tokens: u64,
    pub(super) output_tokens: u64,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ErrorNews {
    pub(super) error: Failure,
    #[serde(default)]
    pub(super) will_retry: bool,
}

/// It asks before it does something.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Approval {
    pub(super) item_id: String,
    pub(super) command: Option<String>,
    pub(super) reason: Option<String>,
    /// What else it says of what it wants: a root that would be granted, a host that would be reached.
    #[serde(flatten)]
    pub(super) more: Map<String, Value>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Resolved {
    pub(super) request_id: Value,
}

/// A request that it gets.
#[derive(Debug, Serialize)]
pub(super) struct Request<P> {
    pub(super) method: &'static str,
    pub(super) id: u64,
    pub(super) params: P,
}

#[derive(Debug, Serialize)]
pub(super) struct Notification {
    pub(super) method: &'static str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Initialize {
    pub(super) client_info: ClientInfo,
    pub(super) capabilities: Capabilities,
}

#[derive(Debug, Serialize)]
pub(super) struct ClientInfo {
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    pub(super) version: &'static str,
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Capabilities {
    pub(super) experimental_api: bool,
    pub(super) request_attestation: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct OpenThread<'a> {
    /// The one to take up, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) thread_id: Option<&'a str>,
    pub(super) cwd: &'a Path,
    pub(super) approval_policy: &'static str,
    pub(super) sandbox: &'static str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct StartTurn<'a> {
    pub(super) thread_id: &'a str,
    pub(super) input: [Input<'a>; 1],
}

#[derive(Debug, Serialize)]
#[serde(tag = "type", rename = "text")]
pub(super) struct Input<'a> {
    pub(super) text: &'a str,
    pub(super) text_elements: [(); 0],
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct InterruptTurn<'a> {
    pub(super) thread_id: &'a str,
    pub(super) turn_id: &'a str,
}

/// An answer that it gets.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Answered<'a> {
    Decision { id: &'a Value, result: Decision },
    Error { id: &'a Value, error: ErrorAnswer },
}

#[derive(Debug, Serialize)]
pub(super) struct Decision {
    pub(super) decision: &'static str,
}

#[derive(Debug, Serialize)]
pub(super) struct ErrorAnswer {
    pub(super) code: i32,
    pub(super) message: String,
}
