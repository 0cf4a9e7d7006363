//! What a socket costs on which nothing happens.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::net::TcpStream;

use super::client::Socket;
use super::latency::register;
use crate::Bench;
use crate::machine::{memory, processor_time};
use crate::options::{SocketOptions, Store, Sync};
use crate::report::{Bar, Figure, Report};
use crate::server::Server;
use crate::statistics::Takes;

/// A socket as it is opened here.
struct Idle {
    name: &'static str,
    target: String,
    /// What it says, and what is in the answer.
    message: &'static str,
    answer: &'static str,
}

/// What so many of them cost.
struct Cost {
    /// In KiB, each.
    resident: f64,
    anonymous: f64,
    opened_a_second: f64,
    /// Of a core, while nothing happens.
    percent: f64,
}

pub(super) async fn measure(bench: &Bench, options: &SocketOptions, report: &mut Report) -> Result<()> {
    let sockets = options.sockets.unwrap_or(bench.options.choose(10_000, 2_000)).max(100);
    for place in 0..3 {
        let (mut takes, mut anonymous, mut opened, mut percent) = <(Takes, Takes, Takes, Takes)>::default();
        let mut name = "";
        for _ in 0..options.takes(&bench.options) {
            let server = Server::start(bench, Store::Sqlite(Sync::Normal)).await?;
            let idle = Idle::number(place, server.address()).await?;
            name = idle.name;
            bench.say(&format!("idle: {sockets} sockets, {name}"));
            let cost = cost(bench, &server, &idle, sockets).await?;
            server.stop().await?;
            takes.push(cost.resident);
            anonymous.push(cost.anonymous);
            opened.push(cost.opened_a_second);
            percent.push(cost.percent);
        }
        report.add(Figure {
            bar: Some(Bar::AtMost(6.0)),
            detail: format!(
                "RssAnon {:.2} KiB each; opened {:.0} a second, one after the other; {:.1} % of a core while idle",
                anonymous.median(),
                opened.median(),
                percent.median(),
            ),
            ..Figure::new("idle", format!("{sockets} sockets, {name}, memory each"), "KiB", takes)
        });
    }
    Ok(())
}

impl Idle {
    /// The first, second or third kind.
    async fn number(place: usize, address: &str) -> Result<Self> {
        Ok(match place {
            0 => Self {
                name: "stream, one subscription",
                target: "/v1/stream".to_owned(),
                message: r#"{"type":"subscribe","stream":"channels/topics/idle"}"#,
                answer: "\"synced\"",
            },
            1 => Self {
                name: "hub, on global",
                target: "/hub".to_owned(),
                message: r#"{"type":"ping"}"#,
                answer: "\"pong\"",
            },
            _ => Self {
                name: "companion, one agent",
                target: format!("/realtime?agent_id={}&role=ios", register(address).await?),
                message: r#"{"type":"subscribe","since_seq":0}"#,
                answer: "\"events\"",
            },
        })
    }

    async fn open(&self, address: &str) -> Result<TcpStream> {
        let mut socket = Socket::open(address, &self.target).await?;
        socket.send(self.message).await?;
        socket.wait_for(self.answer.as_bytes()).await?;
        Ok(socket.into_idle())
    }
}

async fn cost(bench: &Bench, server: &Server, idle: &Idle, sockets: usize) -> Result<Cost> {
    // What the first ones load into memory is not the others' cost.
    let mut open: Vec<TcpStream> = Vec::with_capacity(sockets + 100);
    for _ in 0..100 {
        open.push(idle.open(server.address()).await?);
    }
    let before = memory(server.process()).context("the server's memory can't be read")?;
    let began = Instant::now();
    for _ in 0..sockets {
        open.push(idle.open(server.address()).await?);
    }
    let opened = began.elapsed().as_secs_f64();
    let after = memory(server.process()).context("the server's memory can't be read")?;
    let used = processor_time(server.process()).context("the server's processor time can't be read")?;
    let watched = Duration::from_secs(bench.options.choose(10, 3));
    tokio::time::sleep(watched).await;
    let used = processor_time(server.process()).context("the server's processor time can't be read")? - used;
    let each = |before: f64, after: f64| (after - before) / sockets as f64;
    Ok(Cost {
        resident: each(before.resident, after.resident),
        anonymous: each(before.anonymous, after.anonymous),
        opened_a_second: sockets as f64 / opened,
        percent: used.as_secs_f64() / watched.as_secs_f64() * 100.0,
    })
}
