//! A network that forgets connections: what was asked over them is never answered, and nobody is told.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use flightdeck_sdk::Client;
use flightdeck_sdk::generated::sockets::stream::{StreamProtocol, StreamServerMessage};
use flightdeck_sdk::runtime::{Socket, Update};
use flightdeck_sdk::types::{AgentRegistration, MessageSend, StreamSubscribe};
use flightdeck_tests::database::TestDatabase;
use flightdeck_tests::proxy::Proxy;
use flightdeck_tests::{Kind, ServerProcess, on_postgres};
use url::Url;
use uuid::Uuid;

/// A few of the server's own time limits; the system's would be a quarter of an hour.
const PATIENCE: Duration = Duration::from_secs(60);

/// More than the server has connections to read with.
const STREAMS: usize = 6;

/// PostgreSQL's Sync, by which a pool asks a connection whether it lives before it is used.
const SYNC: &[u8] = b"S\0\0\0\x04";

/// Reads until something has come on each of the streams.
async fn all_came(socket: &mut Socket<StreamProtocol>, mut streams: BTreeSet<String>, live: bool) -> Result<()> {
    while !streams.is_empty() {
        match socket.next().await.context("the socket ended")? {
            Update::Message(StreamServerMessage::Event(event)) if live => streams.remove(&event.stream),
            Update::Message(StreamServerMessage::Synced(synced)) if !live => streams.remove(&synced.stream),
            Update::Closed { reason, .. } => anyhow::bail!("the socket was closed: {reason:?}"),
            _ => continue,
        };
    }
    Ok(())
}

/// Sends until it is acknowledged.
async fn send(client: &Client, agent_id: Uuid) -> Result<()> {
    let message = MessageSend::new(agent_id, "How far are you?").with_client_msg_id("once".to_owned());
    while let Err(error) = client.companion().send_message(&message).await {
        ensure!(error.is_retryable(), "a message was refused: {error}");
    }
    Ok(())
}

on_postgres! {
    async fn connections_that_hang_hold_up_neither_readers_nor_writers_for_long() {
        let database = TestDatabase::create(Kind::Postgres).await?;
        let mut url = Url::parse(database.url())?;
        let proxy = Proxy::to(&format!("{}:{}", url.host_str().context("a host")?, url.port().unwrap_or(5432))).await?;
        let (host, port) = proxy.address().rsplit_once(':').context("an address")?;
        url.set_host(Some(host))?;
        ensure!(url.set_port(port.parse().ok()).is_ok(), "{url} takes a port");
        let one = ServerProcess::on(&database, &[]).await?;
        let other = ServerProcess::on(&database, &[("DATABASE_URL", url.as_str())]).await?;
        let (one, other) = (one.client(Kind::Postgres), other.client(Kind::Postgres));

        let mut agents = Vec::new();
        let mut there = other.sockets().stream().connect();
        for number in 0..STREAMS {
            let registered = one.companion().register_agent(&AgentRegistration::new(format!("agent-{number}"))).await?;
            agents.push(registered.agent_id);
            let subscribe = StreamSubscribe::new(format!("agents/{}", registered.agent_id)).with_since_seq(0);
            there.send(subscribe).await.ok().context("the queue has room")?;
        }
        let streams: BTreeSet<_> = agents.iter().map(|id| format!("agents/{id}")).collect();
        tokio::time::timeout(PATIENCE, all_came(&mut there, streams.clone(), false)).await.context("it is not live")??;
        // All at once, so that all connections are there.
        let asked = (0..STREAMS * 4).map(|_| other.companion().list_agents().into_future());
        futures_util::future::try_join_all(asked).await?;

        proxy.stall(SYNC);
        for agent_id in &agents {
            // Larger than a notification, so the other server reads it.
            one.companion().send_message(&MessageSend::new(*agent_id, "x".repeat(20_000))).await?;
        }
        let came = tokio::time::timeout(PATIENCE, all_came(&mut there, streams, true));
        let sent = tokio::time::timeout(PATIENCE, send(&other, agents[0]));
        let (came, sent) = tokio::join!(came, sent);
        came.context("what one server committed did not come from the other")??;
        sent.context("the other server can't write any more")??;
    }
}
