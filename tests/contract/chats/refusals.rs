//! What the chat's socket refuses, and how it ends.

use std::time::Duration;

use anyhow::{Context, ensure};
use flightdeck_sdk::types::ChatMessageSend;
use flightdeck_tests::{Kind, Received, Request, TestOptions, TestServer, block_on, for_each_database};
use serde_json::json;
use uuid::Uuid;

use super::{chat, connect, follow, say};

for_each_database! {
    async fn who_may_run_no_agents_may_not_chat(database) {
        let other = Uuid::new_v4().to_string();
        let server = TestServer::with(TestOptions::new(database).set("FLIGHTDECK_AGENT_WORKSPACES", other)).await?;
        let workspace = server.pair().await?;
        let mut socket = connect(&server, &workspace).await?;
        socket.send(&say(Uuid::new_v4(), "hello")).await?;
        ensure!(socket.expect("error").await?["code"] == "agents_not_allowed", "it was taken");
    }

    /// Nor read what was said, by whichever socket.
    async fn who_may_run_no_agents_sees_no_chat(database) {
        let options = TestOptions::new(database).set("FLIGHTDECK_AGENT_WORKSPACES", Uuid::new_v4());
        let server = TestServer::with(options).await?;
        let workspace = server.pair().await?;
        // As the person on the server's machine, who may do everything.
        let new = Request::post("/api/chats", &json!({"workspace_id": workspace.workspace_id}));
        let id = server.send(&new).await?.success()?["id"].clone();
        let stream = json!({"type": "subscribe", "stream": format!("chats/{}", id.as_str().context("it has an id")?)});
        let mut device = server.open(&Request::socket("/v1/stream").bearer(&workspace.device_token)).await?;
        device.expect("hello").await?;
        device.send(&stream).await?;
        ensure!(device.expect("error").await?["code"] == "stream_not_found", "it follows the chat");
        let mut local = server.open(&Request::socket("/v1/stream")).await?;
        local.expect("hello").await?;
        local.send(&stream).await?;
        local.expect("subscribed").await?;
    }

    async fn a_queue_has_an_end(database) {
        let server = TestServer::with(TestOptions::new(database).set("FLIGHTDECK_CHAT_QUEUE", 2)).await?;
        let workspace = server.pair().await?;
        let id = chat(&workspace).await?;
        let mut socket = follow(&server, &workspace, id).await?;
        socket.send(&say(id, "sleep")).await?;
        socket.until("assistant_message").await?;
        for _ in 0..3 {
            socket.send(&say(id, "fail")).await?;
        }
        ensure!(socket.until("error").await?["code"] == "chat_queue_full", "another fault came");
        let turns = workspace.device.chats().list_chat_turns(&id).await?.turns;
        ensure!(turns.len() == 3, "{turns:?}");
    }

    async fn who_talks_without_a_pause_is_refused(database) {
        let options = TestOptions::new(database).set("FLIGHTDECK_RATE_DEVICE_REQUESTS_PER_MINUTE", 20);
        let server = TestServer::with(options).await?;
        let workspace = server.pair().await?;
        let mut socket = connect(&server, &workspace).await?;
        for _ in 0..30 {
            socket.send(&say(Uuid::new_v4(), "hello")).await?;
        }
        loop {
            let error = socket.expect("error").await?;
            if error["code"] == "rate_limited" {
                break;
            }
            ensure!(error["code"] == "chat_not_found", "{error}");
        }
    }

    async fn a_connection_follows_so_many_chats_and_no_more(database) {
        let server = TestServer::start(database).await?;
        let workspace = server.pair().await?;
        let mut socket = connect(&server, &workspace).await?;
        let most = flightdeck_tests::socket::document::socket("chats").limits.subscriptions;
        for _ in 0..most {
            socket.send(&json!({"type": "subscribe", "chatId": chat(&workspace).await?})).await?;
            socket.until("synced").await?;
        }
        let id = chat(&workspace).await?;
        socket.send(&json!({"type": "subscribe", "chatId": id})).await?;
        ensure!(socket.until("error").await?["code"] == "too_many_chats", "it was taken");
    }

    async fn a_broken_database_is_told_and_ends_who_could_be_told_nothing(database) {
        let mut server = TestServer::start(database).await?;
        let workspace = server.pair().await?;
        let id = chat(&workspace).await?;
        let large = "x".repeat(250_000);
        for _ in 0..30 {
            workspace.device.chats().send_chat_message(&id, &ChatMessageSend::new(large.clone())).await?;
        }
        let request = Request::socket("/ws").bearer(&workspace.device_token);
        let mut reading = server.open_narrow(&request).await?;
        reading.expect("connected").await?;
        let mut asking = connect(&server, &workspace).await?;
        // More than there is room for on the way, and so not all of it has been read when the database breaks.
        reading.send(&json!({"type": "subscribe", "chatId": id, "since_seq": 0})).await?;
        reading.expect("user_message").await?;
        server.database().break_tables().await?;
        asking.send(&json!({"type": "subscribe", "chatId": id})).await?;
        ensure!(asking.expect("error").await?["code"] == "internal", "another fault came");
        server.try_open(&request).await?.refused("internal")?;
        loop {
            match reading.next().await? {
                Received::Message(..) => {}
                other => {
                    ensure!(matches!(other, Received::Closed("internal")), "{other:?}");
                    break;
                }
            }
        }
    }
}

/// What can't be looked up now may be there later.
async fn away() -> anyhow::Result<()> {
    let mut server = TestServer::with(TestOptions::new(Kind::Postgres).real_time()).await?;
    let workspace = server.pair().await?;
    let id = chat(&workspace).await?;
    let mut socket = follow(&server, &workspace, id).await?;
    server.database().take_away().await?;
    socket.send(&json!({"type": "subscribe", "chatId": id})).await?;
    let error = socket.until("error").await?;
    ensure!(error["code"] == "unavailable", "{error}");
    server.database().give_back().await?;
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    loop {
        socket.send(&json!({"type": "subscribe", "chatId": id})).await?;
        if socket.recv().await.context("the socket stays")?.0 == "history" {
            return Ok(());
        }
        ensure!(std::time::Instant::now() < deadline, "it does not recover");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// SQLite has nobody who could go away: readers read whoever writes.
mod a_database_that_is_away {
    #[test]
    fn postgres() {
        super::block_on(super::away());
    }
}
