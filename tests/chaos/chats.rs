//! Chats under load: many that stream at once lose and reorder nothing, and one that says very much costs no memory.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use flightdeck_sdk::types::ChatCreate;
use flightdeck_tests::database::TestDatabase;
use flightdeck_tests::{Kind, RawSocket, Request, ServerProcess, TestOptions, TestServer, block_on, for_each_database};
use futures_util::future::try_join_all;
use serde_json::{Value, json};

const CHATS: usize = 200;
const PIECES: usize = 200;

/// Longer than all of this takes on a slow machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// What the chatty agent says, in bytes: a piece, and how often.
const CHUNK: usize = 8 << 10;
const TIMES: usize = 100 * 1024 * 1024 / CHUNK;

/// What a server may grow by while an agent says that, in KiB.
const GROWTH: u64 = 64 << 10;

fn script(text: &str) -> Result<(tempfile::TempDir, String)> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("script.toml");
    std::fs::write(&path, text)?;
    let path = path.display().to_string();
    Ok((folder, path))
}

/// Reads what the agent says, and checks that each piece comes in its place.
async fn listen(mut socket: RawSocket, wanted: &str) -> Result<()> {
    let mut text = String::new();
    loop {
        let (name, message) = socket.recv().await?;
        match name {
            "assistant_message" => {
                ensure!(message["offset"] == text.len(), "after {} bytes comes {message}", text.len());
                text.push_str(message["content"].as_str().context("a piece has a text")?);
            }
            "result" => break,
            "error" => anyhow::bail!("{message}"),
            _ => {}
        }
    }
    ensure!(text == wanted, "{} bytes came in place of {}", text.len(), wanted.len());
    Ok(())
}

for_each_database! {
    async fn two_hundred_chats_stream_at_once(database) {
        let (_folder, path) = script(&format!(
            "turns = [{{ steps = [{{ stream = {{ text = '{{prompt}}-', times = {PIECES}, pace = 5 }} }}] }}]"
        ))?;
        let server = TestServer::with(TestOptions::new(database).set("FLIGHTDECK_MOCK_SCRIPT", path)).await?;
        let workspace = server.pair().await?;
        let open = async |number: usize| {
            let chat = workspace.device.chats().create_chat(&ChatCreate::default()).await?;
            let request = Request::socket("/ws").bearer(&workspace.device_token);
            let mut socket = server.open(&request).await?;
            socket.send(&json!({"type": "subscribe", "chatId": chat.id})).await?;
            socket.until("synced").await?;
            anyhow::Ok((socket, chat.id, format!("chat {number}")))
        };
        let mut chats = Vec::new();
        for number in 0..CHATS {
            chats.push(open(number).await?);
        }
        let talks = chats.into_iter().map(async |(mut socket, id, prompt)| {
            socket.send(&json!({"type": "chat", "chatId": id, "content": prompt})).await?;
            listen(socket, &format!("{prompt}-").repeat(PIECES)).await.with_context(|| prompt)
        });
        tokio::time::timeout(PATIENCE, try_join_all(talks)).await.context("they do not end")??;
    }
}

/// The most memory that a process has had.
fn peak_kib(id: u32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("it has a size")?;
    Ok(line.trim().trim_end_matches("kB").trim().parse()?)
}

#[test]
fn an_agent_that_says_a_hundred_megabytes_costs_no_memory() {
    block_on(async {
        let text = "x".repeat(CHUNK);
        let (_folder, path) = script(&format!(
            "turns = [{{ when = 'much', steps = [{{ stream = {{ text = '{text}', times = {TIMES} }} }}] }}, \
             {{ steps = [{{ say = 'hello' }}] }}]"
        ))?;
        let store = TestDatabase::create(Kind::Sqlite).await?;
        let settings = [("FLIGHTDECK_MOCK_SCRIPT", path.as_str()), ("FLIGHTDECK_SQLITE_SYNC", "normal")];
        let process = ServerProcess::on(&store, &settings).await?;
        let chat = Request::post("/api/chats", &json!({})).send(process.address()).await?.success()?;
        let id = chat["id"].as_str().context("a chat has an id")?;
        let say = async |content: &str| -> Result<()> {
            let path = format!("/api/chats/{id}/messages");
            Request::post(path, &json!({ "content": content })).send(process.address()).await?.success()?;
            loop {
                let turns = Request::get(format!("/api/chats/{id}/turns")).send(process.address()).await?.success()?;
                let last: &Value = turns["turns"].as_array().and_then(|turns| turns.last()).context("there is one")?;
                if last["status"] == "finished" {
                    return Ok(());
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        say("hello").await?;
        // It follows, and reads nothing.
        let socket = flightdeck_tests::socket::document::socket("chats");
        let opened = RawSocket::open(process.address(), &Request::socket("/ws"), socket, Kind::Sqlite).await?;
        let mut stalled = opened.socket()?;
        stalled.send(&json!({"type": "subscribe", "chatId": id})).await?;
        stalled.until("synced").await?;
        let before = peak_kib(process.id()?)?;
        tokio::time::timeout(PATIENCE, say("much")).await.context("it does not end")??;
        let grown = peak_kib(process.id()?)?.saturating_sub(before);
        ensure!(grown < GROWTH, "the server grew by {grown} KiB");
        Ok(())
    });
}
