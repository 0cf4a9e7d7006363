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

/// A request by the Agent Client Protocol.
pub(crate) fn acp_awaits(id: u32, method: &str, params: &Value) -> Value {
    awaits(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}))
}

/// The answer that it gets.
pub(crate) fn acp_answers(id: u32, result: &Value) -> Value {
    says(&json!({"jsonrpc": "2.0", "id": id, "result": result}))
}

/// The answer that it gets instead.
pub(crate) fn acp_fails(id: u32, error: &Value) -> Value {
    says(&json!({"jsonrpc": "2.0", "id": id, "error": error}))
}

/// What the program says of itself. What its client does is compared in the recordings.
pub(crate) fn acp_greets(said: &Value) -> Vec<Value> {
    let request = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {"protocolVersion": 1}});
    vec![json!({"dir": ">", "msg": request, "part": true}), acp_answers(0, said)]
}

/// What it is told of a session that it is to open.
pub(crate) fn acp_opens() -> Value {
    json!({"cwd": "", "mcpServers": []})
}

/// Its side of a beginning: it has the session `s`, and takes the prompt `hi`.
pub(crate) fn acp_begins() -> Vec<Value> {
    let mut steps = acp_greets(&json!({"protocolVersion": 1, "agentCapabilities": {}}));
    steps.extend([
        acp_awaits(1, "session/new", &acp_opens()),
        acp_answers(1, &json!({"sessionId": "s"})),
        acp_prompted("s"),
    ]);
    steps
}

pub(crate) fn acp_prompted(session: &str) -> Value {
    let text = json!({"type": "text", "text": "hi"});
    acp_awaits(2, "session/prompt", &json!({"sessionId": session, "prompt": [text]}))
}

/// The end of the turn.
pub(crate) fn acp_ends(reason: &str) -> Value {
    acp_answers(2, &json!({ "stopReason": reason }))
}

pub(crate) fn acp_update(update: &Value) -> Value {
    json!({"jsonrpc": "2.0", "method": "session/update", "params": {"sessionId": "s", "update": update}})
}

/// A piece of text.
pub(crate) fn acp_text(text: &str) -> Value {
    acp_update(&json!({"sessionUpdate": "agent_message_chunk", "content": {"type": "text", "text": text}}))
}

/// It asks whether it may use a tool.
pub(crate) fn acp_asks(id: u32) -> Value {
    let options = json!([{"optionId": "yes", "name": "Yes", "kind": "allow_once"}]);
    let call = json!({"toolCallId": "c", "title": "ls", "kind": "execute", "rawInput": {"command": "ls"}});
    let params = json!({"sessionId": "s", "toolCall": call, "options": options});
    says(&json!({"jsonrpc": "2.0", "id": id, "method": "session/request_permission", "params": params}))
}
