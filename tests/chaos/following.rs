//! Writers and followers of agents, and what a follower may see: each event once and in its place, or a gap that says which
//! comes next.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use flightdeck_sdk::Client;
use flightdeck_sdk::generated::sockets::stream::StreamServerMessage;
use flightdeck_sdk::runtime::{Ending, ReconnectPolicy, Update};
use flightdeck_sdk::types::{AgentRegistration, GapReason, MessageSend, StreamEvent, StreamGap, StreamSubscribe};
use flightdeck_server::clock::SystemClock;
use flightdeck_tests::proxy::Proxy;
use flightdeck_tests::socket::{Faults, Line};
use flightdeck_tests::{Kind, client};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::sync::watch;
use uuid::Uuid;

/// How long nothing may come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// One message in so many is large: what a client that stops reading does not read is soon more than fits on the way to it.
const LARGE_ONE_IN: usize = 8;
const LARGE: usize = 8 * 1024;

/// Every whole test's schedule follows from this; `FLIGHTDECK_TEST_SEED` repeats another.
pub(crate) fn seed() -> u64 {
    setting("FLIGHTDECK_TEST_SEED", 20_261_120)
}

pub(crate) fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

/// Clients whose every answer and frame is judged.
pub(crate) struct Clients {
    pub(crate) database: Kind,
    pub(crate) faults: Faults,
}

impl Clients {
    /// One by this way, which may be cut by `line` as well.
    pub(crate) fn connect(&self, proxy: &Proxy, line: &Line) -> Result<Client> {
        let builder = client::builder(&proxy.url(), self.database, Arc::new(SystemClock), line, &self.faults);
        Ok(builder.build()?)
    }
}

/// A way back that takes no longer than it must.
pub(crate) fn soon() -> ReconnectPolicy {
    ReconnectPolicy::default().waits(Duration::from_millis(50), Duration::from_secs(1))
}

/// The messages of each agent, by their places.
pub(crate) type Places = BTreeMap<Uuid, BTreeMap<u64, String>>;

/// What one follower of one stream has seen.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Up to here everything has come, or was said to be missing.
    pub(crate) seq: u64,
    pub(crate) messages: BTreeMap<u64, String>,
    /// For each gap, the first place after it.
    pub(crate) gaps: Vec<u64>,
}

impl Seen {
    fn take(&mut self, event: &StreamEvent) -> Result<()> {
        ensure!(event.seq == self.seq + 1, "after {} comes {}", self.seq, event.seq);
        self.seq = event.seq;
        let id = event.payload["payload"]["client_msg_id"].as_str().context("an event without its message's id")?;
        self.messages.insert(event.seq, id.to_owned());
        Ok(())
    }

    /// From here on, only the event that was named may come.
    fn jump(&mut self, gap: &StreamGap) -> Result<()> {
        ensure!(gap.reason == GapReason::Trimmed, "nobody asks for what is not there: {gap:?}");
        ensure!(gap.since_seq == self.seq && gap.next_seq > self.seq + 1, "after {} comes {gap:?}", self.seq);
        self.seq = gap.next_seq - 1;
        self.gaps.push(gap.next_seq);
        Ok(())
    }
}

/// How a follower reads.
pub(crate) struct Pace {
    pub(crate) random: StdRng,
    /// Now and then it takes its time, long enough for the server to run ahead.
    pub(crate) dawdles: bool,
    /// While this holds, it reads nothing.
    pub(crate) stops: Option<watch::Receiver<bool>>,
}

impl Pace {
    /// Of one that reads what comes.
    pub(crate) fn steady(seed: u64) -> Self {
        Self { random: StdRng::seed_from_u64(seed), dawdles: false, stops: None }
    }

    async fn pause(&mut self) {
        if self.dawdles && self.random.random_ratio(1, 50) {
            tokio::time::sleep(Duration::from_millis(self.random.random_range(1..60))).await;
        }
        if let Some(stops) = &mut self.stops {
            // Whoever says when to stop may be gone, and says nothing more.
            let _ = stops.wait_for(|stop| !stop).await;
        }
    }
}

/// Follows every agent up to the event at `last`.
pub(crate) async fn follow(
    client: Client,
    agents: Vec<Uuid>,
    last: u64,
    mut pace: Pace,
) -> Result<BTreeMap<Uuid, Seen>> {
    let mut socket = client.sockets().stream().reconnect(soon()).connect();
    let mut seen: BTreeMap<String, Seen> = BTreeMap::new();
    for agent in &agents {
        let stream = format!("agents/{agent}");
        socket.send(StreamSubscribe::new(&stream).with_since_seq(0)).await.ok().context("the queue has room")?;
        seen.insert(stream, Seen::default());
    }
    let of = |stream: &str| format!("the stream {stream} is not followed");
    while seen.values().any(|seen| seen.seq < last) {
        let update = tokio::time::timeout(PATIENCE, socket.next()).await;
        let places = || seen.values().map(|seen| seen.seq).collect::<Vec<_>>();
        let update = update.with_context(|| format!("nothing came for a minute after {:?}", places()))?;
        match update.context("the socket ended")? {
            Update::Message(StreamServerMessage::Event(live)) => {
                seen.get_mut(&live.stream).with_context(|| of(&live.stream))?.take(&live.event)?;
            }
            Update::Message(StreamServerMessage::Events(stored)) => {
                let seen = seen.get_mut(&stored.stream).with_context(|| of(&stored.stream))?;
                stored.events.iter().try_for_each(|event| seen.take(event))?;
            }
            Update::Message(StreamServerMessage::Gap(gap)) => {
                seen.get_mut(&gap.stream).with_context(|| of(&gap.stream))?.jump(&gap)?;
            }
            // The SDK would make it good by connecting again.
            Update::Disconnected { reason: reason @ Ending::Jump { .. }, .. } => bail!("{reason}"),
            Update::Closed { reason, .. } => bail!("the socket was closed for good: {reason:?}"),
            _ => {}
        }
        pace.pause().await;
    }
    let seen = agents.into_iter().zip(seen.into_values());
    Ok(seen.collect())
}

/// Sends messages, each until it is acknowledged; says which place each has got. `paced` is waited for before each.
pub(crate) async fn write(
    client: Client,
    agents: Vec<Uuid>,
    writer: usize,
    count: usize,
    mut paced: impl AsyncFnMut(usize),
) -> Result<Vec<(Uuid, u64, String)>> {
    let mut written = Vec::with_capacity(count);
    for number in 0..count {
        paced(number).await;
        let id = format!("{writer}-{number}");
        let agent_id = agents[(writer + number) % agents.len()];
        let content = if number % LARGE_ONE_IN == 0 { "x".repeat(LARGE) } else { "How far are you?".to_owned() };
        let message = MessageSend::new(agent_id, content).with_client_msg_id(id.clone());
        let sent = loop {
            match client.companion().send_message(&message).await {
                Ok(sent) => break sent,
                Err(error) => ensure!(error.is_retryable(), "a message was refused: {error}"),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        written.push((agent_id, sent.seq, id));
    }
    Ok(written)
}

/// Notes where messages are; no place is given twice.
pub(crate) fn note(places: &mut Places, written: Vec<(Uuid, u64, String)>) -> Result<()> {
    for (agent, seq, id) in written {
        let before = places.entry(agent).or_default().insert(seq, id);
        ensure!(before.is_none(), "the place {seq} of {agent} was given twice");
    }
    Ok(())
}

pub(crate) async fn register(client: &Client, count: usize) -> Result<Vec<Uuid>> {
    let mut agents = Vec::new();
    for number in 0..count {
        let registered = client.companion().register_agent(&AgentRegistration::new(format!("agent-{number}"))).await?;
        agents.push(registered.agent_id);
    }
    // In the order of their streams.
    agents.sort_by_key(Uuid::to_string);
    Ok(agents)
}
