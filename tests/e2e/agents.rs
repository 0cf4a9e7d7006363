//! The agents that a server runs, as its settings say: what they know of it, how long they may be silent, what they take up
//! again, and where they research.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use flightdeck_tests::database::TestDatabase;
use flightdeck_tests::process::program;
use flightdeck_tests::socket::document;
use flightdeck_tests::{Kind, RawSocket, Request, ServerProcess, for_each_database};
use serde_json::{Value, json};

use crate::machine::Machine;

/// A new chat with an agent, and a connection that follows it.
async fn chat(process: &ServerProcess, database: Kind, agent: &str) -> Result<(String, RawSocket)> {
    let request = Request::post("/api/chats", &json!({ "agent": agent }));
    let chat = request.send(process.address()).await?.success()?;
    let id = chat["id"].as_str().context("a chat has an id")?.to_owned();
    let socket = follow(process, database, &id).await?;
    Ok((id, socket))
}

async fn follow(process: &ServerProcess, database: Kind, id: &str) -> Result<RawSocket> {
    let request = Request::socket("/ws");
    let opened = RawSocket::open(process.address(), &request, document::socket("chats"), database).await?;
    let mut socket = opened.socket()?;
    socket.send(&json!({"type": "subscribe", "chatId": id})).await?;
    socket.until("synced").await?;
    Ok(socket)
}

fn say(id: &str, content: &str) -> Value {
    json!({"type": "chat", "chatId": id, "content": content})
}

fn write(folder: &Path, name: &str, text: &str) -> Result<String> {
    let path = folder.join(name);
    std::fs::write(&path, text)?;
    Ok(path.display().to_string())
}

/// The program's side of a session by the Agent Client Protocol, in which it is opened by this request and says something.
fn session(opening: &str, said: &str) -> String {
    let awaits = |id: u32, method: &str| json!({"dir": ">", "part": true, "msg": {"id": id, "method": method}});
    let answers = |id: u32, result: Value| json!({"dir": "<", "msg": {"jsonrpc": "2.0", "id": id, "result": result}});
    let can = json!({"loadSession": true, "sessionCapabilities": {"resume": {}}});
    let content = json!({"type": "text", "text": said});
    let update = json!({"sessionUpdate": "agent_message_chunk", "content": content});
    let update = json!({"sessionId": "the one", "update": update});
    let mut opening = awaits(1, opening);
    if opening["msg"]["method"] == "session/resume" {
        opening["msg"]["params"] = json!({"sessionId": "the one"});
    }
    let steps = [
        awaits(0, "initialize"),
        answers(0, json!({"protocolVersion": 1, "agentCapabilities": can})),
        opening,
        answers(1, json!({"sessionId": "the one"})),
        awaits(2, "session/prompt"),
        json!({"dir": "<", "msg": {"jsonrpc": "2.0", "method": "session/update", "params": update}}),
        answers(2, json!({"stopReason": "end_turn"})),
    ];
    steps.map(|step| format!("{step}\n")).concat()
}

for_each_database! {
    async fn an_agent_gets_of_the_environment_what_it_may(database) {
        let store = TestDatabase::create(database).await?;
        let script = "turns = [{ steps = [{ run = { command = ['env'] } }] }]";
        let script = write(store.folder(), "script.toml", script)?;
        let settings = [
            ("FLIGHTDECK_MOCK_SCRIPT", script.as_str()),
            ("FLIGHTDECK_AGENT_ENV", "LET_THROUGH,ALSO_*"),
            ("LET_THROUGH", "one"),
            ("ALSO_THIS", "two"),
            ("HOME", "/nowhere"),
            ("SOMETHING", "secret-of-the-operator"),
            ("HMAC_SECRET", "secret-that-signs-what-all-machines-say"),
        ];
        let process = ServerProcess::on(&store, &settings).await?;
        let (id, mut socket) = chat(&process, database, "mock").await?;
        socket.send(&say(&id, "go")).await?;
        let result = socket.until("tool_result").await?;
        let environment = result["content"].as_str().context("a result has a text")?;
        for expected in ["LET_THROUGH=one", "ALSO_THIS=two", "HOME=/nowhere"] {
            ensure!(environment.lines().any(|line| line == expected), "{expected} is not in {environment}");
        }
        ensure!(!environment.contains("secret-"), "it knows too much: {environment}");
    }

    async fn an_agent_that_gives_no_sign_of_life_is_given_up(database) {
        let store = TestDatabase::create(database).await?;
        let script = write(store.folder(), "script.toml", "turns = [{ steps = [{ sleep = 3600000 }] }]")?;
        let settings = [("FLIGHTDECK_MOCK_SCRIPT", script.as_str()), ("FLIGHTDECK_AGENT_SILENCE_SECONDS", "1")];
        let process = ServerProcess::on(&store, &settings).await?;
        let (id, mut socket) = chat(&process, database, "mock").await?;
        socket.send(&say(&id, "go")).await?;
        let error = socket.until("error").await?;
        ensure!(error["error"].as_str().is_some_and(|text| text.contains("no sign of life for 1 second")), "{error}");
    }

    async fn a_session_is_taken_up_after_the_server_was_killed(database) {
        let store = TestDatabase::create(database).await?;
        let script = write(store.folder(), "session.jsonl", &session("session/new", "I begin."))?;
        let agent = format!("talker=acp:'{}' '{script}'", program("scripted-agent")?.display());
        let settings = [("FLIGHTDECK_AGENTS", agent.as_str())];
        let mut process = ServerProcess::on(&store, &settings).await?;
        let (id, mut socket) = chat(&process, database, "talker").await?;
        socket.send(&say(&id, "hi")).await?;
        socket.until("result").await?;
        process.kill().await?;
        write(store.folder(), "session.jsonl", &session("session/resume", "I go on."))?;
        let process = ServerProcess::on(&store, &settings).await?;
        let mut socket = follow(&process, database, &id).await?;
        socket.send(&say(&id, "hi")).await?;
        let mut said = String::new();
        loop {
            let (name, message) = socket.recv().await?;
            ensure!(name != "error", "{message}");
            match name {
                "assistant_message" => said.push_str(message["content"].as_str().unwrap_or_default()),
                "result" => break,
                _ => {}
            }
        }
        ensure!(said == "I go on.", "it says {said}");
    }

    async fn research_has_its_place_and_its_template(database) {
        let store = TestDatabase::create(database).await?;
        let (root, template) = (store.folder().join("research"), store.folder().join("template"));
        std::fs::create_dir(&template)?;
        write(&template, "prompt.md", "Look into {{ topic }}.")?;
        write(&template, "notes.txt", "About {{ topic }}, in {{ repo_name }}.")?;
        let script = write(store.folder(), "script.toml", "turns = [{ steps = [{ say = '{prompt}' }] }]")?;
        let settings = [
            ("FLIGHTDECK_MOCK_SCRIPT", script.as_str()),
            ("FLIGHTDECK_RESEARCH_ROOT", root.to_str().context("a plain path")?),
            ("FLIGHTDECK_RESEARCH_TEMPLATE", template.to_str().context("a plain path")?),
        ];
        let process = ServerProcess::on(&store, &settings).await?;
        let (id, mut socket) = chat(&process, database, "mock").await?;
        socket.send(&json!({"type": "research", "chatId": id, "topic": "Old Tea"})).await?;
        let said = socket.until("assistant_message").await?;
        ensure!(said["content"] == "Look into Old Tea.", "{said}");
        socket.until("result").await?;
        let workspaces: Vec<_> = std::fs::read_dir(&root)?.collect::<Result<_, _>>()?;
        ensure!(workspaces.len() == 1, "{workspaces:?}");
        let repository = workspaces[0].path().join("old-tea");
        ensure!(std::fs::read_to_string(repository.join("notes.txt"))? == "About Old Tea, in old-tea.", "other notes");
        ensure!(repository.join(".git").is_dir(), "it is no repository");
    }

    async fn doctor_tells_which_agents_there_are(database) {
        let store = TestDatabase::create(database).await?;
        let agents = "there=acp:sh -c true;not-there=acp:/nowhere/agent";
        let process = ServerProcess::on(&store, &[("FLIGHTDECK_AGENTS", agents), ("PATH", "/usr/bin:/bin")]).await?;
        let machine = Machine::new(process.url())?;
        machine.run(&["pair", "--self"]).await?;
        // It fails: no hook is installed here.
        let report = machine.start(&["doctor"], "").await?.wait_with_output().await?;
        let report = String::from_utf8(report.stdout)?;
        let (usable, missing) = report.split_once("; not installed there: ").context("it tells no two kinds")?;
        ensure!(usable.ends_with("the server can run mock, there") && missing.contains("not-there"), "{report}");
    }
}
