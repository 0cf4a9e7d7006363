//! Clients that send a byte a second: how long the server bears them, and what others notice.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::Bench;
use crate::connection::Connection;
use crate::report::{Bar, Figure, Report};
use crate::server::Server;
use crate::statistics::percentile;

/// Of each kind.
const CONNECTIONS: usize = 1_000;

/// Whoever is not cut by then counts as never cut.
const PATIENCE: Duration = Duration::from_secs(60);

/// Between two looks at the health.
const PAUSE: Duration = Duration::from_millis(4);

/// A head and a body that never end, the server's time limit for each by its defaults, and what they are called.
const DRIPS: [(&str, &[u8], f64); 2] = [
    ("heads", b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Slow: ", 15.0),
    (
        "bodies",
        b"POST /bridge/event HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 4096\r\n\r\n",
        10.0,
    ),
];

/// Timers and a thousand goodbyes at once take a moment.
const GRACE: f64 = 1.0;

pub(crate) async fn measure(bench: &Bench, report: &mut Report) -> Result<()> {
    let store = *bench.options.stores().first().context("no database is to be measured")?;
    let server = Server::start(bench, store).await?;
    bench.say("slow: health before");
    let mut before = Vec::new();
    let began = Instant::now();
    let mut connection = Connection::open(server.address()).await?;
    while began.elapsed() < Duration::from_secs(3) {
        before.push(look(&mut connection).await?);
        tokio::time::sleep(PAUSE).await;
    }

    bench.say(&format!("slow: {CONNECTIONS} connections drip their heads, {CONNECTIONS} their bodies"));
    let mut drips = JoinSet::new();
    for (kind, (_, start, _)) in DRIPS.iter().enumerate() {
        for place in 0..CONNECTIONS {
            let address = server.address().to_owned();
            // Spread over the first second, so that the bytes do not all come at once.
            let delay = Duration::from_secs(1) * u32::try_from(place)? / u32::try_from(CONNECTIONS)?;
            drips.spawn(async move { anyhow::Ok((kind, drip(&address, start, delay).await?)) });
        }
    }
    let mut cuts: [Vec<Duration>; 2] = Default::default();
    let mut uncut = [0_usize; 2];
    let mut meanwhile = Vec::new();
    let mut failures = 0;
    loop {
        tokio::select! {
            biased;
            ended = drips.join_next() => match ended {
                Some(ended) => match ended.context("a drip broke off")?? {
                    (kind, Some(took)) => cuts[kind].push(took),
                    (kind, None) => uncut[kind] += 1,
                },
                None => break,
            },
            () = tokio::time::sleep(PAUSE) => match look(&mut connection).await {
                Ok(took) => meanwhile.push(took),
                Err(_) => {
                    failures += 1;
                    connection = Connection::open(server.address()).await?;
                }
            },
        }
    }
    server.stop().await?;

    for (kind, (name, _, limit)) in DRIPS.iter().enumerate() {
        let longest = if uncut[kind] > 0 { f64::INFINITY } else { percentile(&mut cuts[kind], 1.0) / 1_000.0 };
        report.add(Figure {
            bar: Some(Bar::AtMost(limit + GRACE)),
            detail: format!(
                "{} of {CONNECTIONS} cut, half of them after {:.1} s; the server's limit is {limit:.0} s",
                cuts[kind].len(),
                percentile(&mut cuts[kind], 0.5) / 1_000.0,
            ),
            ..Figure::new("slow", format!("{CONNECTIONS} dripping {name}, last one cut after"), "s", longest.into())
        });
    }
    report.add(Figure {
        bar: Some(Bar::AtMost(5.0)),
        baselines: vec![("before".to_owned(), percentile(&mut before, 0.99))],
        detail: format!("{} looks, {failures} failed", meanwhile.len()),
        ..Figure::new("slow", "/healthz meanwhile, p99", "ms", percentile(&mut meanwhile, 0.99).into())
    });
    Ok(())
}

async fn look(connection: &mut Connection) -> Result<Duration> {
    let sent_at = Instant::now();
    connection.exchange(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await?.ok()?;
    Ok(sent_at.elapsed())
}

/// Sends `start`, then a byte a second, and returns how long the server bore it; `None` if it was not cut.
async fn drip(address: &str, start: &[u8], delay: Duration) -> Result<Option<Duration>> {
    tokio::time::sleep(delay).await;
    let mut stream = TcpStream::connect(address).await.context("connecting")?;
    let opened = Instant::now();
    stream.write_all(start).await.context("starting to drip")?;
    let mut seconds = tokio::time::interval(Duration::from_secs(1));
    let mut buffer = [0; 1024];
    while opened.elapsed() < PATIENCE {
        tokio::select! {
            // An answer may come first; the end is what counts.
            received = stream.read(&mut buffer) => match received {
                Ok(0) | Err(_) => return Ok(Some(opened.elapsed())),
                Ok(_) => {}
            },
            _ = seconds.tick() => if stream.write_all(b"a").await.is_err() {
                return Ok(Some(opened.elapsed()));
            },
        }
    }
    Ok(None)
}
