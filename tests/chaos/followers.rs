//! Followers that are cut off, a server that is killed and comes back, readers that dawdle and readers that stop: each
//! follower sees every event of its streams once and in order.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use flightdeck_tests::database::TestDatabase;
use flightdeck_tests::proxy::Proxy;
use flightdeck_tests::socket::{Faults, Line};
use flightdeck_tests::{Request, ServerProcess, for_each_database};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;

use super::channel;
use super::following::{Clients, Pace, Places, follow, note, register, seed, setting, write};

/// Events in all; `FLIGHTDECK_TEST_FOLLOWED` for a long night.
const EVENTS: u64 = 20_000;
const AGENTS: usize = 3;
const WRITERS: usize = 24;
const FOLLOWERS: u64 = 6;
/// Followers that read nothing while it is calm.
const STOPPING: u64 = 3;
/// What is published on a channel of the hub, and followers of that.
const PUBLISHED: u64 = 900;
const CHANNEL_FOLLOWERS: usize = 2;

/// Disturbances, a few hundred milliseconds apart, until it is calm: then the server is not killed, and nobody is cut off by
/// anybody else who has stopped reading, until the server, which bears that for five seconds, does it.
const STORM: u32 = 10;
const CALM: Duration = Duration::from_secs(60);
/// So often it is calm while events are written.
const CALMS: u32 = 2;

const SETTINGS: [(&str, &str); 2] = [("FLIGHTDECK_SQLITE_SYNC", "normal"), ("FLIGHTDECK_LOG", "error")];

/// The ways to the server: one that is cut, and a narrow one for readers that stop.
struct Ways {
    open: Proxy,
    narrow: Proxy,
}

/// What happened to the server.
#[derive(Debug, Default)]
struct Disturbed {
    cuts: u32,
    kills: u32,
    /// Readers that were cut off because they were too slow.
    slow_readers: u64,
}

/// What is told to those who stop reading, and to those who write.
struct Weather {
    /// Those that stop reading, stop now.
    calm: watch::Sender<bool>,
    /// How often it has been calm.
    calms: watch::Sender<u32>,
}

impl Weather {
    fn turns_calm(&self) {
        self.calm.send_replace(true);
        self.calms.send_modify(|calms| *calms += 1);
    }

    fn is_over(&self) {
        self.calm.send_replace(false);
    }
}

/// How many readers of `/v1/stream` this server has cut off because they were too slow.
async fn slow_readers(server: &ServerProcess) -> Result<u64> {
    let answer = Request::get("/metrics").header("Connection", "close").send(server.address()).await?;
    let metrics = String::from_utf8(answer.body)?;
    let counts = metrics.lines().filter_map(|line| {
        let (name, count) = line.rsplit_once(' ')?;
        let counts = name.starts_with("flightdeck_socket_closes_total")
            && name.contains("socket=\"stream\"")
            && name.contains("code=\"slow_reader\"");
        counts.then(|| count.parse::<u64>().ok()).flatten()
    });
    Ok(counts.sum())
}

/// Cuts connections and kills the server until told to stop.
async fn disturb(
    store: &TestDatabase,
    mut server: ServerProcess,
    ways: &Ways,
    weather: Weather,
    mut stop: oneshot::Receiver<()>,
) -> Result<(ServerProcess, Disturbed)> {
    let mut random = StdRng::seed_from_u64(seed());
    let mut disturbed = Disturbed::default();
    let (mut storm, mut calm_until) = (STORM, None);
    loop {
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(random.random_range(150..600))) => {}
            _ = &mut stop => break,
        }
        match calm_until {
            None if storm == 0 && *weather.calms.borrow() < CALMS => {
                let before = slow_readers(&server).await?;
                calm_until = Some((Instant::now() + CALM, before + 1));
                weather.turns_calm();
            }
            None => storm = storm.saturating_sub(1),
            Some((until, cut_off)) if Instant::now() > until || slow_readers(&server).await? >= cut_off => {
                (storm, calm_until) = (STORM, None);
                weather.is_over();
            }
            Some(_) => {}
        }
        if storm > 0 && random.random_ratio(1, 4) {
            disturbed.slow_readers += slow_readers(&server).await?;
            server.kill().await?;
            server = ServerProcess::on(store, &SETTINGS).await?;
            ways.open.lead_to(server.address());
            ways.narrow.lead_to(server.address());
            disturbed.kills += 1;
        } else {
            ways.open.cut();
            disturbed.cuts += 1;
        }
    }
    disturbed.slow_readers += slow_readers(&server).await?;
    Ok((server, disturbed))
}

/// Waits until it has been calm as often as it must before the event `number` of `count`: a share of them is written before
/// that, and one whenever it is calm, so that there is always something that a reader does not read.
async fn in_its_time(calms: &mut watch::Receiver<u32>, number: u64, count: u64) {
    let wanted = number * u64::from(CALMS + 1) / count;
    // If it is never calm any more, the test is over.
    let _ = calms.wait_for(|calms| u64::from(*calms) >= wanted).await;
}

for_each_database! {
    async fn every_follower_sees_every_event_once_and_in_order(database) {
        let store = TestDatabase::create(database).await?;
        let server = ServerProcess::on(&store, &SETTINGS).await?;
        let ways = Ways { open: Proxy::to(server.address()).await?, narrow: Proxy::narrow_to(server.address()).await? };
        let clients = Clients { database, faults: Faults::default() };
        let connect = |way| clients.connect(way, &Line::default());
        let agents = register(&connect(&ways.open)?, AGENTS).await?;
        let per_writer = usize::try_from(setting("FLIGHTDECK_TEST_FOLLOWED", EVENTS))? / WRITERS / AGENTS * AGENTS;
        let last = (per_writer * WRITERS / AGENTS) as u64;
        let (calm, is_calm) = watch::channel(false);
        let (calms, been_calm) = watch::channel(0);

        let steady = |number| Pace::steady(seed() + number);
        let mut followers = JoinSet::new();
        for number in 0..FOLLOWERS {
            let pace = Pace { dawdles: number % 3 == 0, ..steady(number) };
            followers.spawn(follow(connect(&ways.open)?, agents.clone(), last, pace));
        }
        for number in 0..STOPPING {
            let pace = Pace { stops: Some(is_calm.clone()), ..steady(FOLLOWERS + number) };
            followers.spawn(follow(connect(&ways.narrow)?, agents.clone(), last, pace));
        }
        let mut listeners = JoinSet::new();
        for _ in 0..CHANNEL_FOLLOWERS {
            listeners.spawn(channel::follow(connect(&ways.open)?, PUBLISHED));
        }
        let mut writers = JoinSet::new();
        for writer in 0..WRITERS {
            let (client, agents, mut calms) = (connect(&ways.open)?, agents.clone(), been_calm.clone());
            let paced = async move |number| in_its_time(&mut calms, number as u64, per_writer as u64).await;
            writers.spawn(write(client, agents, writer, per_writer, paced));
        }
        let mut calms_of_publisher = been_calm.clone();
        let paced = async move |number| in_its_time(&mut calms_of_publisher, number, PUBLISHED).await;
        let publishing = tokio::spawn(channel::publish(connect(&ways.open)?, PUBLISHED, paced));

        let (stop, stopped) = oneshot::channel();
        let everything = async {
            let mut written = Places::new();
            while let Some(ended) = writers.join_next().await {
                note(&mut written, ended??)?;
            }
            publishing.await??;
            // Some come only after everything has happened, and read history alone.
            followers.spawn(follow(connect(&ways.open)?, agents.clone(), last, steady(0)));
            listeners.spawn(channel::follow(connect(&ways.open)?, PUBLISHED));
            let (mut views, mut channel_views) = (Vec::new(), Vec::new());
            while let Some(followed) = followers.join_next().await {
                views.push(followed??);
            }
            while let Some(followed) = listeners.join_next().await {
                channel_views.push(followed??);
            }
            // A disturbance that has failed says so itself.
            let _ = stop.send(());
            anyhow::Ok((written, views, channel_views))
        };
        let disturbing = disturb(&store, server, &ways, Weather { calm, calms }, stopped);
        let (outcome, disturbed) = tokio::join!(everything, disturbing);
        let ((written, views, channel_views), (_server, disturbed)) = (outcome?, disturbed?);
        for view in &views {
            for (agent, seen) in view {
                ensure!(seen.gaps.is_empty(), "nothing is trimmed here, and still there is a gap before {:?}", seen.gaps);
                let stored = written.get(agent).context("somebody wrote to every agent")?;
                ensure!(seen.messages == *stored, "somebody saw something else than what was acknowledged");
                ensure!(stored.len() as u64 == last, "{} messages instead of {last}", stored.len());
            }
        }
        channel::compare(&channel_views, PUBLISHED)?;
        clients.faults.check();
        ensure!(disturbed.cuts >= 20 && disturbed.kills >= 2, "{disturbed:?}, so this proves little");
        let enough = disturbed.slow_readers >= u64::from(CALMS);
        ensure!(enough, "{disturbed:?}: who stopped reading was not cut off, so this proves little");
    }
}
