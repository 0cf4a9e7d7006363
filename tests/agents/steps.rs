//! The steps of scripts that are made up.

use serde_json::{Value, json};

/// A line that the program says.
pub(crate) fn says(message: &Value) -> Value {
    json!({"dir": "<", "msg": message})
}

/// A line that the program awaits.
pub(crate) fn awaits(message: &Value) -> Value {
    json!({"dir": ">", "msg": message})
}

/// Claude Code's side of a beginning: it is ready, and takes the prompt `hi`.
pub(crate) fn claude_begins() -> Vec<Value> {
    let prompt = json!({"role": "user", "content": [{"type": "text", "text": "hi"}]});
    vec![
        awaits(&json!({"type": "control_request", "request_id": "r", "request": {"subtype": "initialize"}})),
        says(&json!({"type": "control_response", "response": {"subtype": "success", "request_id": "r"}})),
        awaits(&json!({"type": "user", "message": prompt, "parent_tool_use_id": null, "session_id": "", "uuid": "u"})),
    ]
}

/// A piece of text.
pub(crate) fn claude_text(text: &str) -> Value {
    let delta = json!({"type": "text_delta", "text": text});
    let event = json!({"type": "content_block_delta", "index": 0, "delta": delta});
    json!({"type": "stream_event", "event": event, "parent_tool_use_id": null})
}

/// It asks whether it may use a tool.
pub(crate) fn claude_asks(id: &str, command: &str) -> Value {
    let request = json!({"subtype": "can_use_tool", "tool_name": "Bash", "input": {"command": command}});
    says(&json!({"type": "control_request", "request_id": id, "request": request}))
}

/// The answer that it gets.
pub(crate) fn claude_answered(id: &str, verdict: &Value) -> Value {
    let response = json!({"subtype": "success", "request_id": id, "response": verdict});
    awaits(&json!({"type": "control_response", "response": response}))
}

/// The end of its turn.
pub(crate) fn claude_ends() -> Value {
    says(&json!({"type": "result", "subtype": "success", "is_error": false, "result": "done"}))
}
