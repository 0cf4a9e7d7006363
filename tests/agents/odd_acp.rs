//! What an agent can do wrong by the Agent Client Protocol alone.

use anyhow::{Context, Result, bail, ensure};
use flightdeck_server::service::agents::AgentError;
use flightdeck_server::service::agents::update::Answer;
use serde_json::{Value, json};

use crate::scripted::Scripted;
use crate::steps::{
    acp_answers, acp_awaits, acp_begins, acp_ends, acp_fails, acp_greets, acp_opens, acp_prompted, acp_text,
    acp_update, awaits, says,
};

/// Why an agent does not start.
async fn refusal(steps: &[Value]) -> Result<String> {
    match Scripted::by("acp", steps).await.map(|_| ()) {
        Ok(()) => bail!("it starts"),
        Err(error) => match error.downcast().context("it fails otherwise")? {
            AgentError::Refused(why) => Ok(why),
            other => bail!("it is {other:?}"),
        },
    }
}

/// What is no message, and messages that nobody knows, do not matter.
#[tokio::test]
async fn noise_is_left_out() -> Result<()> {
    let read = json!({"sessionId": "s", "path": "/x"});
    let unknown = json!({"code": -32601, "message": "Method not found", "data": "fs/read_text_file"});
    let mut steps = acp_begins();
    steps.extend([
        json!({"raw": "Welcome to the agent!"}),
        json!({"raw": "[]"}),
        json!({"raw": "{\"jsonrpc\":\"2.0\",\"id\":"}),
        json!({"raw": "\u{1b}[31mred\u{1b}[0m", "times": 100}),
        json!({"raw": "x".repeat(9 << 20)}),
        json!({"dir": "<", "msg": {"jsonrpc": "2.0", "method": "_x/new", "params": {}}, "times": 100}),
        json!({"dir": "<", "msg": {"jsonrpc": "2.0", "method": "_x/new", "params": {"sessionId": "s"}}, "times": 100}),
        json!({"dir": "<", "msg": {"jsonrpc": "2.0", "id": 99, "result": {}}, "times": 100}),
        // What the protocol's crate refuses before anybody sees it must not keep the next line from being read.
        says(&json!({"jsonrpc": "2.0", "method": "$/cancel_request", "params": {"requestId": {"x": 1}}})),
        says(&json!({"jsonrpc": "2.0", "method": "$/cancel_request", "params": {"requestId": 98}})),
        says(&json!({"jsonrpc": "2.0", "id": 8, "method": "initialize", "params": {"protocolVersion": 1}})),
        says(&acp_update(&json!({"sessionUpdate": "from_the_future", "anything": [1]}))),
        says(&acp_update(&json!({"sessionUpdate": "agent_message_chunk", "content": {"type": "hologram"}}))),
        says(&acp_update(&json!({"sessionUpdate": "tool_call"}))),
        says(&json!({"jsonrpc": "2.0", "method": "session/update", "params": {"sessionId": 7}})),
        says(&json!({"jsonrpc": "2.0", "id": 7, "method": "fs/read_text_file", "params": read})),
        awaits(&json!({"jsonrpc": "2.0", "id": 7, "error": unknown})),
        says(&acp_text("fine")),
        acp_ends("end_turn"),
    ]);
    let mut scripted = Scripted::by("acp", &steps).await?;
    let told = scripted.turn("hi", &Answer::Withdrawn).await?;
    ensure!(told == ["session s", "text fine", "end of text", "end: Finished"], "{told:?}");
    Ok(())
}

#[tokio::test]
async fn an_agent_that_nobody_has_logged_in_to_says_how() -> Result<()> {
    let methods = json!([{"id": "key", "name": "API key"}, {"id": "web", "name": "Web"}]);
    let mut steps = acp_greets(&json!({"protocolVersion": 1, "agentCapabilities": {}, "authMethods": methods}));
    steps.extend([
        acp_awaits(1, "session/new", &acp_opens()),
        acp_fails(1, &json!({"code": -32000, "message": "Authentication required"})),
    ]);
    let why = refusal(&steps).await?;
    ensure!(why.contains("“API key”, “Web”") && why.contains("server's machine"), "it says {why}");
    Ok(())
}

#[tokio::test]
async fn an_agent_of_another_version_is_refused() -> Result<()> {
    let why = refusal(&acp_greets(&json!({"protocolVersion": 2, "agentCapabilities": {}}))).await?;
    ensure!(why.contains("protocol version 1") && why.contains('2'), "it says {why}");
    Ok(())
}

/// Some agents answer before they have told a loaded session to its end.
#[tokio::test]
async fn a_history_that_comes_late_is_not_told_again() -> Result<()> {
    let mut steps = acp_greets(&json!({"protocolVersion": 1, "agentCapabilities": {"loadSession": true}}));
    let history = json!({"dir": "<", "msg": acp_text("old"), "times": 100});
    steps.extend([
        acp_awaits(1, "session/load", &json!({"sessionId": "old", "cwd": "", "mcpServers": []})),
        history.clone(),
        acp_answers(1, &json!({})),
        history,
        json!({"pause": 20}),
        says(&acp_text("old")),
        acp_prompted("old"),
        says(&acp_text("new")),
        acp_ends("end_turn"),
    ]);
    let mut scripted = Scripted::resumed("acp", &steps, Some("old")).await?;
    let told = scripted.turn("hi", &Answer::Withdrawn).await?;
    ensure!(told == ["session old", "text new", "end of text", "end: Finished"], "{told:?}");
    Ok(())
}

/// An agent that has lost its session begins anew, under another name.
#[tokio::test]
async fn a_session_that_is_lost_begins_anew() -> Result<()> {
    let resumes = json!({"loadSession": true, "sessionCapabilities": {"resume": {}}});
    let mut steps = acp_greets(&json!({"protocolVersion": 1, "agentCapabilities": resumes}));
    steps.extend([
        acp_awaits(1, "session/resume", &json!({"sessionId": "old", "cwd": ""})),
        acp_fails(1, &json!({"code": -32603, "message": "No previous sessions"})),
        acp_awaits(3, "session/new", &acp_opens()),
        acp_answers(3, &json!({"sessionId": "s"})),
    ]);
    let mut scripted = Scripted::resumed("acp", &steps, Some("old")).await?;
    ensure!(scripted.next().await? == "session s", "another session");
    Ok(())
}
