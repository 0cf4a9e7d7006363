//! Channels that nobody uses are forgotten, and an old place in one of them is never taken for a new one.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use flightdeck_tests::{Kind, ServerProcess, TestOptions, TestServer, for_each_database, on_postgres};
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, Statement};
use serde_json::json;

use super::{Client, pass, seqs};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Sessions that wait for another one's lock.
async fn waiting(connection: &DatabaseConnection) -> Result<i64> {
    let sql = "SELECT COUNT(*) AS waiting FROM pg_stat_activity \
               WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let row = connection.query_one_raw(Statement::from_string(DbBackend::Postgres, sql)).await?;
    Ok(row.map_or(Ok(0), |row| row.try_get("", "waiting"))?)
}

for_each_database! {
    async fn a_channel_that_nobody_uses_is_forgotten(database) {
        let server = TestServer::with(TestOptions::new(database).set("FLIGHTDECK_RETENTION", "channels=1/0")).await?;
        let mut agent = Client::agent(&server, "backend").await?;
        agent.subscribe("topics/kept").await?;
        for (channel, events) in [("topics/unused", 3), ("topics/kept", 1), ("topics/followed", 2)] {
            for number in 1..=events {
                agent.publish(channel, "system.info", json!(number)).await?;
            }
        }
        let told = server.count("events").await?;
        agent.socket.close().await?;
        let deadline = Instant::now() + Duration::from_secs(30);
        while server.count("events").await? == told {
            server.advance(Duration::from_secs(1));
            tokio::time::sleep(Duration::from_millis(5)).await;
            ensure!(Instant::now() < deadline, "nobody is told that the agent has gone");
        }
        // Shortly before the first event is trimmed, because from then on what nobody follows may be forgotten.
        server.advance(DAY - Duration::from_secs(600));
        let mut client = Client::connect(&server, "").await?;
        client.subscribe("topics/followed").await?;
        let deadline = Instant::now() + Duration::from_secs(30);
        while server.count("events").await? > 0 {
            pass(&server, Duration::from_secs(600), &mut [&mut client]).await?;
            ensure!(Instant::now() < deadline, "{} events are kept", server.count("events").await?);
        }
        let deadline = Instant::now() + Duration::from_secs(30);
        // The client is on `global`, too.
        while server.count("streams").await? != 3 {
            pass(&server, Duration::from_secs(600), &mut [&mut client]).await?;
            ensure!(Instant::now() < deadline, "{} channels are kept", server.count("streams").await?);
        }
        pass(&server, Duration::from_secs(3_700), &mut [&mut client]).await?;
        ensure!(server.count("streams").await? == 3, "channels that are used are forgotten");

        client.publish("topics/followed", "system.info", json!(3)).await?;
        ensure!(seqs(&client.expect("topics/followed", [json!(3)]).await?) == [3], "it goes on");
        client.unsubscribe("topics/followed").await?;
        client.subscribe("topics/unused").await?;
        client.publish("topics/unused", "system.info", json!("again")).await?;
        // Above all that were forgotten.
        ensure!(seqs(&client.expect("topics/unused", [json!("again")]).await?) == [4], "it begins above");
        client.publish("topics/unused", "system.info", json!("and again")).await?;
        ensure!(seqs(&client.expect("topics/unused", [json!("and again")]).await?) == [5], "it goes on");
        client.subscribe("topics/new").await?;
        client.publish("topics/new", "system.info", json!("new")).await?;
        ensure!(seqs(&client.expect("topics/new", [json!("new")]).await?) == [4], "so does every new one");

        // Who knew the channel before is told that it is another one, unless nothing was missed.
        for (since, gap) in [(1, true), (2, true), (3, false)] {
            client.subscribe_since("topics/unused", since).await?;
            if gap {
                let gap = client.socket.expect("gap").await?;
                ensure!(gap["since_seq"] == since && gap["next_seq"] == 4 && gap["reason"] == "trimmed", "{gap}");
            }
            let events = client.expect("topics/unused", [json!("again"), json!("and again")]).await?;
            ensure!(seqs(&events) == [4, 5], "{events:?}");
            client.socket.expect("synced").await?;
        }
    }
}

on_postgres! {
    /// Another server publishes on a channel while one forgets it, and has to wait for the end of that.
    async fn a_channel_that_is_just_being_forgotten_begins_above_its_place() {
        let mut server = TestServer::start(Kind::Postgres).await?;
        let other = ServerProcess::on(server.database(), &[]).await?;
        let mut client = Client::connect(&server, "").await?;
        client.subscribe("topics/x").await?;
        for number in 1..=3 {
            client.publish("topics/x", "system.info", json!(number)).await?;
        }
        client.expect("topics/x", (1..=3).map(|number| json!(number))).await?;
        let forgetting = server.database().connect().await?;
        forgetting
            .execute_unprepared(
                "BEGIN; DELETE FROM events; DELETE FROM streams WHERE name = 'channels/topics/x'; \
                 INSERT INTO facts (name, value) VALUES ('channels_floor', '3')",
            )
            .await?;
        let mut publisher = Client::of(&other, Kind::Postgres).await?;
        publisher.send(json!({"type": "publish", "channel": "topics/x", "event": "system.info", "data": 4})).await?;
        let looking = server.database().connect().await?;
        while waiting(&looking).await? == 0 {}
        forgetting.execute_unprepared("COMMIT").await?;
        let events = client.expect("topics/x", [json!(4)]).await?;
        ensure!(seqs(&events) == [4], "{events:?}");
        client.subscribe_since("topics/x", 2).await?;
        let gap = client.socket.expect("gap").await?;
        ensure!(gap["next_seq"] == 4 && gap["reason"] == "trimmed", "{gap}");
    }
}
