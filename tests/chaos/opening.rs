//! Many clients that come at the same moment, as after a restart: reading what they missed takes turns, and nobody waits for
//! ever.

use std::time::Duration;

use anyhow::{Context, Result};
use flightdeck_sdk::types::ChatCreate;
use flightdeck_tests::database::TestDatabase;
use flightdeck_tests::socket::document;
use flightdeck_tests::{Kind, PairedWorkspace, RawSocket, Request, ServerProcess, block_on, for_each_database};
use futures_util::future::try_join_all;
use serde_json::json;

/// Far more than the database has connections for.
const CLIENTS: usize = 60;

/// Longer than it takes on a slow machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Each client opens a socket, follows several streams or a chat, and says something, without waiting in between.
async fn all_at_once(database: Kind, settings: &[(&str, &str)]) -> Result<()> {
    let store = TestDatabase::create(database).await?;
    let process = ServerProcess::on(&store, settings).await?;
    let workspace = PairedWorkspace::pair(&process.client(database)).await?;
    let mut chats = Vec::new();
    for _ in 0..CLIENTS {
        chats.push(workspace.device.chats().create_chat(&ChatCreate::default()).await?.id);
    }
    let open = async |path: &str, name: &str| {
        let request = Request::socket(path).bearer(&workspace.device_token);
        RawSocket::open(process.address(), &request, document::socket(name), database).await?.socket()
    };
    let talks = chats.iter().map(async |id| {
        let mut socket = open("/ws", "chats").await?;
        socket.send(&json!({"type": "subscribe", "chatId": id, "since_seq": 0})).await?;
        socket.send(&json!({"type": "chat", "chatId": id, "content": "hello"})).await?;
        socket.until("result").await.context("a chat")
    });
    let follows = chats.iter().map(async |_| {
        let mut socket = open("/v1/stream", "stream").await?;
        for id in &chats[..10] {
            let stream = format!("chats/{id}");
            socket.send(&json!({"type": "subscribe", "stream": stream, "id": id, "since_seq": 0})).await?;
        }
        for _ in 0..10 {
            socket.until("synced").await.context("a stream")?;
        }
        anyhow::Ok(())
    });
    let all = async { tokio::try_join!(try_join_all(talks), try_join_all(follows)) };
    tokio::time::timeout(PATIENCE, all).await.context("they do not end")??;
    Ok(())
}

for_each_database! {
    async fn many_clients_come_at_once(database) {
        all_at_once(database, &[]).await?;
    }
}

/// A database in memory has one connection for all.
#[test]
fn many_clients_come_at_once_and_there_is_one_connection() {
    block_on(all_at_once(Kind::Sqlite, &[("DATABASE_URL", "sqlite::memory:")]));
}
