//! Whether one reader that stops reading costs the others anything.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use super::client::Socket;
use crate::Bench;
use crate::connection::find;
use crate::machine::memory;
use crate::options::{Store, Sync};
use crate::report::{Bar, Figure, Report};
use crate::server::Server;
use crate::statistics::percentile;

/// Of those who read.
const READERS: usize = 1_000;

/// Between two events, each 8 KiB: eighty megabytes a second for all.
const EVERY: Duration = Duration::from_millis(100);
const SIZE: usize = 8 << 10;

pub(super) async fn measure(bench: &Bench, report: &mut Report) -> Result<()> {
    let events = bench.options.choose(150, 60);
    bench.say("stalled: a thousand readers");
    let (mut without, _) = take(bench, events, false).await?;
    bench.say("stalled: a thousand readers, and one that does not read");
    let (mut with, grown) = take(bench, events, true).await?;
    for (name, share) in [("p50", 0.5), ("p99", 0.99)] {
        let before = percentile(&mut without, share);
        report.add(Figure {
            bar: (name == "p99").then_some(Bar::AtMost(before * 2.0)),
            baselines: vec![("without it".to_owned(), before)],
            detail: format!(
                "{events} events of 8 KiB; the server grew by {:.1} MiB while they were sent",
                grown / 1024.0
            ),
            ..Figure::new(
                "stalled",
                format!("publish to each of {READERS} readers beside a stalled one, {name}"),
                "ms",
                percentile(&mut with, share).into(),
            )
        });
    }
    Ok(())
}

/// Every delivery's time, and by how many KiB the server grew.
async fn take(bench: &Bench, events: usize, stalled: bool) -> Result<(Vec<Duration>, f64)> {
    let server = Server::start(bench, Store::Sqlite(Sync::Normal)).await?;
    let mut idle = Vec::new();
    if stalled {
        idle.push(subscribe(server.address()).await?.into_idle());
    }
    let sent: Arc<Mutex<Vec<Instant>>> = Arc::default();
    let mut readers = JoinSet::new();
    for _ in 0..READERS {
        let mut socket = subscribe(server.address()).await?;
        let sent = sent.clone();
        readers.spawn(async move {
            let mut took = Vec::with_capacity(events);
            while took.len() < events {
                let message = socket.message().await?;
                let number = find(message, b"\"n\":").context("an event without a number")?;
                let digits = message[number + 4..].iter().take_while(|byte| byte.is_ascii_digit());
                let number = digits.fold(0, |number, digit| number * 10 + usize::from(digit - b'0'));
                let now = Instant::now();
                ensure!(number == took.len(), "event {number} came in the place of {}", took.len());
                took.push(now - sent.lock().await[number]);
            }
            anyhow::Ok(took)
        });
    }
    let mut publisher = Socket::open(server.address(), "/hub").await?;
    let filling = "x".repeat(SIZE);
    let before = memory(server.process()).context("the server's memory can't be read")?;
    for number in 0..events {
        let message = format!(
            r#"{{"type":"publish","channel":"topics/load","event":"system.info","data":{{"n":{number},"text":"{filling}"}},"id":"p"}}"#
        );
        sent.lock().await.push(Instant::now());
        publisher.send(&message).await?;
        publisher.wait_for(b"\"ack\"").await?;
        tokio::time::sleep(EVERY).await;
    }
    let mut took = Vec::new();
    while let Some(ended) = readers.join_next().await {
        took.extend(ended.context("a reader broke off")??);
    }
    let after = memory(server.process()).context("the server's memory can't be read")?;
    server.stop().await?;
    Ok((took, after.resident - before.resident))
}

async fn subscribe(address: &str) -> Result<Socket> {
    let mut socket = Socket::open(address, "/hub").await?;
    socket.send(r#"{"type":"subscribe","channel":"topics/load","id":"s"}"#).await?;
    socket.wait_for(b"\"ack\"").await?;
    Ok(socket)
}
