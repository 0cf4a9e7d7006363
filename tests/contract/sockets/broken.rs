//! Sockets of a server whose database is away or broken: they say so, and the server goes on.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use flightdeck_tests::{Kind, RawSocket, Request, TestServer, block_on, for_each_database};
use serde_json::json;
use uuid::Uuid;

use super::development;
use super::slow::{SOME, report};
use crate::support::{happened, start_run};

/// Follows a run of a new workspace.
async fn following(server: &TestServer) -> Result<(RawSocket, String)> {
    let workspace = server.pair().await?;
    let stream = format!("runs/{}", start_run(server, &workspace).await?);
    let mut socket = server.open(&Request::socket("/v1/stream").bearer(&workspace.device_token)).await?;
    socket.expect("hello").await?;
    socket.send(&json!({"type": "subscribe", "stream": stream})).await?;
    socket.until("synced").await?;
    Ok((socket, stream))
}

for_each_database! {
    async fn a_stream_that_can_not_be_read_is_refused_and_the_socket_stays(database) {
        let mut server = TestServer::with(development(database)).await?;
        let (mut socket, stream) = following(&server).await?;
        server.database().break_tables().await?;
        socket.send(&json!({"type": "subscribe", "stream": stream, "id": "again"})).await?;
        let error = socket.expect("error").await?;
        ensure!(error["code"] == "internal" && error["id"] == "again" && error["stream"] == stream, "{error}");
        socket.send(&json!({"type": "ping"})).await?;
        socket.expect("pong").await?;
    }

    /// It does not pretend that there is nothing more.
    async fn history_that_can_not_be_read_ends_the_socket(database) {
        let mut server = TestServer::with(development(database)).await?;
        let workspace = server.pair().await?;
        let run_id = Uuid::new_v4();
        workspace.machine.bridge().submit_event(&happened(&server, &workspace, run_id, "RUN_STARTED")).await?;
        report(&server, &workspace, run_id, SOME).await?;
        let request = Request::socket("/v1/stream").bearer(&workspace.device_token);
        let mut socket = server.open_narrow(&request).await?;
        socket.expect("hello").await?;
        // More than there is room for on the way, and so not all of it has been read when the database breaks.
        socket.send(&json!({"type": "subscribe", "stream": format!("runs/{run_id}"), "since_seq": 0})).await?;
        socket.expect("subscribed").await?;
        server.database().break_tables().await?;
        socket.expect_close("internal").await?;
    }

    async fn who_can_not_be_known_is_not_let_in(database) {
        let mut server = TestServer::with(development(database)).await?;
        let workspace = server.pair().await?;
        server.database().break_tables().await?;
        let request = Request::socket("/v1/stream").bearer(&workspace.device_token);
        server.try_open(&request).await?.refused("internal")?;
    }

    async fn the_hub_sends_clients_away_whom_it_could_tell_nothing(database) {
        let mut server = TestServer::with(development(database)).await?;
        server.database().break_tables().await?;
        let mut socket = server.open(&Request::socket("/hub")).await?;
        socket.expect_close("overloaded").await?;
    }
}

/// What happens while the database is away comes when it is back.
async fn nothing_is_missed() -> Result<()> {
    let mut server = TestServer::with(development(Kind::Postgres).real_time()).await?;
    let (mut socket, stream) = following(&server).await?;
    server.database().take_away().await?;
    socket.send(&json!({"type": "subscribe", "stream": stream, "id": "away"})).await?;
    let error = socket.until("error").await?;
    ensure!(error["code"] == "unavailable" && error["id"] == "away", "{error}");
    server.database().give_back().await?;
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    loop {
        socket.send(&json!({"type": "subscribe", "stream": stream, "since_seq": 0, "id": "back"})).await?;
        let (name, message) = socket.recv().await.context("the socket stays")?;
        if name == "subscribed" {
            break;
        }
        ensure!(std::time::Instant::now() < deadline, "it does not recover: {message}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let events = socket.until("events").await?;
    ensure!(events["events"][0]["type"] == "RUN_STARTED", "{events}");
    Ok(())
}

/// SQLite has nobody who could go away: readers read whoever writes.
mod a_database_that_goes_away_and_comes_back {
    #[test]
    fn postgres() {
        super::block_on(super::nothing_is_missed());
    }
}
