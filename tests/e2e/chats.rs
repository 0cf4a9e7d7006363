//! Chats with agents that have programs: what is left of them when a turn is cancelled, when the server is killed, and
//! when a person talks from a terminal.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use flightdeck_tests::database::TestDatabase;
use flightdeck_tests::{Kind, RawSocket, Request, ServerProcess, for_each_database, on_postgres};
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};

use crate::machine::{Machine, said, until};

/// A program that starts others and waits for an hour: one leaves its group and its parent, and one leaves its parent and its
/// environment but for the test's mark, whose name is put in.
fn wandering(mark: &str) -> String {
    format!("setsid sh -c 'sleep 3600 & wait' & (env -i {mark}=1 sleep 3600 &) & sleep 3600")
}

/// How many processes that are.
const WANDERERS: usize = 4;

/// A script for the mock whose agent runs that without asking; anything else it says back.
fn script(folder: &Path, mark: &str) -> Result<String> {
    let path = folder.join("script.toml");
    let command = json!(["sh", "-c", format!("{mark}=1; export {mark}; {}", wandering(mark))]);
    let text = format!(
        "turns = [{{ when = 'work', steps = [{{ say = 'I begin.' }}, {{ run = {{ command = {command} }} }}] }}, \
         {{ steps = [{{ say = 'You said: {{prompt}}' }}] }}]"
    );
    std::fs::write(&path, text)?;
    Ok(path.display().to_string())
}

/// Processes that carry a mark in their environment.
fn marked(mark: &str) -> Vec<u32> {
    let wanted = format!("{mark}=1");
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    ids.filter(|id: &u32| {
        let environment = std::fs::read(format!("/proc/{id}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|variable| variable == wanted.as_bytes())
    })
    .collect()
}

async fn until_processes(mark: &str, wanted: impl Fn(usize) -> bool) -> Result<Duration> {
    let begun = Instant::now();
    loop {
        let found = marked(mark);
        if wanted(found.len()) {
            return Ok(begun.elapsed());
        }
        ensure!(begun.elapsed() < Duration::from_secs(20), "these processes are there: {found:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn call(process: &ServerProcess, request: &Request) -> Result<Value> {
    request.send(process.address()).await?.success()
}

/// A new chat, and a connection that follows it.
async fn chat(process: &ServerProcess, database: Kind) -> Result<(String, RawSocket)> {
    let chat = call(process, &Request::post("/api/chats", &json!({}))).await?;
    let id = chat["id"].as_str().context("a chat has an id")?.to_owned();
    let socket = follow(process, database, &id, Value::Null).await?;
    Ok((id, socket))
}

async fn follow(process: &ServerProcess, database: Kind, id: &str, since: Value) -> Result<RawSocket> {
    let socket = flightdeck_tests::socket::document::socket("chats");
    let mut opened = RawSocket::open(process.address(), &Request::socket("/ws"), socket, database).await?.socket()?;
    opened.expect("connected").await?;
    opened.send(&json!({"type": "subscribe", "chatId": id, "since_seq": since})).await?;
    Ok(opened)
}

fn say(id: &str, content: &str) -> Value {
    json!({"type": "chat", "chatId": id, "content": content})
}

for_each_database! {
    async fn a_killed_server_leaves_no_program_and_the_chat_goes_on(database) {
        let folder = tempfile::tempdir()?;
        let mark = format!("FLIGHTDECK_TEST_{}", uuid::Uuid::new_v4().simple());
        let script = script(folder.path(), &mark)?;
        let store = TestDatabase::create(database).await?;
        let settings = [("FLIGHTDECK_MOCK_SCRIPT", script.as_str())];
        let mut process = ServerProcess::on(&store, &settings).await?;
        let (id, mut socket) = chat(&process, database).await?;
        socket.until("synced").await?;
        socket.send(&say(&id, "work")).await?;
        socket.send(&say(&id, "and then this")).await?;
        // The one that left, and both that sleep; the shell itself had the mark only later than its environment is shown.
        until_processes(&mark, |count| count >= WANDERERS).await?;
        // What was not told yet may be lost.
        let (mut accepted, mut begun) = (0, false);
        while accepted < 2 || !begun {
            match socket.recv().await?.0 {
                "user_message" => accepted += 1,
                "tool_use" => begun = true,
                _ => {}
            }
        }
        process.kill().await?;
        until_processes(&mark, |count| count == 0).await?;

        let process = ServerProcess::on(&store, &settings).await?;
        let mut socket = follow(&process, database, &id, json!(0)).await?;
        // On PostgreSQL, another server might have been working on it: what it held has to run out first.
        let failed = patiently(&mut socket, "error").await?;
        ensure!(failed["error"].as_str().is_some_and(|text| text.contains("went away")), "{failed}");
        // What waited is done now, and so is what comes next.
        socket.until("result").await?;
        socket.send(&say(&id, "hello")).await?;
        socket.until("result").await?;
        let messages = call(&process, &Request::get(format!("/api/chats/{id}/messages"))).await?;
        let said: Vec<_> = messages.as_array().into_iter().flatten().filter_map(|it| it["content"].as_str()).collect();
        ensure!(
            said == ["work", "and then this", "I begin.", "You said: and then this", "hello", "You said: hello"],
            "{said:?}"
        );
        let turns = call(&process, &Request::get(format!("/api/chats/{id}/turns"))).await?;
        let statuses: Vec<_> =
            turns["turns"].as_array().into_iter().flatten().filter_map(|it| it["status"].as_str()).collect();
        ensure!(statuses == ["interrupted", "finished", "finished"], "{statuses:?}");
    }

    async fn a_cancelled_turn_ends_within_a_second_with_its_programs(database) {
        let folder = tempfile::tempdir()?;
        let mark = format!("FLIGHTDECK_TEST_{}", uuid::Uuid::new_v4().simple());
        let script = script(folder.path(), &mark)?;
        let store = TestDatabase::create(database).await?;
        let process = ServerProcess::on(&store, &[("FLIGHTDECK_MOCK_SCRIPT", script.as_str())]).await?;
        let (id, mut socket) = chat(&process, database).await?;
        socket.until("synced").await?;
        socket.send(&say(&id, "work")).await?;
        until_processes(&mark, |count| count >= WANDERERS).await?;
        let begun = Instant::now();
        socket.send(&json!({"type": "cancel", "chatId": id})).await?;
        let result = socket.until("result").await?;
        let told = begun.elapsed();
        until_processes(&mark, |count| count == 0).await?;
        let gone = begun.elapsed();
        ensure!(result["status"] == "cancelled" && result["success"] == false, "{result}");
        ensure!(told < Duration::from_secs(1) && gone < Duration::from_secs(1), "it took {told:?}, and {gone:?}");
        socket.send(&say(&id, "hello")).await?;
        ensure!(socket.until("result").await?["success"] == true, "the chat does not go on");
    }
}

on_postgres! {
    /// Two servers on one database: a turn of one is seen and cancelled on the other, waits there for its time, and goes to
    /// the other when the first is killed or only stands still.
    async fn a_chat_moves_to_another_server() {
        let folder = tempfile::tempdir()?;
        let mark = format!("FLIGHTDECK_TEST_{}", uuid::Uuid::new_v4().simple());
        let script = script(folder.path(), &mark)?;
        let store = TestDatabase::create(Kind::Postgres).await?;
        let settings = [("FLIGHTDECK_MOCK_SCRIPT", script.as_str())];
        let mut one = ServerProcess::on(&store, &settings).await?;
        let other = ServerProcess::on(&store, &settings).await?;
        let (id, mut here) = chat(&one, Kind::Postgres).await?;
        here.until("synced").await?;
        let mut there = follow(&other, Kind::Postgres, &id, json!(0)).await?;
        there.until("synced").await?;

        // Said on one, cancelled on the other.
        here.send(&say(&id, "work")).await?;
        until_processes(&mark, |count| count >= WANDERERS).await?;
        there.until("tool_use").await?;
        there.send(&json!({"type": "cancel", "chatId": id})).await?;
        for socket in [&mut here, &mut there] {
            let result = socket.until("result").await?;
            ensure!(result["status"] == "cancelled", "{result}");
        }
        until_processes(&mark, |count| count == 0).await?;

        // Said on the other while one works: it waits. Then one is killed.
        here.send(&say(&id, "work")).await?;
        there.until("tool_use").await?;
        there.send(&say(&id, "hello")).await?;
        until_processes(&mark, |count| count >= WANDERERS).await?;
        one.kill().await?;
        until_processes(&mark, |count| count == 0).await?;
        let failed = patiently(&mut there, "error").await?;
        ensure!(failed["error"].as_str().is_some_and(|text| text.contains("went away")), "{failed}");
        ensure!(there.until("result").await?["success"] == true, "what waited is not done");

        // The other stands still for longer than it may hold the chat, while its agent goes on; a third one takes the chat.
        there.send(&say(&id, "work")).await?;
        there.until("tool_use").await?;
        until_processes(&mark, |count| count >= WANDERERS).await?;
        let third = ServerProcess::on(&store, &settings).await?;
        let mut elsewhere = follow(&third, Kind::Postgres, &id, Value::Null).await?;
        elsewhere.until("synced").await?;
        other.signal("STOP").await?;
        elsewhere.send(&say(&id, "and now")).await?;
        let failed = patiently(&mut elsewhere, "error").await?;
        ensure!(failed["error"].as_str().is_some_and(|text| text.contains("went away")), "{failed}");
        ensure!(elsewhere.until("result").await?["success"] == true, "what waited is not done");
        // It finds out, lets go, and says nothing in the chat's name any more.
        other.signal("CONT").await?;
        until_processes(&mark, |count| count == 0).await?;
        let turns = call(&third, &Request::get(format!("/api/chats/{id}/turns"))).await?;
        let statuses: Vec<_> =
            turns["turns"].as_array().into_iter().flatten().filter_map(|it| it["status"].as_str()).collect();
        ensure!(
            statuses == ["cancelled", "interrupted", "finished", "interrupted", "finished"],
            "{statuses:?}"
        );
    }
}

on_postgres! {
    /// A database that hangs keeps its server from holding the chat, and not the agent alive beyond the time for which it is
    /// held: a server that reaches the database could take it then.
    async fn an_agent_ends_in_time_when_the_database_hangs() {
        let folder = tempfile::tempdir()?;
        let mark = format!("FLIGHTDECK_TEST_{}", uuid::Uuid::new_v4().simple());
        let script = script(folder.path(), &mark)?;
        let store = TestDatabase::create(Kind::Postgres).await?;
        let process = ServerProcess::on(&store, &[("FLIGHTDECK_MOCK_SCRIPT", script.as_str())]).await?;
        let (id, mut socket) = chat(&process, Kind::Postgres).await?;
        socket.send(&say(&id, "work")).await?;
        until_processes(&mark, |count| count >= WANDERERS).await?;
        let hanging = store.connect().await?;
        hanging.execute_unprepared("BEGIN; LOCK TABLE chats IN ACCESS EXCLUSIVE MODE").await?;
        let hangs = Instant::now();
        // What is written before the next renewal hangs, one after the other, and then the renewal does.
        let said = Request::post(format!("/api/chats/{id}/messages"), &json!({"content": "and then this"}));
        let address = process.address().to_owned();
        let saying = tokio::spawn(async move {
            futures_util::future::join_all((0..5).map(|_| said.send(&address))).await;
        });
        until_processes(&mark, |count| count == 0).await?;
        ensure!(hangs.elapsed() < Duration::from_secs(15), "it went on for {:?}", hangs.elapsed());
        hanging.execute_unprepared("COMMIT").await?;
        let failed = patiently(&mut socket, "error").await?;
        ensure!(failed["error"].as_str().is_some_and(|text| text.contains("went away")), "{failed}");
        saying.await?;
    }
}

/// The next such message, however long another server's hold on the chat takes to run out.
async fn patiently(socket: &mut RawSocket, wanted: &str) -> Result<Value> {
    let mut found = socket.until(wanted).await;
    for _ in 0..3 {
        if found.is_err() {
            found = socket.until(wanted).await;
        }
    }
    found
}

for_each_database! {
    /// Whoever writes a client finds in the log what it sent.
    async fn a_wrong_message_is_in_the_log(database) {
        let store = TestDatabase::create(database).await?;
        let process = ServerProcess::on(&store, &[]).await?;
        let (id, mut socket) = chat(&process, database).await?;
        let unknown = json!({"type": "heart\nbeat", "foo": 1});
        for wrong in [unknown, json!({"type": "research", "chatId": id}), json!([1])] {
            socket.send(&wrong).await?;
            let error = socket.until("error").await?;
            ensure!(error["error"] == "Invalid message format", "{error}");
        }
        let expected = [
            "WebSocket unknown message type: heart beat (keys: foo, type)",
            "WebSocket invalid message: invalid_message at `` (type: research, keys: chatId, type)",
            "WebSocket invalid message: not_json at `` (type: none, keys: )",
        ];
        let begun = Instant::now();
        while !expected.iter().all(|line| process.output().contains(line)) {
            ensure!(begun.elapsed() < Duration::from_secs(20), "it says {}", process.output());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// In development a person on the same machine needs no pairing, not even to decide.
    async fn a_person_without_a_pairing_decides(database) {
        let store = TestDatabase::create(database).await?;
        let process = ServerProcess::on(&store, &[]).await?;
        let machine = Machine::new(process.url())?;
        let asking = machine.start(&["chat"], "run echo one-$((1+1))\ny go on\n").await?;
        let said = said(asking, "chat").await?;
        ensure!(said.contains("one-2") && said.contains("That is done."), "{said}");
    }

    /// From a terminal: a message, its answer, a question that the person allows, and the list.
    async fn a_person_talks_from_a_terminal(database) {
        let store = TestDatabase::create(database).await?;
        let process = ServerProcess::on(&store, &[]).await?;
        let machine = Machine::new(process.url())?;
        machine.run(&["pair", "--self"]).await?;
        let answer = machine.run(&["chat", "hello", "there"]).await?;
        ensure!(answer.contains("You said: hello there"), "{answer}");
        let list = machine.json(&["chat", "--list"]).await?;
        ensure!(list[0]["title"] == "hello there", "{list}");
        let asking = machine.start(&["chat", "--chat", "last"], "run echo one-$((1+1))\ny go on\n").await?;
        let went = said(asking, "chat").await?;
        ensure!(went.contains("one-2") && went.contains("That is done."), "{went}");
        // Whoever joins while the agent asks may answer.
        let asks = machine.start(&["chat", "run echo joined-$((1+1))"], "").await?;
        until(&machine, &["approvals"], |list| list.as_array().is_some_and(|list| list.len() == 1)).await?;
        said(machine.start(&["chat", "--chat", "last"], "y\n").await?, "chat --chat last").await?;
        let answered = said(asks, "chat").await?;
        ensure!(answered.contains("joined-2"), "{answered}");
        // Ctrl-C ends the turn, and not only the command.
        let sleeping = machine.start(&["chat", "sleep"], "").await?;
        let runs = |list: &Value| list.as_array().is_some_and(|all| all.iter().any(|chat| chat["status"] == "running"));
        until(&machine, &["chat", "--list"], runs).await?;
        let id = sleeping.id().context("it runs")?.to_string();
        tokio::process::Command::new("kill").args(["-INT", &id]).status().await?;
        let ended = sleeping.wait_with_output().await?;
        ensure!(ended.status.code() == Some(130), "it ended with {}", ended.status);
        ensure!(!runs(&machine.json(&["chat", "--list"]).await?), "the turn goes on");
    }
}
