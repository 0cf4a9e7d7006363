//! How fast stored events come to a socket that asks for all of them.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::client::Socket;
use super::latency::register;
use crate::Bench;
use crate::connection::{Connection, find};
use crate::options::{SocketOptions, Store, Sync};
use crate::report::{Bar, Figure, Report};
use crate::server::{Listening, Server};
use crate::statistics::Takes;
use crate::workspace::Phone;

const CONNECTIONS: usize = 64;

pub(super) async fn measure(bench: &Bench, options: &SocketOptions, report: &mut Report) -> Result<()> {
    let events = options.events.unwrap_or(bench.options.choose(100_000, 20_000)).max(1_000);
    let takes = options.takes(&bench.options);
    let server = Server::start(bench, Store::Sqlite(Sync::Normal)).await?;
    let agent_id = register(server.address()).await?;
    bench.say(&format!("replay: storing {events} events"));
    store(&server, &agent_id, events).await?;
    for (name, target, message, last) in [
        (
            "stream",
            "/v1/stream".to_owned(),
            json!({"type": "subscribe", "stream": format!("agents/{agent_id}"), "since_seq": 0}),
            b"\"synced\"".as_slice(),
        ),
        (
            "companion",
            format!("/realtime?agent_id={agent_id}&role=ios"),
            json!({"type": "subscribe", "since_seq": 0}),
            format!("\"seq\":{events},").into_bytes().leak(),
        ),
    ] {
        let (mut rates, mut bare) = (Takes::default(), Takes::default());
        let mut bytes = 0;
        for _ in 0..takes {
            bench.say(&format!("replay: {events} events to {name}"));
            let mut socket = Socket::open(server.address(), &target).await?;
            let began = Instant::now();
            socket.send(&message.to_string()).await?;
            let (seconds, read, seen) = read_all(&mut socket, last, began).await?;
            ensure!(seen == events, "{seen} events came instead of {events}");
            bytes = read;
            rates.push(events as f64 / seconds);
            bare.push(events as f64 / loop_back(bench, bytes).await?);
        }
        report.add(Figure {
            bar: Some(Bar::AtLeast(250_000.0)),
            baselines: vec![("bare loop-back of as many bytes".to_owned(), bare.median())],
            detail: format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20)),
            ..Figure::new("replay", format!("{events} stored events to {name}"), "events/s", rates)
        });
    }
    server.stop().await
}

/// Seconds, bytes and events until the message that holds `last`.
async fn read_all(socket: &mut Socket, last: &[u8], began: Instant) -> Result<(f64, usize, usize)> {
    let (mut bytes, mut events) = (0, 0);
    loop {
        let mut done = false;
        socket
            .messages(|message| {
                bytes += message.len();
                events += count(message, b"\"seq\":") - usize::from(find(message, b"\"synced\"").is_some());
                // Only the end of a message is looked through: the last event is at the end.
                let end = &message[message.len().saturating_sub(1_024)..];
                done |= find(end, last).is_some();
            })
            .await?;
        if done {
            return Ok((began.elapsed().as_secs_f64(), bytes, events));
        }
    }
}

fn count(message: &[u8], word: &[u8]) -> usize {
    // By the rarest byte, so that counting costs less than receiving.
    message
        .iter()
        .enumerate()
        .filter(|(at, byte)| **byte == b'q' && *at >= 3 && message[at - 3..].starts_with(word))
        .count()
}

async fn store(server: &Server, agent_id: &str, events: usize) -> Result<()> {
    let body = json!({"agent_id": agent_id, "content": "How far are you with the release notes?"}).to_string();
    let request = Phone::open(server.address(), "").await?.request("POST", "/messages", &body);
    let mut storing = JoinSet::new();
    for place in 0..CONNECTIONS {
        let (address, request) = (server.address().to_owned(), request.clone());
        let share = events / CONNECTIONS + usize::from(place < events % CONNECTIONS);
        storing.spawn(async move {
            let mut connection = Connection::open(&address).await?;
            for _ in 0..share {
                connection.exchange(&request).await?.ok()?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(ended) = storing.join_next().await {
        ended.context("storing broke off")??;
    }
    Ok(())
}

/// Seconds that the bare program takes for as many bytes.
async fn loop_back(bench: &Bench, bytes: usize) -> Result<f64> {
    let bare = Listening::bare(bench).await?;
    let mut stream = TcpStream::connect(&bare.address).await?;
    let began = Instant::now();
    stream.write_all(b"R").await?;
    stream.write_u64(bytes as u64).await?;
    let mut buffer = vec![0; 64 << 10];
    let mut left = bytes;
    while left > 0 {
        let count = stream.read(&mut buffer).await?;
        ensure!(count > 0, "the bare program went away");
        left -= count;
    }
    let seconds = began.elapsed().as_secs_f64();
    bare.stop().await?;
    Ok(seconds)
}
