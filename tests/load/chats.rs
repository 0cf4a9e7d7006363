//! Many chats at once, whose agents speak at a pace: whether each turn takes as long as if it were alone, and what a piece
//! of a message costs.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use serde_json::json;

use crate::Bench;
use crate::machine::processor_time;
use crate::options::{Store, Sync};
use crate::report::{Bar, Figure, Report};
use crate::server::Server;
use crate::sockets::Socket;
use crate::statistics::{Takes, percentile};
use crate::workspace::{Phone, text};

/// Pieces of a turn, and the milliseconds between two.
const PIECES: usize = 200;
const PACE: usize = 20;

/// What a turn is said in, many times: a few words, as a model says them.
const PIECE: &str = "a few more words ";

pub(crate) async fn measure(bench: &Bench, report: &mut Report) -> Result<()> {
    let chats = bench.options.choose(200, 50);
    let (mut alone, mut together, mut rate) = <(Takes, Takes, Takes)>::default();
    let mut busy = 0.0;
    for _ in 0..bench.options.choose(3, 1) {
        bench.say(&format!("chats: one, then {chats} at once"));
        let server = Server::start_with(bench, Store::Sqlite(Sync::Full), &script()?).await?;
        alone.push(percentile(&mut talk(&server, 1).await?.took, 0.5));
        let Talked { mut took, elapsed, used } = talk(&server, chats).await?;
        together.push(percentile(&mut took, 0.99));
        rate.push((chats * PIECES) as f64 / used.as_secs_f64());
        busy = used.as_secs_f64() / elapsed.as_secs_f64() * 100.0;
        server.stop().await?;
    }
    report.add(Figure {
        bar: Some(Bar::AtMost(alone.median() * 1.25)),
        baselines: vec![("one chat alone".to_owned(), alone.median())],
        detail: format!("server {busy:.0} % of its core; every piece came, in its place"),
        ..Figure::new(
            "chats",
            format!("{chats} chats, {PIECES} pieces each, one in {PACE} ms: a turn, p99"),
            "ms",
            together,
        )
    });
    report.add(Figure::new("chats", format!("{chats} chats: pieces a server-core second"), "/s", rate));
    Ok(())
}

/// The mock's script, as a setting.
fn script() -> Result<Vec<(String, String)>> {
    let path = std::env::temp_dir().join(format!("flightdeck-load-{}.toml", std::process::id()));
    let text =
        format!("turns = [{{ steps = [{{ stream = {{ text = '{PIECE}', times = {PIECES}, pace = {PACE} }} }}] }}]");
    std::fs::write(&path, text).context("writing the mock's script")?;
    Ok(vec![("FLIGHTDECK_MOCK_SCRIPT".to_owned(), path.display().to_string())])
}

struct Talked {
    took: Vec<Duration>,
    elapsed: Duration,
    /// Of the server's processor.
    used: Duration,
}

/// So many people say something at once, and read to the end of the answer.
async fn talk(server: &Server, chats: usize) -> Result<Talked> {
    let mut people = Vec::with_capacity(chats);
    let mut phone = Phone::open(server.address(), "").await?;
    for _ in 0..chats {
        let chat = phone.post("/api/chats", &json!({})).await?;
        let id = text(&chat, "id")?.to_owned();
        let mut socket = Socket::open(server.address(), "/ws").await?;
        socket.send(&json!({"type": "subscribe", "chatId": id}).to_string()).await?;
        socket.wait_for(b"\"synced\"").await?;
        people.push((socket, id));
    }
    let before = processor_time(server.process()).context("the server's processor time can't be read")?;
    let began = Instant::now();
    let took = try_join_all(people.into_iter().map(|(socket, id)| listen(socket, id))).await?;
    let elapsed = began.elapsed();
    let used = processor_time(server.process()).context("the server's processor time can't be read")? - before;
    Ok(Talked { took, elapsed, used })
}

async fn listen(mut socket: Socket, id: String) -> Result<Duration> {
    let began = Instant::now();
    socket.send(&json!({"type": "chat", "chatId": id, "content": "go"}).to_string()).await?;
    let mut said = 0;
    loop {
        let message: serde_json::Value = serde_json::from_slice(socket.message().await?)?;
        match message["type"].as_str() {
            Some("assistant_message") => {
                ensure!(message["offset"] == said, "after {said} bytes comes {message}");
                said += message["content"].as_str().map_or(0, str::len);
            }
            Some("result") => break,
            Some("error") => anyhow::bail!("{message}"),
            _ => {}
        }
    }
    ensure!(said == PIECES * PIECE.len(), "{said} bytes came");
    Ok(began.elapsed())
}
