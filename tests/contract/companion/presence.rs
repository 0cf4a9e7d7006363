//! Who is there, and who is not any more.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use flightdeck_tests::{RawSocket, Request, TestServer, for_each_database};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{open, read_to, register, said, say, subscribe};

/// Longer than a machine may be silent, and than it takes to notice.
const SILENCE: Duration = Duration::from_secs(36);

async fn status(server: &TestServer, agent: Uuid) -> Result<String> {
    let list = server.send(&Request::get("/agents")).await?.success()?;
    let found = list["agents"].as_array().into_iter().flatten().find(|listed| listed["id"] == json!(agent));
    Ok(found.context("the agent is listed")?["status"].as_str().unwrap_or_default().to_owned())
}

/// The next status that the server tells.
async fn told(socket: &mut RawSocket) -> Result<Value> {
    loop {
        let message = socket.until("event").await?;
        if message["event"]["type"] == "agent_status" {
            ensure!(message["event"]["sender"] == "system", "{message}");
            return Ok(message["event"]["payload"]["status"].clone());
        }
    }
}

for_each_database! {
    async fn a_machine_that_comes_turns_its_agent_online(database) {
        let server = TestServer::start(database).await?;
        let agent = register(&server, "a").await?;
        let mut phone = open(&server, agent, "ios").await?;
        ensure!(status(&server, agent).await? == "offline", "a phone is no machine");
        let mut pc = open(&server, agent, "pc").await?;
        ensure!(told(&mut phone).await? == "online" && told(&mut pc).await? == "online", "nobody was told");
        ensure!(status(&server, agent).await? == "online", "it is there");
        // Once is enough.
        let mut second = open(&server, agent, "pc").await?;
        let last = say(&server, agent, "x").await?;
        for socket in [&mut phone, &mut pc, &mut second] {
            let events = read_to(socket, last).await?;
            ensure!(said(&events) == ["x"], "{events:?}");
        }
    }

    async fn a_heartbeat_is_told_and_turns_the_agent_online(database) {
        let server = TestServer::start(database).await?;
        let agent = register(&server, "a").await?;
        let mut phone = open(&server, agent, "ios").await?;
        for _ in 0..3 {
            phone.send(&json!({"type": "heartbeat"})).await?;
        }
        let events = read_to(&mut phone, 4).await?;
        ensure!(said(&events) == ["online", "heartbeat", "heartbeat", "heartbeat"], "{events:?}");
        ensure!(events.iter().all(|event| event["type"] == "agent_status" && event["sender"] == "system"), "{events:?}");
        ensure!(status(&server, agent).await? == "online", "it gave a sign of life");
    }

    async fn a_machine_that_falls_silent_is_away(database) {
        let server = TestServer::start(database).await?;
        let (agent, lively) = (register(&server, "a").await?, register(&server, "b").await?);
        let mut phone = open(&server, agent, "ios").await?;
        let mut machines = vec![open(&server, agent, "pc").await?, open(&server, agent, "pc").await?];
        let mut other = open(&server, lively, "pc").await?;
        ensure!(told(&mut phone).await? == "online", "it came");
        for _ in 0..2 {
            server.advance(SILENCE / 2);
            other.send(&json!({"type": "heartbeat"})).await?;
            while told(&mut other).await? != "heartbeat" {}
        }
        ensure!(told(&mut phone).await? == "offline", "it went");
        for machine in &mut machines {
            machine.expect_close("silent").await?;
        }
        ensure!(status(&server, agent).await? == "offline", "it is shown as there");
        ensure!(status(&server, lively).await? == "online", "the lively one is shown as away");
        ensure!(other.settle().await?.is_empty(), "the lively one was told something");

        // And it comes back.
        let mut machine = open(&server, agent, "pc").await?;
        ensure!(told(&mut phone).await? == "online" && told(&mut machine).await? == "online", "nobody was told");
        server.advance(SILENCE / 2);
        machine.send(&json!({"type": "heartbeat"})).await?;
        ensure!(told(&mut phone).await? == "heartbeat", "it lives");
        server.advance(SILENCE / 2);
        say(&server, agent, "x").await?;
        let message = phone.expect("event").await?;
        ensure!(message["event"]["payload"]["content"] == "x", "{message}");
    }

    /// What a client reports of itself is not what the server says.
    async fn a_report_of_being_away_is_only_a_report(database) {
        let server = TestServer::start(database).await?;
        let agent = register(&server, "a").await?;
        let mut pc = open(&server, agent, "pc").await?;
        let report = json!({"type": "agent_status", "sender": "pc", "payload": {"status": "offline"}});
        pc.send(&json!({"type": "event", "event": report})).await?;
        let mut events = read_to(&mut pc, 2).await?;
        let last = say(&server, agent, "x").await?;
        events.extend(read_to(&mut pc, last).await?);
        ensure!(said(&events) == ["online", "offline", "x"], "{events:?}");
        ensure!(status(&server, agent).await? == "online", "it is still there");
    }

    async fn a_restart_leaves_nobody_online_for_ever(database) {
        let mut server = TestServer::start(database).await?;
        let agent = register(&server, "a").await?;
        let mut pc = open(&server, agent, "pc").await?;
        ensure!(told(&mut pc).await? == "online", "it came");
        server.restart().await?;
        ensure!(status(&server, agent).await? == "online", "it may come back any moment");
        let mut phone = open(&server, agent, "ios").await?;
        subscribe(&mut phone, 1).await?;
        ensure!(phone.expect("events").await?["events"] == json!([]), "nothing has happened yet");
        server.hurry(async { ensure!(told(&mut phone).await? == "offline", "it went"); Ok(()) }).await?;
        ensure!(status(&server, agent).await? == "offline", "it is shown as there");
    }
}
