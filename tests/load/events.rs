//! Signed events per second, each answered after its commit.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::Bench;
use crate::commits;
use crate::connection::Connection;
use crate::feed::{self, Fed, Shape, Until};
use crate::machine::processor_time;
use crate::options::{EventsOptions, Store, Sync};
use crate::report::{Bar, Figure, Report};
use crate::server::{Listening, Server};
use crate::statistics::{Takes, percentile};

/// Before the clock runs: the first events create runs, fill caches and grow the write-ahead log.
const WARM_UP: Duration = Duration::from_secs(1);

/// The takes of one figure.
#[derive(Default)]
struct Series {
    per_second: Takes,
    median: Takes,
    tail: Takes,
    /// Of the server, in microseconds an event.
    processor: Takes,
    /// How much of its core the server had; how much of its own the load generator used.
    shares: (Takes, Takes),
}

pub(crate) async fn measure(bench: &Bench, options: &EventsOptions, report: &mut Report) -> Result<()> {
    let rounds = options.runs.unwrap_or(bench.options.choose(5, 2)).max(1);
    let seconds = Duration::from_secs_f64(options.seconds.unwrap_or(bench.options.choose(3.0, 1.5)));
    let connections = if options.connections.is_empty() { vec![32, 128] } else { options.connections.clone() };
    let stores = bench.options.stores();
    let runs = options.runs_per_workspace.unwrap_or(8);

    // Round by round, not figure by figure, so that a noisy minute touches every figure alike.
    let mut series: Vec<Vec<Series>> = Vec::new();
    series.resize_with(stores.len(), || connections.iter().map(|_| Series::default()).collect());
    let mut commits: Vec<Takes> = vec![Takes::default(); stores.len()];
    let mut echoes: Vec<Takes> = vec![Takes::default(); connections.len()];
    let mut verified = 0;
    for round in 1..=rounds {
        bench.say(&format!("events: round {round} of {rounds}"));
        for (place, &count) in connections.iter().enumerate() {
            echoes[place].push(echo(bench, count, seconds.min(Duration::from_secs(2))).await?);
        }
        for (store, (commits, series)) in stores.iter().zip(commits.iter_mut().zip(&mut series)) {
            commits.push(commits::measure(bench, *store, 1.0).await?);
            for (&connections, series) in connections.iter().zip(series) {
                let shape = Shape { connections, runs, idempotency: options.idempotency };
                verified += once(bench, *store, shape, seconds, series).await?;
            }
        }
    }

    for (store, (commits, series)) in stores.iter().zip(commits.iter().zip(series)) {
        for ((connections, series), echo) in connections.iter().zip(series).zip(&echoes) {
            add(report, *store, *connections, &series, commits, echo);
        }
    }
    report.note(format!("events: {verified} acknowledged events were read back, each in its place, without a gap"));
    report.note(format!(
        "events: {rounds} takes of {:.1} s, {runs} runs of one workspace, idempotency keys {}",
        seconds.as_secs_f64(),
        if options.idempotency { "sent" } else { "not sent" },
    ));
    Ok(())
}

/// One take by a new server; returns how many events were read back.
async fn once(bench: &Bench, store: Store, shape: Shape, seconds: Duration, series: &mut Series) -> Result<usize> {
    let server = Server::start(bench, store).await?;
    let mut workspace = server.pair().await?;
    let started = Instant::now();
    let (fed, usage) = tokio::join!(
        feed::feed(&server, &workspace, shape, Until::Passed(WARM_UP + seconds)),
        usage(server.process(), WARM_UP, seconds),
    );
    let mut fed = fed?;
    let (from, to) = (started + WARM_UP, started + WARM_UP + seconds);
    let mut took = within(&fed, from, to);
    let per_second = took.len() as f64 / seconds.as_secs_f64();
    series.per_second.push(per_second);
    series.median.push(percentile(&mut took, 0.5));
    series.tail.push(percentile(&mut took, 0.99));
    if let Some((server, own)) = usage {
        series.processor.push(server * 1e6 / per_second);
        series.shares.0.push(server);
        series.shares.1.push(own);
    }
    feed::verify(&mut workspace, &mut fed).await?;
    server.stop().await?;
    Ok(fed.acknowledged.len())
}

fn within(fed: &Fed, from: Instant, to: Instant) -> Vec<Duration> {
    fed.acknowledged.iter().filter(|event| (from..to).contains(&event.at)).map(|event| event.took).collect()
}

/// Which share of a core the server and this process have used in a stretch of time.
async fn usage(server: u32, before: Duration, stretch: Duration) -> Option<(f64, f64)> {
    tokio::time::sleep(before).await;
    let own = std::process::id();
    let (begin, servers, owns) = (Instant::now(), processor_time(server)?, processor_time(own)?);
    tokio::time::sleep(stretch).await;
    let passed = begin.elapsed().as_secs_f64();
    let share =
        |process, before: Duration| Some((processor_time(process)?.saturating_sub(before)).as_secs_f64() / passed);
    Some((share(server, servers)?, share(own, owns)?))
}

fn add(report: &mut Report, store: Store, connections: usize, series: &Series, commits: &Takes, echo: &Takes) {
    let bar = match (store, connections) {
        (Store::Sqlite(Sync::Full), 32) => Some(25_000.0),
        (Store::Sqlite(Sync::Full), 128) => Some(40_000.0),
        (Store::Sqlite(Sync::Normal), 32 | 128) => Some(45_000.0),
        _ => None,
    };
    let what = format!("{}, {connections} connections", store.as_str());
    report.add(Figure {
        bar: bar.map(Bar::AtLeast),
        baselines: vec![("bare echo".to_owned(), echo.median()), ("single commits".to_owned(), commits.median())],
        detail: format!(
            "server {:.1} µs of processor an event, {:.0} % of its core; load generator {:.0} %",
            series.processor.median(),
            series.shares.0.median() * 100.0,
            series.shares.1.median() * 100.0,
        ),
        ..Figure::new("events", what, "events/s", series.per_second.clone())
    });
    for (name, takes) in [("p50", &series.median), ("p99", &series.tail)] {
        report.add(Figure::new(
            "events",
            format!("{}, {connections} connections, {name}", store.as_str()),
            "ms",
            takes.clone(),
        ));
    }
}

/// Exchanges per second with the bare web framework: the same body, unsigned.
async fn echo(bench: &Bench, connections: usize, seconds: Duration) -> Result<f64> {
    let echo = Listening::echo(bench).await?;
    let body = feed::event_body(Uuid::new_v4(), Uuid::new_v4());
    let request: std::sync::Arc<[u8]> = echo_request(&body).into();
    let warm_up = Duration::from_millis(300);
    let started = Instant::now();
    let mut senders = JoinSet::new();
    for _ in 0..connections {
        let mut connection = Connection::open(&echo.address).await?;
        let request = request.clone();
        senders.spawn(async move {
            let mut counted = 0_u32;
            loop {
                connection.exchange(&request).await?.ok()?;
                let passed = started.elapsed();
                if passed >= warm_up + seconds {
                    return anyhow::Ok(counted);
                }
                counted += u32::from(passed >= warm_up);
            }
        });
    }
    let mut counted = 0.0;
    while let Some(sender) = senders.join_next().await {
        counted += f64::from(sender.context("a sender broke off")??);
    }
    echo.stop().await?;
    Ok(counted / seconds.as_secs_f64())
}

/// What the echo server is sent.
pub(crate) fn echo_request(body: &[u8]) -> Vec<u8> {
    let mut request = format!(
        "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    request.extend_from_slice(body);
    request
}
