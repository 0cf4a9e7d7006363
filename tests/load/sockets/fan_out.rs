//! How many deliveries a second of the server's core makes, with 1, 100 and 1,000 followers of one channel.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::bare::EVENT;
use super::client::Socket;
use crate::Bench;
use crate::machine::processor_time;
use crate::options::{SocketOptions, Store, Sync};
use crate::report::{Bar, Figure, Report};
use crate::server::{Listening, Server};
use crate::statistics::Takes;

/// Sockets that publish, each one event at a time: as many events are under way.
const PUBLISHERS: usize = 8;

/// What a subscriber follows, and by which socket.
#[derive(Debug, Clone, Copy)]
enum By {
    Hub,
    Stream,
}

impl By {
    const fn name(self) -> &'static str {
        match self {
            Self::Hub => "hub",
            Self::Stream => "stream",
        }
    }

    async fn subscribe(self, address: &str) -> Result<Socket> {
        let (path, message, answer): (_, _, &[u8]) = match self {
            Self::Hub => ("/hub", r#"{"type":"subscribe","channel":"topics/load","id":"s"}"#, b"\"ack\""),
            Self::Stream => ("/v1/stream", r#"{"type":"subscribe","stream":"channels/topics/load"}"#, b"\"synced\""),
        };
        let mut socket = Socket::open(address, path).await?;
        socket.send(message).await?;
        socket.wait_for(answer).await?;
        Ok(socket)
    }
}

/// Counts deliveries, and wakes whoever waits for them.
#[derive(Default)]
struct Counter {
    delivered: AtomicU64,
    moved: Notify,
}

impl Counter {
    fn add(&self, count: usize) {
        self.delivered.fetch_add(count as u64, Ordering::Relaxed);
        self.moved.notify_waiters();
    }

    async fn wait_until(&self, delivered: u64) {
        loop {
            let moved = self.moved.notified();
            if self.delivered.load(Ordering::Relaxed) >= delivered {
                return;
            }
            moved.await;
        }
    }
}

pub(super) async fn measure(bench: &Bench, options: &SocketOptions, report: &mut Report) -> Result<()> {
    let levels = if options.subscribers.is_empty() { vec![1, 100, 1_000] } else { options.subscribers.clone() };
    let takes = options.takes(&bench.options);
    for subscribers in levels {
        let deliveries = bench.options.choose(1_000_000, 200_000).min(subscribers as u64 * 20_000);
        let events = (deliveries / subscribers as u64).max(200);
        let mut bare = Takes::default();
        for _ in 0..takes {
            bench.say(&format!("fan-out: bare loop-back, {subscribers} subscribers"));
            bare.push(loop_back(bench, subscribers, events).await?);
        }
        for by in [By::Hub, By::Stream] {
            let (mut rates, mut wall) = (Takes::default(), Takes::default());
            for _ in 0..takes {
                bench.say(&format!("fan-out: {}, {subscribers} subscribers", by.name()));
                let (rate, seconds) = server(bench, by, subscribers, events).await?;
                rates.push(rate);
                wall.push((events * subscribers as u64) as f64 / seconds);
            }
            report.add(Figure {
                bar: (subscribers >= 100).then_some(Bar::AtLeast(900_000.0)),
                baselines: vec![("bare loop-back".to_owned(), bare.median())],
                detail: format!("{events} events; {:.0} deliveries a second of the clock", wall.median()),
                ..Figure::new(
                    "fan-out",
                    format!("{}, {subscribers} subscribers, deliveries a server-core second", by.name()),
                    "events/s",
                    rates,
                )
            });
        }
    }
    Ok(())
}

/// Deliveries a second of the server's core, and seconds of the clock.
async fn server(bench: &Bench, by: By, subscribers: usize, events: u64) -> Result<(f64, f64)> {
    let server = Server::start(bench, Store::Sqlite(Sync::Normal)).await?;
    let counter = Arc::new(Counter::default());
    let mut readers = JoinSet::new();
    for _ in 0..subscribers {
        let mut socket = by.subscribe(server.address()).await?;
        let counter = counter.clone();
        readers.spawn(async move {
            let mut left = events;
            while left > 0 {
                let count = socket.messages(|_| {}).await?;
                counter.add(count);
                left = left.saturating_sub(count as u64);
            }
            anyhow::Ok(socket)
        });
    }
    let data = "x".repeat(120);
    let message = format!(
        r#"{{"type":"publish","channel":"topics/load","event":"system.info","data":{{"text":"{data}"}},"id":"p"}}"#
    );
    let mut publishers = Vec::new();
    for _ in 0..PUBLISHERS {
        publishers.push(Socket::open(server.address(), "/hub").await?);
    }
    let before = processor_time(server.process()).context("the server's processor time can't be read")?;
    let began = Instant::now();
    let mut publishing = JoinSet::new();
    for (place, mut socket) in publishers.into_iter().enumerate() {
        let (counter, message) = (counter.clone(), message.clone());
        let share = events / PUBLISHERS as u64 + u64::from((place as u64) < events % PUBLISHERS as u64);
        publishing.spawn(async move {
            for number in 0..share {
                socket.send(&message).await?;
                socket.wait_for(b"\"ack\"").await?;
                // Nobody runs further ahead of the slowest reader than a few events.
                let allowed = (number * PUBLISHERS as u64).saturating_sub(64);
                counter.wait_until(allowed * subscribers as u64).await;
            }
            anyhow::Ok(())
        });
    }
    while let Some(ended) = publishing.join_next().await {
        ended.context("a publisher broke off")??;
    }
    while let Some(ended) = tokio::time::timeout(Duration::from_secs(60), readers.join_next())
        .await
        .context("events are missing: they did not arrive within a minute")?
    {
        ended.context("a reader broke off")??;
    }
    let seconds = began.elapsed().as_secs_f64();
    let after = processor_time(server.process()).context("the server's processor time can't be read")?;
    let delivered = counter.delivered.load(Ordering::Relaxed);
    ensure!(
        delivered == events * subscribers as u64,
        "{delivered} deliveries instead of {}",
        events * subscribers as u64
    );
    server.stop().await?;
    Ok((delivered as f64 / (after - before).as_secs_f64(), seconds))
}

/// The same by the bare program: the same number of writes of as many bytes.
async fn loop_back(bench: &Bench, subscribers: usize, events: u64) -> Result<f64> {
    let bare = Listening::bare(bench).await?;
    let counter = Arc::new(Counter::default());
    let mut readers = JoinSet::new();
    for _ in 0..subscribers {
        let mut stream = TcpStream::connect(&bare.address).await?;
        stream.write_all(b"S").await?;
        stream.read_u8().await?;
        let counter = counter.clone();
        readers.spawn(async move {
            let mut left = usize::try_from(events)? * EVENT;
            let mut buffer = vec![0; 4_096];
            let mut rest = 0;
            while left > 0 {
                let count = stream.read(&mut buffer).await?;
                ensure!(count > 0, "the bare program went away");
                left -= count;
                rest += count;
                counter.add(rest / EVENT);
                rest %= EVENT;
            }
            anyhow::Ok(())
        });
    }
    let mut publisher = TcpStream::connect(&bare.address).await?;
    publisher.write_all(b"P").await?;
    let before = processor_time(bare.process).context("the program's processor time can't be read")?;
    for number in 0..events {
        counter.wait_until(number.saturating_sub(8) * subscribers as u64).await;
        publisher.write_all(b"1").await?;
    }
    while let Some(ended) = readers.join_next().await {
        ended.context("a reader broke off")??;
    }
    let after = processor_time(bare.process).context("the program's processor time can't be read")?;
    bare.stop().await?;
    Ok((events * subscribers as u64) as f64 / (after - before).as_secs_f64())
}
