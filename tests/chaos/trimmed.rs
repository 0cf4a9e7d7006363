//! The same with a server that keeps little: who was away for too long is told exactly where history begins now, and nothing
//! is missing that it was not told of.
//!
//! The server runs inside the test, by a clock that the test moves: history is trimmed once a minute of that.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use flightdeck_sdk::Client;
use flightdeck_sdk::generated::companion::ListMessagesParameters;
use flightdeck_tests::proxy::Proxy;
use flightdeck_tests::socket::{Faults, Line};
use flightdeck_tests::{TestOptions, TestServer, for_each_database};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use uuid::Uuid;

use super::following::{Clients, Pace, Places, follow, note, register, seed, write};

/// Of each agent, so many events are kept.
const KEPT: u64 = 1_000;
const AGENTS: usize = 2;
const WRITERS: usize = 16;
/// For each agent about seven times what is kept.
const PER_WRITER: usize = 900;
const FOLLOWERS: u64 = 6;
/// Of those, so many are away until history has been trimmed behind their backs.
const AWAY: usize = 3;

/// More than the time between two looks at what is to be trimmed.
const ROUND: Duration = Duration::from_secs(61);

/// One who is away now and then.
struct Wanderer {
    line: Line,
    /// When it is there again, by how much has been written.
    away_until: Option<u64>,
}

impl Wanderer {
    fn leave(&mut self, written: u64) {
        self.line.hold();
        self.line.cut();
        self.away_until = Some(written + KEPT * AGENTS as u64 * 3 / 2);
    }

    fn come_back(&mut self) {
        self.line.release();
        self.away_until = None;
    }
}

/// Cuts connections, starts the server anew, sends some away, and lets the server trim all the time, until told to stop.
async fn disturb(
    mut server: TestServer,
    proxy: &Proxy,
    mut wanderers: Vec<Wanderer>,
    written: &AtomicU64,
    mut stop: oneshot::Receiver<()>,
) -> Result<TestServer> {
    let mut random = StdRng::seed_from_u64(seed());
    loop {
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(random.random_range(50..200))) => {}
            _ = &mut stop => break,
        }
        // Before anybody comes back, who left when there was less.
        server.advance(ROUND);
        let now = written.load(Ordering::Relaxed);
        for wanderer in &mut wanderers {
            match wanderer.away_until {
                Some(until) if now >= until => wanderer.come_back(),
                None if random.random_ratio(1, 10) => wanderer.leave(now),
                _ => {}
            }
        }
        match random.random_range(0..20) {
            0 => {
                server.restart().await?;
                proxy.lead_to(server.address());
            }
            1..6 => proxy.cut(),
            _ => {}
        }
    }
    wanderers.iter_mut().for_each(Wanderer::come_back);
    Ok(server)
}

/// Where the history of an agent begins.
async fn beginning(client: &Client, agent: Uuid) -> Result<u64> {
    let parameters = ListMessagesParameters::new(agent).with_since_seq(0).with_limit(1);
    let events = client.companion().list_messages(&parameters).await?.events;
    Ok(events.first().context("something is kept")?.seq)
}

for_each_database! {
    async fn what_is_missing_was_named(database) {
        let options = TestOptions::new(database).set("FLIGHTDECK_RETENTION", format!("agents=0/{KEPT}"));
        let server = TestServer::with(options).await?;
        let proxy = Proxy::to(server.address()).await?;
        let clients = Clients { database, faults: Faults::default() };
        let client = clients.connect(&proxy, &Line::default())?;
        let agents = register(&client, AGENTS).await?;
        let last = (PER_WRITER * WRITERS / AGENTS) as u64;

        let lines: Vec<Line> = (0..AWAY).map(|_| Line::default()).collect();
        let mut followers = JoinSet::new();
        for number in 0..FOLLOWERS {
            let pace = Pace { dawdles: number % 2 == 1, ..Pace::steady(seed() + number) };
            let line = usize::try_from(number).ok().and_then(|place| lines.get(place)).cloned().unwrap_or_default();
            followers.spawn(follow(clients.connect(&proxy, &line)?, agents.clone(), last, pace));
        }
        let written = Arc::new(AtomicU64::new(0));
        let mut writers = JoinSet::new();
        for writer in 0..WRITERS {
            let written = written.clone();
            let paced = async move |_| {
                written.fetch_add(1, Ordering::Relaxed);
            };
            writers.spawn(write(client.clone(), agents.clone(), writer, PER_WRITER, paced));
        }
        let (stop, stopped) = oneshot::channel();
        let everything = async {
            let mut places = Places::new();
            while let Some(ended) = writers.join_next().await {
                note(&mut places, ended??)?;
            }
            // Who is away comes back only when more is written, or nothing is disturbed any more.
            let _ = stop.send(());
            let mut views = Vec::new();
            while let Some(followed) = followers.join_next().await {
                views.push(followed??);
            }
            anyhow::Ok((places, views))
        };
        let wanderers = lines.into_iter().map(|line| Wanderer { line, away_until: None }).collect();
        let (outcome, server) = tokio::join!(everything, disturb(server, &proxy, wanderers, &written, stopped));
        let ((places, mut views), server) = (outcome?, server?);
        // Who comes after everything gets what is kept, and nothing else.
        let kept_from = last - KEPT + 1;
        for agent in &agents {
            while beginning(&client, *agent).await? < kept_from {
                server.advance(ROUND);
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        let late = follow(client.clone(), agents.clone(), last, Pace::steady(seed())).await?;
        for (agent, seen) in &late {
            ensure!(seen.gaps == [kept_from], "of {agent}, the gaps before {:?} were told", seen.gaps);
            ensure!(seen.messages.len() as u64 == KEPT, "{} events are kept", seen.messages.len());
        }
        let told = views.iter().flat_map(|view| view.values()).map(|seen| seen.gaps.len()).sum::<usize>();
        views.push(late);
        for (agent, seen) in views.iter().flatten() {
            let stored = &places[agent];
            ensure!(stored.len() as u64 == last, "{} messages instead of {last}", stored.len());
            let same = seen.messages.iter().all(|(seq, id)| stored.get(seq) == Some(id));
            ensure!(same, "somebody saw something else than what was acknowledged");
            ensure!(seen.gaps.iter().all(|next| *next <= kept_from), "what is kept was said to be missing: {:?}", seen.gaps);
        }
        clients.faults.check();
        ensure!(told > 0, "nobody was away for too long, so this proves little");
    }
}
