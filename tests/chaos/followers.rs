//! Followers that are cut off, a server that is killed and comes back, readers that dawdle: each follower sees every event
//! of its streams once and in order, or is told of a gap.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use flightdeck_sdk::Client;
use flightdeck_sdk::generated::sockets::stream::StreamServerMessage;
use flightdeck_sdk::runtime::{ReconnectPolicy, Update};
use flightdeck_sdk::types::{AgentRegistration, MessageSend, StreamEvent, StreamSubscribe};
use flightdeck_tests::database::TestDatabase;
use flightdeck_tests::proxy::Proxy;
use flightdeck_tests::{ServerProcess, for_each_database};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::task::JoinSet;
use uuid::Uuid;

/// Events in all; `FLIGHTDECK_TEST_FOLLOWED` for a long night.
const EVENTS: usize = 20_000;
const AGENTS: usize = 3;
const WRITERS: usize = 24;
const FOLLOWERS: usize = 8;

/// The whole test's schedule follows from this; `FLIGHTDECK_TEST_SEED` repeats another.
const SEED: u64 = 20_261_120;

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

/// What one follower of one stream has seen.
#[derive(Debug, Default)]
struct Seen {
    seq: u64,
    messages: BTreeMap<String, u64>,
}

impl Seen {
    fn take(&mut self, event: &StreamEvent) -> Result<()> {
        ensure!(event.seq == self.seq + 1, "after {} comes {}", self.seq, event.seq);
        self.seq = event.seq;
        let id = event.payload["payload"]["client_msg_id"].as_str().context("an event without its message's id")?;
        ensure!(self.messages.insert(id.to_owned(), event.seq).is_none(), "the message {id} was stored twice");
        Ok(())
    }
}

/// Follows every agent until it has seen so many events of each.
async fn follow(client: Client, agents: Vec<Uuid>, count: usize, dawdles: bool, seed: u64) -> Result<Vec<Seen>> {
    let mut random = StdRng::seed_from_u64(seed);
    let policy = ReconnectPolicy::default().waits(Duration::from_millis(50), Duration::from_secs(1));
    let mut socket = client.sockets().stream().reconnect(policy).connect();
    let streams: Vec<_> = agents.iter().map(|id| format!("agents/{id}")).collect();
    for stream in &streams {
        socket.send(StreamSubscribe::new(stream).with_since_seq(0)).await.ok().context("the queue has room")?;
    }
    let mut seen: BTreeMap<String, Seen> = streams.iter().map(|stream| (stream.clone(), Seen::default())).collect();
    while seen.values().any(|seen| seen.messages.len() < count) {
        let update = tokio::time::timeout(Duration::from_secs(60), socket.next()).await;
        let update = update.with_context(|| format!("nothing came for a minute after {:?}", positions(&seen)))?;
        match update.context("the socket ended")? {
            Update::Message(StreamServerMessage::Event(live)) => {
                seen.get_mut(&live.stream).context("an event of a stream that is not followed")?.take(&live.event)?;
            }
            Update::Message(StreamServerMessage::Events(stored)) => {
                let seen = seen.get_mut(&stored.stream).context("events of a stream that is not followed")?;
                stored.events.iter().try_for_each(|event| seen.take(event))?;
            }
            Update::Resync { key } => bail!("nothing is trimmed here, and still {key:?} has a gap"),
            Update::Closed { reason, .. } => bail!("the socket was closed for good: {reason:?}"),
            _ => {}
        }
        if dawdles && random.random_ratio(1, 50) {
            // Long enough for the server to run ahead.
            tokio::time::sleep(Duration::from_millis(random.random_range(1..60))).await;
        }
    }
    Ok(seen.into_values().collect())
}

fn positions(seen: &BTreeMap<String, Seen>) -> Vec<u64> {
    seen.values().map(|seen| seen.seq).collect()
}

/// Sends messages, each until it is acknowledged.
async fn write(client: Client, agents: Vec<Uuid>, writer: usize, count: usize) -> Result<()> {
    for number in 0..count {
        let id = format!("{writer}-{number}");
        let agent_id = agents[(writer + number) % agents.len()];
        let message = MessageSend::new(agent_id, "How far are you?").with_client_msg_id(id);
        while let Err(error) = client.companion().send_message(&message).await {
            ensure!(error.is_retryable(), "a message was refused: {error}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    Ok(())
}

async fn register(client: &Client) -> Result<Vec<Uuid>> {
    let mut agents = Vec::new();
    for number in 0..AGENTS {
        let registered = client.companion().register_agent(&AgentRegistration::new(format!("agent-{number}"))).await?;
        agents.push(registered.agent_id);
    }
    Ok(agents)
}

/// Cuts connections and kills the server until told to stop; returns how often.
async fn disturb(
    store: &TestDatabase,
    mut server: ServerProcess,
    proxy: &Proxy,
    mut stop: tokio::sync::oneshot::Receiver<()>,
) -> Result<(ServerProcess, u32, u32)> {
    let mut random = StdRng::seed_from_u64(setting("FLIGHTDECK_TEST_SEED", SEED));
    let (mut cuts, mut kills) = (0, 0);
    loop {
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(random.random_range(150..600))) => {}
            _ = &mut stop => return Ok((server, cuts, kills)),
        }
        if random.random_ratio(1, 4) {
            server.kill().await?;
            server = ServerProcess::on(store, &SETTINGS).await?;
            proxy.lead_to(server.address());
            kills += 1;
        } else {
            proxy.cut();
            cuts += 1;
        }
    }
}

const SETTINGS: [(&str, &str); 2] = [("FLIGHTDECK_SQLITE_SYNC", "normal"), ("FLIGHTDECK_LOG", "error")];

/// A client that is not judged: tens of thousands of frames would be, and others see the same ones.
fn connect(proxy: &Proxy) -> Result<Client> {
    Ok(Client::builder().base_url(proxy.url()).retries(0).build()?)
}

for_each_database! {
    async fn every_follower_sees_every_event_once_and_in_order(database) {
        let store = TestDatabase::create(database).await?;
        let server = ServerProcess::on(&store, &SETTINGS).await?;
        let proxy = Proxy::to(server.address()).await?;
        let agents = register(&connect(&proxy)?).await?;
        let per_writer = usize::try_from(setting("FLIGHTDECK_TEST_FOLLOWED", EVENTS as u64))? / WRITERS / AGENTS * AGENTS;
        let per_agent = per_writer * WRITERS / AGENTS;

        let mut followers = JoinSet::new();
        for number in 0..FOLLOWERS {
            let client = connect(&proxy)?;
            followers.spawn(follow(client, agents.clone(), per_agent, number % 3 == 0, SEED + number as u64));
        }
        let mut writers = JoinSet::new();
        for writer in 0..WRITERS {
            writers.spawn(write(connect(&proxy)?, agents.clone(), writer, per_writer));
        }
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let everything = async {
            while let Some(written) = writers.join_next().await {
                written??;
            }
            // Some come only after everything has happened, and read history alone.
            followers.spawn(follow(connect(&proxy)?, agents.clone(), per_agent, false, SEED));
            let mut views = Vec::new();
            while let Some(followed) = followers.join_next().await {
                views.push(followed??);
            }
            // A disturbance that has failed says so itself.
            let _ = stop.send(());
            anyhow::Ok(views)
        };
        let (views, disturbed) = tokio::join!(everything, disturb(&store, server, &proxy, stopped));
        let (views, (_server, cuts, kills)) = (views?, disturbed?);
        for view in &views {
            for (place, seen) in view.iter().enumerate() {
                ensure!(seen.messages.len() == per_agent, "{} messages instead of {per_agent}", seen.messages.len());
                ensure!(seen.messages == views[0][place].messages, "two followers saw different orders");
            }
        }
        ensure!(cuts >= 5 && kills >= 2, "only {cuts} cuts and {kills} kills, so this proves little");
    }
}
