//! Agents whose server ended, or stood still, without a word: everybody learns that they are gone.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use flightdeck_tests::database::TestDatabase;
use flightdeck_tests::{Kind, ServerProcess, TestServer, block_on, on_postgres};
use serde_json::{Value, json};

use super::Client;

/// An agent on a server that is a program of its own.
async fn agent(process: &ServerProcess, database: Kind) -> Result<(Client, Value)> {
    let mut agent = Client::of(process, database).await?;
    agent.ok(json!({"type": "auth", "agent_id": "backend", "session_id": "s-1"})).await?;
    let data = json!({"agent_id": "backend", "client_id": agent.client_id, "session_id": "s-1"});
    Ok((agent, data))
}

/// How many agents there are, by the figures that a server tells.
async fn active_agents(server: &TestServer) -> Result<Value> {
    // The figures of this moment, not those of a moment ago.
    server.advance(Duration::from_secs(5));
    let mut client = Client::connect(server, "").await?;
    client.subscribe("metrics").await?;
    Ok(client.event().await?["data"]["active_agents"].clone())
}

/// The next thing that is told of an agent.
async fn presence(watcher: &mut Client, name: &str, data: &Value) -> Result<()> {
    let event = watcher.event().await?;
    ensure!(event["event"] == name && event["data"] == *data, "{event} came instead of {name}");
    Ok(())
}

/// Another server notices that an agent is gone.
async fn noticed(server: &TestServer, watcher: &mut Client, data: &Value) -> Result<()> {
    let told = server.hurry(presence(watcher, "agent.disconnected", data));
    tokio::time::timeout(Duration::from_secs(30), told).await.context("nobody notices")?
}

/// Where there is one server, the next to start knows.
#[test]
fn a_server_that_starts_tells_whom_the_one_before_took_along() {
    block_on(async {
        let database = TestDatabase::create(Kind::Sqlite).await?;
        let mut killed = ServerProcess::on(&database, &[]).await?;
        let (_agent, data) = agent(&killed, Kind::Sqlite).await?;
        killed.kill().await?;
        for _ in 0..2 {
            let next = ServerProcess::on(&database, &[]).await?;
            let mut watcher = Client::of(&next, Kind::Sqlite).await?;
            watcher.subscribe_since("global", 0).await?;
            presence(&mut watcher, "agent.connected", &data).await?;
            presence(&mut watcher, "agent.disconnected", &data).await?;
            watcher.socket.expect("synced").await?;
            ensure!(database.count("hub_connections").await? == 0, "nobody is here");
        }
        Ok(())
    });
}

on_postgres! {
    async fn another_server_tells_whom_a_killed_one_took_along() {
        let mut server = TestServer::start(Kind::Postgres).await?;
        let mut watcher = Client::connect(&server, "").await?;
        let mut other = ServerProcess::on(server.database(), &[]).await?;
        let (_agent, data) = agent(&other, Kind::Postgres).await?;
        presence(&mut watcher, "agent.connected", &data).await?;
        ensure!(active_agents(&server).await? == 1, "an agent is here, wherever it is connected");
        other.kill().await?;
        noticed(&server, &mut watcher, &data).await?;
        ensure!(active_agents(&server).await? == 0, "it is gone");
        watcher.expect_nothing().await?;
    }

    /// A server that stood still is taken for gone. When it goes on, its agents are here after all.
    async fn a_server_that_goes_on_tells_that_its_agents_are_here() {
        let mut server = TestServer::start(Kind::Postgres).await?;
        let mut watcher = Client::connect(&server, "").await?;
        let other = ServerProcess::on(server.database(), &[]).await?;
        let (agent, data) = agent(&other, Kind::Postgres).await?;
        presence(&mut watcher, "agent.connected", &data).await?;
        other.signal("STOP").await?;
        noticed(&server, &mut watcher, &data).await?;
        other.signal("CONT").await?;
        presence(&mut watcher, "agent.connected", &data).await?;
        ensure!(active_agents(&server).await? == 1, "it is here");
        agent.socket.close().await?;
        presence(&mut watcher, "agent.disconnected", &data).await?;
        ensure!(active_agents(&server).await? == 0, "it is gone");
    }
}
