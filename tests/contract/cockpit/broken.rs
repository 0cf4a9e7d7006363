//! The cockpit when the database is away or broken: it says so, and ends sockets that could be told nothing.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use flightdeck_tests::{TestOptions, TestServer, for_each_database};
use serde_json::{Value, json};

use super::Session;

fn said() -> Value {
    json!({"type": "user_message", "content": "are you there?", "timestamp": "2026-01-02T03:04:05Z"})
}

for_each_database! {
    async fn what_is_said_while_the_database_is_broken_is_refused(database) {
        let mut server = TestServer::start(database).await?;
        let session = Session::open(&server).await?;
        session.ready(&server, "edit hello.txt hello").await?;
        let mut socket = session.listen(&server).await?;
        server.database().break_tables().await?;
        socket.send(&said()).await?;
        let error = socket.until("error").await?;
        ensure!(error["code"] == "internal" && error["action"].is_string(), "{error}");
        server.try_open(&session.events()).await?.refused("internal")?;
        server.try_open(&session.terminal()).await?.refused("internal")?;
        // It does not pretend that nothing happened.
        socket.send(&json!({"type": "subscribe", "since_seq": 0})).await?;
        socket.expect_close("internal").await?;
    }

    async fn what_is_said_while_the_database_is_away_may_be_said_again(database) {
        let mut server = TestServer::with(TestOptions::new(database).real_time()).await?;
        let session = Session::open(&server).await?;
        let task = session.ready(&server, "edit hello.txt hello").await?;
        let mut socket = session.listen(&server).await?;
        server.database().take_away().await?;
        socket.send(&said()).await?;
        let error = socket.until("error").await?;
        ensure!(error["code"] == "unavailable", "{error}");
        server.database().give_back().await?;
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            socket.send(&said()).await?;
            let (name, message) = socket.recv().await.context("the socket stays")?;
            if name == "status" {
                ensure!(message["taskId"] == task.to_string(), "{message}");
                break;
            }
            ensure!(Instant::now() < deadline, "it does not recover: {message}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}
