//! What a socket costs on which nothing happens.

use std::time::Instant;

use anyhow::{Context, Result};
use tokio::net::TcpStream;

use super::client::Socket;
use crate::Bench;
use crate::machine::{memory, processor_time};
use crate::options::{SocketOptions, Store, Sync};
use crate::report::{Bar, Figure, Report};
use crate::server::Server;

pub(super) async fn measure(bench: &Bench, options: &SocketOptions, report: &mut Report) -> Result<()> {
    let sockets = options.sockets.unwrap_or(bench.options.choose(10_000, 2_000)).max(100);
    for (name, target, message, answer) in [
        (
            "stream, one subscription",
            "/v1/stream",
            r#"{"type":"subscribe","stream":"channels/topics/idle"}"#,
            "\"synced\"",
        ),
        ("hub, on global", "/hub", r#"{"type":"ping"}"#, "\"pong\""),
    ] {
        bench.say(&format!("idle: {sockets} sockets, {name}"));
        let server = Server::start(bench, Store::Sqlite(Sync::Normal)).await?;
        // What the first ones load into memory is not the others' cost.
        let mut open: Vec<TcpStream> = Vec::with_capacity(sockets + 100);
        for _ in 0..100 {
            open.push(one(server.address(), target, message, answer).await?);
        }
        let before = memory(server.process()).context("the server's memory can't be read")?;
        let began = Instant::now();
        for _ in 0..sockets {
            open.push(one(server.address(), target, message, answer).await?);
        }
        let opened = began.elapsed().as_secs_f64();
        let after = memory(server.process()).context("the server's memory can't be read")?;
        let used = processor_time(server.process()).context("the server's processor time can't be read")?;
        let watched = std::time::Duration::from_secs(bench.options.choose(10, 3));
        tokio::time::sleep(watched).await;
        let idle = processor_time(server.process()).context("the server's processor time can't be read")? - used;
        let each = |before: f64, after: f64| (after - before) / sockets as f64;
        report.add(Figure {
            bar: Some(Bar::AtMost(6.0)),
            detail: format!(
                "RssAnon {:.2} KiB each; opened {:.0} a second, one after the other; {:.1} % of a core while idle",
                each(before.anonymous, after.anonymous),
                sockets as f64 / opened,
                idle.as_secs_f64() / watched.as_secs_f64() * 100.0,
            ),
            ..Figure::new(
                "idle",
                format!("{sockets} sockets, {name}, memory each"),
                "KiB",
                each(before.resident, after.resident).into(),
            )
        });
        drop(open);
        server.stop().await?;
    }
    Ok(())
}

async fn one(address: &str, target: &str, message: &str, answer: &str) -> Result<TcpStream> {
    let mut socket = Socket::open(address, target).await?;
    socket.send(message).await?;
    socket.wait_for(answer.as_bytes()).await?;
    Ok(socket.into_idle())
}
