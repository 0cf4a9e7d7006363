//! From sending a message over HTTP to its event on a socket, its commit included.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::json;

use super::client::Socket;
use crate::Bench;
use crate::connection::Connection;
use crate::options::{SocketOptions, Store, Sync};
use crate::release::ping;
use crate::report::{Bar, Figure, Report};
use crate::server::Server;
use crate::statistics::{Takes, percentile};
use crate::workspace::{Phone, text};

/// Lets the socket be idle again.
const PAUSE: Duration = Duration::from_millis(1);

pub(super) async fn measure(bench: &Bench, options: &SocketOptions, report: &mut Report) -> Result<()> {
    let samples = bench.options.choose(2_000, 400);
    bench.say("latency: one exchange with the bare echo server");
    let echo = ping(bench, samples).await?;
    for store in bench.options.stores() {
        let (mut p50, mut p99) = (Takes::default(), Takes::default());
        for _ in 0..options.takes(&bench.options) {
            bench.say(&format!("latency: {}", store.as_str()));
            let mut took = one(bench, store, samples).await?;
            p50.push(percentile(&mut took, 0.5));
            p99.push(percentile(&mut took, 0.99));
        }
        let bar = match store {
            Store::Sqlite(Sync::Full) => Some(0.9),
            Store::Sqlite(Sync::Normal) => Some(0.35),
            Store::Postgres => None,
        };
        for (name, takes, bar, baseline) in [("p50", p50, bar, echo.0), ("p99", p99, None, echo.1)] {
            report.add(Figure {
                bar: bar.map(Bar::AtMost),
                baselines: vec![(format!("echo {name}"), baseline)],
                ..Figure::new("latency", format!("POST to socket, {}, {name}", store.as_str()), "ms", takes)
            });
        }
    }
    Ok(())
}

async fn one(bench: &Bench, store: Store, samples: usize) -> Result<Vec<Duration>> {
    let server = Server::start(bench, store).await?;
    let agent_id = register(server.address()).await?;
    let mut socket = Socket::open(server.address(), &format!("/realtime?agent_id={agent_id}&role=ios")).await?;
    let body = json!({"agent_id": agent_id, "content": "How far are you with the release notes?"}).to_string();
    let request = Phone::open(server.address(), "").await?.request("POST", "/messages", &body);
    let mut connection = Connection::open(server.address()).await?;
    let mut took = Vec::with_capacity(samples);
    for sample in 0..samples + 100 {
        let sent_at = Instant::now();
        connection.send(&request).await?;
        socket.wait_for(b"message_in").await?;
        if sample >= 100 {
            took.push(sent_at.elapsed());
        }
        connection.receive().await?.ok()?;
        tokio::time::sleep(PAUSE).await;
    }
    server.stop().await?;
    Ok(took)
}

/// Makes an agent known, and returns its id.
pub(super) async fn register(address: &str) -> Result<String> {
    let mut anyone = Phone::open(address, "").await?;
    let registered = anyone.post("/agents/register", &json!({"name": "load"})).await.context("registering an agent")?;
    Ok(text(&registered, "agent_id")?.to_owned())
}
