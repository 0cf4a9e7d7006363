//! Agents that do what they should not: by the Agent Client Protocol, and by recordings made up for it.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use flightdeck_server::service::agents::update::{Answer, Update};
use flightdeck_server::service::agents::{Agent, AgentError};
use flightdeck_tests::block_on;
use serde_json::{Value, json};
use sysinfo::{ProcessRefreshKind, ProcessesToUpdate, System, UpdateKind};

use crate::agent::{self, PATIENCE, Telling};

fn client(id: Option<u32>, method: &str, params: &Value) -> Value {
    let message = id.map_or_else(
        || json!({"method": method, "params": params}),
        |id| json!({"id": id, "method": method, "params": params}),
    );
    json!({"dir": ">", "msg": message})
}

fn answer(id: u32, result: &Value) -> Value {
    json!({"dir": "<", "msg": {"jsonrpc": "2.0", "id": id, "result": result}})
}

fn update(update: &Value) -> Value {
    let params = json!({"sessionId": "s", "update": update});
    json!({"dir": "<", "msg": {"jsonrpc": "2.0", "method": "session/update", "params": params}})
}

fn says(text: &str) -> Value {
    update(&json!({"sessionUpdate": "agent_message_chunk", "content": {"type": "text", "text": text}}))
}

fn asks(id: u32) -> Value {
    let options = json!([{"optionId": "yes", "name": "Yes", "kind": "allow_once"}]);
    let call = json!({"toolCallId": "c", "title": "ls", "kind": "execute", "rawInput": {"command": "ls"}});
    let params = json!({"sessionId": "s", "toolCall": call, "options": options});
    json!({"dir": "<", "msg": {"jsonrpc": "2.0", "id": id, "method": "session/request_permission", "params": params}})
}

fn hello() -> Vec<Value> {
    vec![client(Some(0), "initialize", &json!({})), answer(0, &json!({"protocolVersion": 1, "agentCapabilities": {}}))]
}

fn begun() -> Vec<Value> {
    let session = [client(Some(1), "session/new", &json!({})), answer(1, &json!({"sessionId": "s"}))];
    let prompt = json!({"sessionId": "s", "prompt": [{"type": "text", "text": "go"}]});
    [hello(), session.to_vec(), vec![client(Some(2), "session/prompt", &prompt)]].concat()
}

fn end(reason: &str) -> Value {
    answer(2, &json!({ "stopReason": reason }))
}

/// Starts the agent that says and does this.
async fn start(folder: &Path, lines: &[Value], patience: Duration) -> Result<Box<dyn Agent>> {
    take_up(folder, lines, None, patience).await
}

async fn take_up(folder: &Path, lines: &[Value], resume: Option<&str>, patience: Duration) -> Result<Box<dyn Agent>> {
    let path = folder.join("recording.jsonl");
    let text: Vec<_> = lines.iter().map(Value::to_string).collect();
    std::fs::write(&path, text.join("\n"))?;
    Ok(agent::start(&agent::replayed("acp", &path)?, folder, resume, patience).await?)
}

/// Why an agent does not start.
async fn refusal(lines: &[Value], patience: Duration) -> Result<AgentError> {
    let folder = tempfile::tempdir()?;
    match start(folder.path(), lines, patience).await {
        Ok(_) => bail!("it starts"),
        Err(error) => error.downcast().context("it fails otherwise"),
    }
}

/// All that a started agent tells until its turn ends.
async fn told(lines: &[Value]) -> Result<Vec<String>> {
    let folder = tempfile::tempdir()?;
    let mut agent = start(folder.path(), lines, PATIENCE).await?;
    let told = agent::turn(&mut *agent, "go", |_| Answer::Allow { note: None }).await;
    agent.close().await;
    told
}

/// What is no message, and messages that nobody knows, do not matter.
#[test]
fn noise_is_left_out() {
    block_on(async {
        let read = json!({"jsonrpc": "2.0", "id": 7, "method": "fs/read_text_file", "params": {"sessionId": "s", "path": "/x"}});
        let known = json!({"jsonrpc": "2.0", "id": 7, "error": {"code": -32601, "message": "Method not found", "data": "fs/read_text_file"}});
        let noise = [
            json!({"dir": "<", "text": "Welcome to the agent!"}),
            json!({"dir": "<", "text": "[]"}),
            json!({"dir": "<", "text": "{\"jsonrpc\":\"2.0\",\"id\":"}),
            json!({"dir": "<", "text": "\u{1b}[31mred\u{1b}[0m", "times": 100}),
            json!({"dir": "<", "text": "x".repeat(9 << 20)}),
            json!({"dir": "<", "msg": {"jsonrpc": "2.0", "method": "_x/new", "params": {}}, "times": 100}),
            json!({"dir": "<", "msg": {"jsonrpc": "2.0", "id": 99, "result": {}}, "times": 100}),
            update(&json!({"sessionUpdate": "from_the_future", "anything": [1]})),
            update(&json!({"sessionUpdate": "agent_message_chunk", "content": {"type": "hologram"}})),
            update(&json!({"sessionUpdate": "tool_call"})),
            json!({"dir": "<", "msg": {"jsonrpc": "2.0", "method": "session/update", "params": {"sessionId": 7}}}),
            json!({"dir": "<", "msg": read}),
            json!({"dir": ">", "msg": known}),
        ];
        let told = told(&[begun(), noise.to_vec(), vec![says("fine"), end("end_turn")]].concat()).await?;
        ensure!(told == ["session s", "text fine", "end of text", "end Finished"], "it told {told:?}");
        Ok(())
    });
}

#[test]
fn an_agent_that_dies_in_its_turn_is_gone() {
    block_on(async {
        let folder = tempfile::tempdir()?;
        let lines = [begun(), vec![says("well"), asks(0), json!({"dir": "!", "exit": 3})]].concat();
        let mut agent = start(folder.path(), &lines, PATIENCE).await?;
        agent.prompt("go").await?;
        let mut telling = Telling::default();
        let error = loop {
            match agent.next().await {
                Ok(update) => telling.add(&update),
                Err(error) => break error,
            }
        };
        ensure!(telling.lines.len() == 6, "it told {:?}", telling.lines);
        ensure!(matches!(&error, AgentError::Ended { how, .. } if how == " (exit status: 3)"), "it ended as {error:?}");
        ensure!(agent.next().await.is_err(), "a dead agent goes on");
        ensure!(agent.prompt("again").await.is_err(), "a dead agent takes a prompt");
        agent.close().await;
        Ok(())
    });
}

#[test]
fn an_agent_that_is_never_ready_is_given_up() {
    block_on(async {
        let lines = [client(Some(0), "initialize", &json!({})), client(None, "never", &json!({}))];
        let started = Instant::now();
        let error = refusal(&lines, Duration::from_secs(1)).await?;
        ensure!(matches!(error, AgentError::NotReady { seconds: 1, .. }), "it is {error:?}");
        ensure!(started.elapsed() < Duration::from_secs(20), "it was waited for {:?}", started.elapsed());
        let gone = refusal(&[json!({"dir": "!", "exit": 4})], PATIENCE).await?;
        ensure!(matches!(&gone, AgentError::Ended { how, .. } if how.contains('4')), "it is {gone:?}");
        Ok(())
    });
}

#[test]
fn an_agent_that_nobody_has_logged_in_to_says_how() {
    block_on(async {
        let methods = json!([{"id": "key", "name": "API key"}, {"id": "web", "name": "Web"}]);
        let lines = [
            client(Some(0), "initialize", &json!({})),
            answer(0, &json!({"protocolVersion": 1, "agentCapabilities": {}, "authMethods": methods})),
            client(Some(1), "session/new", &json!({})),
            json!({"dir": "<", "msg": {"jsonrpc": "2.0", "id": 1, "error": {"code": -32000, "message": "Authentication required"}}}),
        ];
        let error = refusal(&lines, PATIENCE).await?.to_string();
        ensure!(error.contains("“API key”, “Web”") && error.contains("server's machine"), "it says {error}");
        let newer = [
            client(Some(0), "initialize", &json!({})),
            answer(0, &json!({"protocolVersion": 2, "agentCapabilities": {}})),
        ];
        ensure!(matches!(refusal(&newer, PATIENCE).await?, AgentError::Refused(_)), "it speaks with a newer agent");
        Ok(())
    });
}

/// Whoever asks after a cancel is told that nobody answers, and no person sees it. And what the agent does not end itself is
/// ended for it.
#[test]
fn a_cancelled_turn_asks_nobody_and_leaves_no_process() {
    block_on(async {
        let folder = tempfile::tempdir()?;
        let cancelled = json!({"jsonrpc": "2.0", "id": 5, "result": {"outcome": {"outcome": "cancelled"}}});
        let lines = [
            json!({"dir": "!", "start": "a tool"}),
            says("working"),
            client(None, "session/cancel", &json!({"sessionId": "s"})),
            asks(5),
            json!({"dir": ">", "msg": cancelled}),
            end("cancelled"),
        ];
        let mut agent = start(folder.path(), &[begun(), lines.to_vec()].concat(), PATIENCE).await?;
        agent.prompt("go").await?;
        let mut telling = Telling::default();
        while telling.lines.last().is_none_or(|line| line != "text working") {
            telling.add(&agent::next(&mut *agent).await?);
        }
        let before = tools(folder.path())?;
        let began = Instant::now();
        agent.cancel().await;
        let told = agent::rest(&mut *agent, telling, |_| Answer::Allow { note: None }).await?;
        ensure!(told == ["session s", "text working", "end of text", "end Cancelled"], "it told {told:?}");
        let after = tools(folder.path())?;
        ensure!((before, after) == (1, 0), "{before} processes ran before the cancel, and {after} after it");
        ensure!(began.elapsed() < Duration::from_secs(5), "the cancel took {:?}", began.elapsed());
        agent.close().await;
        Ok(())
    });
}

/// An agent that does not listen: its tool is ended, and the turn goes on being cancelled.
#[test]
fn a_tool_that_goes_on_after_a_cancel_is_ended() {
    block_on(async {
        let folder = tempfile::tempdir()?;
        let lines = [
            json!({"dir": "!", "start": "a tool"}),
            says("working"),
            client(None, "session/cancel", &json!({"sessionId": "s"})),
        ];
        let mut agent = start(folder.path(), &[begun(), lines.to_vec()].concat(), PATIENCE).await?;
        agent.prompt("go").await?;
        while !matches!(agent::next(&mut *agent).await?, Update::Text(_)) {}
        ensure!(tools(folder.path())? == 1, "the tool does not run");
        agent.cancel().await;
        let next = tokio::time::timeout(Duration::from_secs(3), agent.next()).await;
        ensure!(next.is_err(), "it tells {next:?}");
        ensure!(tools(folder.path())? == 0, "the tool goes on");
        agent.close().await;
        Ok(())
    });
}

/// Some agents answer before they have told a loaded session to its end.
#[test]
fn a_history_that_comes_late_is_not_told_again() {
    block_on(async {
        let folder = tempfile::tempdir()?;
        let prompt = json!({"sessionId": "old", "prompt": [{"type": "text", "text": "go"}]});
        let lines = [
            client(Some(0), "initialize", &json!({})),
            answer(0, &json!({"protocolVersion": 1, "agentCapabilities": {"loadSession": true}})),
            client(Some(1), "session/load", &json!({"sessionId": "old"})),
            json!({"dir": "<", "msg": says("old")["msg"], "times": 100}),
            answer(1, &json!({})),
            json!({"dir": "<", "msg": says("old")["msg"], "times": 100}),
            json!({"dir": "!", "pause": 20}),
            says("old"),
            client(Some(2), "session/prompt", &prompt),
            says("new"),
            end("end_turn"),
        ];
        let mut agent = take_up(folder.path(), &lines, Some("old"), PATIENCE).await?;
        let told = agent::turn(&mut *agent, "go", |_| Answer::Withdrawn).await?;
        ensure!(told == ["session old", "text new", "end of text", "end Finished"], "it told {told:?}");
        agent.close().await;
        Ok(())
    });
}

/// An agent that has lost its session begins anew, under another name.
#[test]
fn a_session_that_is_lost_begins_anew() {
    block_on(async {
        let folder = tempfile::tempdir()?;
        let resumes = json!({"loadSession": true, "sessionCapabilities": {"resume": {}}});
        let lost = json!({"jsonrpc": "2.0", "id": 1, "error": {"code": -32603, "message": "No previous sessions"}});
        let lines = [
            client(Some(0), "initialize", &json!({})),
            answer(0, &json!({"protocolVersion": 1, "agentCapabilities": resumes})),
            client(Some(1), "session/resume", &json!({"sessionId": "old"})),
            json!({"dir": "<", "msg": lost}),
            client(Some(3), "session/new", &json!({})),
            answer(3, &json!({"sessionId": "s"})),
        ];
        let mut agent = take_up(folder.path(), &lines, Some("old"), PATIENCE).await?;
        ensure!(matches!(agent::next(&mut *agent).await?, Update::Session(id) if id == "s"), "it has another session");
        agent.close().await;
        Ok(())
    });
}

/// 100 MB of text, for somebody who does not read it at first and then reads all of it: the agent waits, and nothing is lost.
#[test]
fn a_chatty_agent_waits() {
    const PIECES: u64 = 1_600;
    const PIECE: usize = 64 << 10;
    block_on(async {
        let folder = tempfile::tempdir()?;
        let lines = [json!({"dir": "<", "msg": says(&"x".repeat(PIECE))["msg"], "times": PIECES}), end("end_turn")];
        let mut agent = start(folder.path(), &[begun(), lines.to_vec()].concat(), PATIENCE).await?;
        let before = memory()?;
        agent.prompt("go").await?;
        let (mut told, mut most) = (0, 0);
        loop {
            match agent::next(&mut *agent).await? {
                Update::Text(text) => told += text.len(),
                Update::TurnEnd(_) => break,
                _ => {}
            }
            if told < 20 * PIECE {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            most = most.max(memory()?);
        }
        agent.close().await;
        ensure!(told == PIECE * usize::try_from(PIECES)?, "{told} bytes were told");
        let grown = most.saturating_sub(before) >> 20;
        ensure!(grown < 60, "memory grew by {grown} MiB");
        Ok(())
    });
}

/// How many processes that the agent has started run in a folder.
fn tools(folder: &Path) -> Result<usize> {
    let folder = folder.canonicalize()?;
    let mut system = System::new();
    let what = ProcessRefreshKind::nothing().with_cmd(UpdateKind::Always).with_cwd(UpdateKind::Always).without_tasks();
    system.refresh_processes_specifics(ProcessesToUpdate::All, true, what);
    let tools = system.processes().values().filter(|process| {
        process.cwd() == Some(&*folder) && process.cmd().last().is_some_and(|argument| argument == "stay")
    });
    Ok(tools.count())
}

/// What this process has in memory, in bytes.
fn memory() -> Result<u64> {
    let own = sysinfo::get_current_pid().map_err(anyhow::Error::msg)?;
    let mut system = System::new();
    let what = ProcessRefreshKind::nothing().with_memory();
    system.refresh_processes_specifics(ProcessesToUpdate::Some(&[own]), false, what);
    Ok(system.process(own).context("this process runs")?.memory())
}
