//! Programs that publish by PostgreSQL's `NOTIFY dcm_events`.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use flightdeck_tests::database::TestDatabase;
use flightdeck_tests::{Kind, ServerProcess, TestServer, block_on, on_postgres};
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, Statement};
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::Client;

async fn notify(connection: &DatabaseConnection, payload: &str) -> Result<()> {
    let sql = "SELECT pg_notify('dcm_events', $1)";
    connection.execute_raw(Statement::from_sql_and_values(DbBackend::Postgres, sql, [payload.into()])).await?;
    Ok(())
}

#[test]
fn what_is_foreign_reaches_its_channel_and_global() {
    block_on(async {
        let mut server = TestServer::start(Kind::Postgres).await?;
        let connection = server.database().connect().await?;
        let mut topic = Client::connect(&server, "").await?;
        topic.unsubscribe("global").await?;
        topic.subscribe("topics/deployments").await?;
        let mut everybody = Client::connect(&server, "").await?;
        listens(&connection, &mut everybody).await?;
        for number in 0..100 {
            let data = json!({"channel": "topics/deployments", "event": "task.completed", "data": {"n": number}});
            notify(&connection, &data.to_string()).await?;
        }
        for number in 0..100 {
            let first = topic.expect("topics/deployments", [json!({"n": number})]).await?.remove(0);
            let copy = everybody.expect("global", [json!({"n": number})]).await?.remove(0);
            ensure!(first["event"] == "task.completed" && copy["event"] == "task.completed", "{first}");
            ensure!(first["id"] != copy["id"] && first["seq"] == number + 1, "{first}");
            topic.acknowledge(&first).await?;
            everybody.acknowledge(&copy).await?;
        }
        // Names are the publisher's own affair, and what is global is told once.
        notify(&connection, r#"{"channel": "global", "event": "build.done", "data": [1, "\u0000"]}"#).await?;
        let event = everybody.expect("global", [json!([1, "\0"])]).await?.remove(0);
        ensure!(event["event"] == "build.done", "{event}");
        // What is wrong is dropped, and the rest is not harmed by it.
        for payload in [
            "",
            "hello",
            "{}",
            r#"{"channel":"x/y","event":"a","data":1}"#,
            r#"{"channel":"global","event":5}"#,
            r#"{"channel":"global","event":"approval.decided","data":1}"#,
            r#"{"channel":"global","event":"Task Done","data":1}"#,
            r#"{"channel":"global","event":"task.created","data":1e999}"#,
            r#"{"channel":"metrics","event":"metric.update","data":1}"#,
        ] {
            notify(&connection, payload).await?;
        }
        notify(&connection, r#"{"channel": "global", "event": "system.info"}"#).await?;
        everybody.expect("global", [Value::Null]).await?;
        topic.expect_nothing().await?;
        everybody.expect_nothing().await?;
        // It is in the log like anything else.
        everybody.subscribe_since("topics/deployments", 98).await?;
        everybody.expect("topics/deployments", [json!({"n": 98}), json!({"n": 99})]).await?;
        everybody.socket.expect("synced").await?;
        Ok(())
    });
}

/// Every server hears it; one writes it down.
#[test]
fn what_is_foreign_is_told_once_whatever_the_number_of_servers() {
    block_on(async {
        let mut server = TestServer::start(Kind::Postgres).await?;
        let other = ServerProcess::on(server.database(), &[]).await?;
        let third = ServerProcess::on(server.database(), &[]).await?;
        let connection = server.database().connect().await?;
        let mut client = Client::connect(&server, "").await?;
        listens(&connection, &mut client).await?;
        for number in 0..50 {
            notify(&connection, &json!({"channel": "global", "event": "system.info", "data": number}).to_string())
                .await?;
        }
        let events = client.expect("global", (0..50).map(Value::from)).await?;
        let seqs = super::seqs(&events);
        ensure!(seqs.windows(2).all(|pair| pair[1] == pair[0] + 1), "{seqs:?}");
        client.expect_nothing().await?;
        drop((other, third));
        Ok(())
    });
}

/// When the one that writes down is gone, another does so: also while notifications never cease.
#[test]
fn another_server_takes_over() {
    block_on(async {
        let mut server = TestServer::start(Kind::Postgres).await?;
        let connection = server.database().connect().await?;
        let mut first = Client::connect(&server, "").await?;
        listens(&connection, &mut first).await?;
        let other = ServerProcess::on(server.database(), &[]).await?;
        let mut second = Client::of(&other, Kind::Postgres).await?;
        listens(&connection, &mut second).await?;
        server.stop().await;
        listens(&connection, &mut second).await?;
        Ok(())
    });
}

on_postgres! {
    async fn nothing_is_lost_when_the_server_that_writes_down_stops() {
        let told = hand_over(async |server| server.terminate().await.map(drop)).await?;
        ensure!(told == (0..SENT).collect::<Vec<_>>(), "{told:?}");
    }

    /// Of what it was writing down when it was killed, something may be told twice.
    async fn nothing_is_lost_when_the_server_that_writes_down_is_killed() {
        let told = hand_over(async |server| server.kill().await).await?;
        let all: BTreeSet<u64> = told.iter().copied().collect();
        ensure!(all.into_iter().eq(0..SENT), "{told:?}");
    }
}

/// Notifications of which a hand-over falls into the middle.
const SENT: u64 = 2_000;

/// Sends notifications while the server that writes them down comes to its end, and gives what another one tells of them.
async fn hand_over(end: impl AsyncFnOnce(&mut ServerProcess) -> Result<()>) -> Result<Vec<u64>> {
    let database = TestDatabase::create(Kind::Postgres).await?;
    let connection = database.connect().await?;
    let mut first = ServerProcess::on(&database, &[]).await?;
    listens(&connection, &mut Client::of(&first, Kind::Postgres).await?).await?;
    let other = ServerProcess::on(&database, &[]).await?;
    while !somebody_stands_by(&connection).await? {}
    let mut client = Client::of(&other, Kind::Postgres).await?;
    let begun = Notify::new();
    let sending = async {
        for number in 0..SENT {
            if number == SENT / 4 {
                begun.notify_one();
            }
            let payload = json!({"channel": "topics/x", "event": "system.info", "data": number});
            notify(&connection, &payload.to_string()).await?;
        }
        notify(&connection, r#"{"channel": "global", "event": "system.info", "data": "end"}"#).await
    };
    let ending = async {
        begun.notified().await;
        end(&mut first).await
    };
    let reading = async {
        let mut told = Vec::new();
        loop {
            let event = client.event().await?;
            match event["data"].as_u64() {
                Some(number) => told.push(number),
                None if event["data"] == "end" => return Ok(told),
                None => {}
            }
        }
    };
    let ((), (), told) = tokio::try_join!(sending, ending, reading)?;
    Ok(told)
}

/// Whether a server listens that has asked for the lock and not got it.
async fn somebody_stands_by(connection: &DatabaseConnection) -> Result<bool> {
    let sql = "SELECT COUNT(*) AS standing FROM pg_stat_activity \
               WHERE datname = current_database() AND application_name = 'flightdeck listener' \
               AND query LIKE '%pg_try_advisory_lock%' AND state = 'idle' \
               AND pid NOT IN (SELECT pid FROM pg_locks WHERE locktype = 'advisory')";
    let row = connection.query_one_raw(Statement::from_string(DbBackend::Postgres, sql)).await?;
    Ok(row.map_or(Ok(0_i64), |row| row.try_get("", "standing"))? > 0)
}

/// A server that has just started may not listen yet: what is sent to nobody is lost.
async fn listens(connection: &DatabaseConnection, client: &mut Client) -> Result<()> {
    let ready = json!({"channel": "global", "event": "system.info", "data": "ready?"}).to_string();
    for _ in 0..200 {
        notify(connection, &ready).await?;
        let event = tokio::time::timeout(std::time::Duration::from_millis(100), client.event()).await;
        if let Ok(event) = event {
            ensure!(event?["data"] == "ready?", "nobody else is here");
            // One of the earlier ones may be on its way still.
            while let Ok(event) = tokio::time::timeout(std::time::Duration::from_millis(300), client.event()).await {
                ensure!(event?["data"] == "ready?", "nobody else is here");
            }
            return Ok(());
        }
    }
    anyhow::bail!("nobody listens")
}
