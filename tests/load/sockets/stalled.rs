//! Whether one reader that stops reading costs the others anything.
//!
//! The same thousand read all the time, beside one that does not and without it, in turn: what differs between two takes
//! without it is noise, and beside it there must be no more.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tokio::net::TcpSocket;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::client::Socket;
use crate::Bench;
use crate::connection::{Connection, find};
use crate::machine::processor_time;
use crate::options::{SocketOptions, Store, Sync};
use crate::report::{Bar, Figure, Report};
use crate::server::Server;
use crate::statistics::{Takes, percentile};

/// Of those who read.
const READERS: usize = 1_000;

/// Between two events, each 8 KiB: eighty megabytes a second for all, which leaves the load generator time to spare.
const EVERY: Duration = Duration::from_millis(100);
const SIZE: usize = 8 << 10;

/// What only the stalled one follows: more than the operating system keeps for it.
const FILLING: usize = 24;
const FILLING_SIZE: usize = 200 << 10;

/// The least takes whose spread says something.
const LEAST_TAKES: usize = 3;

/// The server has cut off who takes nothing long before this.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) async fn measure(bench: &Bench, options: &SocketOptions, report: &mut Report) -> Result<()> {
    // A take ends before the server cuts off who has taken nothing for five seconds.
    let events = bench.options.choose(45, 30);
    let takes = options.takes.unwrap_or(bench.options.choose(5, 3)).max(LEAST_TAKES);
    bench.say("stalled: a thousand readers");
    let server = Server::start(bench, Store::Sqlite(Sync::Normal)).await?;
    let mut crowd = Crowd::gather(server.address()).await?;
    // The first events load into memory what all later ones use.
    crowd.take(events / 3).await?;
    let (mut without, mut with) = (Quantiles::default(), Quantiles::default());
    let (mut busy, mut measured) = (Duration::ZERO, Duration::ZERO);
    for number in 1..=takes {
        for (stalls, quantiles) in [(false, &mut without), (true, &mut with)] {
            bench.say(&format!(
                "stalled: take {number}, {}",
                if stalls { "beside one that does not read" } else { "without" }
            ));
            let stalled = if stalls { Some(crowd.add_stalled().await?) } else { None };
            crowd.fill().await?;
            let (began, before) = (Instant::now(), own_time()?);
            let mut took = crowd.take(events).await?;
            measured += began.elapsed();
            busy += own_time()? - before;
            quantiles.push(&mut took);
            if let Some(stalled) = stalled {
                // Otherwise it was not stalled, and the next take would not be without it.
                until_cut_off(server.address(), number).await?;
                drop(stalled);
            }
        }
    }
    server.stop().await?;
    let share = busy.as_secs_f64() / measured.as_secs_f64() * 100.0;
    for (name, with, without, has_bar) in [("p50", with.p50, without.p50, false), ("p99", with.p99, without.p99, true)]
    {
        report.add(Figure {
            bar: has_bar.then_some(Bar::AtMost(without.most())),
            baselines: vec![("without it".to_owned(), without.median())],
            detail: format!(
                "{takes} takes each of {events} events; without it {:.1} – {:.1} ms, which is the noise, {}load generator \
                 {share:.0} % of its core",
                without.least(),
                without.most(),
                if has_bar { "and its most the bar; " } else { "" },
            ),
            ..Figure::new(
                "stalled",
                format!("publish to each of {READERS} readers beside a stalled one, {name}"),
                "ms",
                with,
            )
        });
    }
    Ok(())
}

/// Of each take, in milliseconds.
#[derive(Default)]
struct Quantiles {
    p50: Takes,
    p99: Takes,
}

impl Quantiles {
    fn push(&mut self, took: &mut [Duration]) {
        self.p50.push(percentile(took, 0.5));
        self.p99.push(percentile(took, 0.99));
    }
}

/// What the readers see.
#[derive(Default)]
struct Sight {
    /// When each event was sent.
    sent: Vec<Instant>,
    /// Every delivery's time, of the take that is on.
    took: Vec<Duration>,
}

/// All who read, and who publishes to them.
struct Crowd {
    address: String,
    publisher: Socket,
    sight: Arc<Mutex<Sight>>,
    moved: Arc<Notify>,
    readers: JoinSet<Result<()>>,
}

impl Crowd {
    async fn gather(address: &str) -> Result<Self> {
        let mut crowd = Self {
            address: address.to_owned(),
            publisher: Socket::open(address, "/hub").await?,
            sight: Arc::default(),
            moved: Arc::default(),
            readers: JoinSet::new(),
        };
        for _ in 0..READERS {
            let socket = subscribe(Socket::open(address, "/hub").await?, "topics/load").await?;
            crowd.readers.spawn(read(socket, crowd.sight.clone(), crowd.moved.clone()));
        }
        Ok(crowd)
    }

    /// Publishes so many events; returns how long each took to each reader.
    async fn take(&mut self, events: usize) -> Result<Vec<Duration>> {
        let filling = "x".repeat(SIZE);
        for _ in 0..events {
            let number = {
                let mut sight = look(&self.sight);
                sight.sent.push(Instant::now());
                sight.sent.len() - 1
            };
            self.publish("topics/load", &format!(r#"{{"n":{number},"text":"{filling}"}}"#)).await?;
            tokio::time::sleep(EVERY).await;
        }
        let wanted = events * READERS;
        let complete = async {
            loop {
                let moved = self.moved.notified();
                if look(&self.sight).took.len() >= wanted {
                    return std::mem::take(&mut look(&self.sight).took);
                }
                moved.await;
            }
        };
        tokio::select! {
            took = tokio::time::timeout(PATIENCE, complete) => took.context("events are missing"),
            ended = self.readers.join_next() => {
                ended.context("there are readers")?.context("a reader broke off")??;
                anyhow::bail!("a reader ended")
            }
        }
    }

    /// One that follows the same, and reads nothing any more.
    async fn add_stalled(&mut self) -> Result<tokio::net::TcpStream> {
        let connection = TcpSocket::new_v4()?;
        connection.set_recv_buffer_size(4 << 10).context("making its buffer small")?;
        let stream = connection.connect(self.address.parse().context("the server's address")?).await?;
        let socket = subscribe(Socket::open_on(stream, "/hub").await?, "topics/load").await?;
        Ok(subscribe(socket, "topics/filling").await?.into_idle())
    }

    /// Publishes what only one that is stalled follows, if there is one: to store it costs the same without it.
    async fn fill(&mut self) -> Result<()> {
        let filling = format!("\"{}\"", "x".repeat(FILLING_SIZE));
        for _ in 0..FILLING {
            self.publish("topics/filling", &filling).await?;
        }
        tokio::time::sleep(EVERY * 3).await;
        Ok(())
    }

    async fn publish(&mut self, channel: &str, data: &str) -> Result<()> {
        let message =
            format!(r#"{{"type":"publish","channel":"{channel}","event":"system.info","data":{data},"id":"p"}}"#);
        self.publisher.send(&message).await?;
        self.publisher.wait_for(b"\"ack\"").await
    }
}

/// Nobody panics while it looks.
fn look(sight: &Mutex<Sight>) -> MutexGuard<'_, Sight> {
    sight.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reads for ever, each event in its place.
async fn read(mut socket: Socket, sight: Arc<Mutex<Sight>>, moved: Arc<Notify>) -> Result<()> {
    let mut wanted = 0;
    loop {
        let message = socket.message().await?;
        // Signs of life have none.
        let Some(number) = find(message, b"\"n\":") else { continue };
        let digits = message[number + 4..].iter().take_while(|byte| byte.is_ascii_digit());
        let number = digits.fold(0, |number, digit| number * 10 + usize::from(digit - b'0'));
        let now = Instant::now();
        ensure!(number == wanted, "event {number} came in the place of {wanted}");
        let mut sight = look(&sight);
        let took = now - sight.sent[number];
        wanted += 1;
        sight.took.push(took);
        if sight.took.len().is_multiple_of(READERS) {
            moved.notify_waiters();
        }
    }
}

async fn subscribe(mut socket: Socket, channel: &str) -> Result<Socket> {
    socket.send(&format!(r#"{{"type":"subscribe","channel":"{channel}","id":"s"}}"#)).await?;
    socket.wait_for(b"\"ack\"").await?;
    Ok(socket)
}

/// Waits until the server has cut off so many.
async fn until_cut_off(address: &str, count: usize) -> Result<()> {
    let wanted = format!("code=\"slow_reader\"}} {count}\n");
    let patience = Instant::now() + PATIENCE;
    loop {
        let mut connection = Connection::open(address).await?;
        let answer = connection.exchange(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").await?;
        if find(answer.ok()?, wanted.as_bytes()).is_some() {
            return Ok(());
        }
        ensure!(Instant::now() < patience, "the one that does not read was never cut off, so it was not stalled");
        tokio::time::sleep(EVERY).await;
    }
}

fn own_time() -> Result<Duration> {
    processor_time(std::process::id()).context("the load generator's processor time can't be read")
}
