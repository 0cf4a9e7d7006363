//! Programs that publish by PostgreSQL's `NOTIFY dcm_events`.

use anyhow::{Result, ensure};
use flightdeck_tests::{Kind, ServerProcess, TestServer, block_on};
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, Statement};
use serde_json::{Value, json};

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
