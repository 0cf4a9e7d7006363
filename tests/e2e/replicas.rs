//! Two servers on one PostgreSQL: what happens on one reaches the sockets of the other, also after the line between them was
//! cut.

use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use flightdeck_sdk::generated::bridge::WaitForApprovalParameters;
use flightdeck_sdk::types::{
    AgentRegistration, ApprovalRequest, ApprovalStatus, BridgeEvent, Decision, DecisionVerb, MessageSend,
};
use flightdeck_sdk::{Client, Timestamp};
use flightdeck_tests::database::TestDatabase;
use flightdeck_tests::socket::document;
use flightdeck_tests::workspace::{bearing, signing};
use flightdeck_tests::{Kind, PairedWorkspace, RawSocket, Request, ServerProcess, on_postgres};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};
use uuid::Uuid;

/// Everything here happens within a moment; whoever waits longer waits for ever.
const PATIENCE: Duration = Duration::from_secs(15);

/// So much is written while the line is cut, and more until so many listening connections were thrown out.
const WRITTEN: u64 = 600;
const CUTS: u64 = 100;

/// And then one event at a time.
const LAST_WORDS: u64 = 60;

/// When the line is cut follows from this.
const SEED: u64 = 20_261_120;

struct Pair {
    database: TestDatabase,
    one: ServerProcess,
    other: ServerProcess,
}

impl Pair {
    async fn start() -> Result<Self> {
        let database = TestDatabase::create(Kind::Postgres).await?;
        let one = ServerProcess::on(&database, &[]).await?;
        let other = ServerProcess::on(&database, &[]).await?;
        Ok(Self { database, one, other })
    }

    fn clients(&self) -> (Client, Client) {
        (self.one.client(Kind::Postgres), self.other.client(Kind::Postgres))
    }

    /// Throws every listening connection out at moments of its own, as an operator or a failover does, and counts them.
    async fn keep_cutting(&self, cut: &AtomicU64) -> Result<Infallible> {
        let connection = self.database.connect().await?;
        let mut random = StdRng::seed_from_u64(SEED);
        loop {
            // Now and then there is time to come back, and now and then there is not.
            tokio::time::sleep(Duration::from_millis(random.random_range(1..120))).await;
            let gone = connection
                .execute_unprepared(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                     WHERE datname = current_database() AND application_name = 'flightdeck listener'",
                )
                .await?;
            cut.fetch_add(gone.rows_affected(), Ordering::Relaxed);
        }
    }
}

/// Opens a socket. Frame by frame, because the SDK makes good what a server does twice or not at all.
async fn open(server: &ServerProcess, request: &Request) -> Result<RawSocket> {
    let socket = document::find(request.path()).context("there is a socket at this path")?;
    RawSocket::open(server.address(), request, socket, Kind::Postgres).await?.socket()
}

/// Follows a stream, and returns once it is live.
async fn follow(server: &ServerProcess, request: &Request, stream: &str) -> Result<RawSocket> {
    let mut socket = open(server, request).await?;
    socket.expect("hello").await?;
    socket.send(&json!({"type": "subscribe", "stream": stream, "since_seq": 0})).await?;
    socket.until("synced").await?;
    Ok(socket)
}

/// Follows a channel of the hub, and no other; returns once it is live.
async fn follow_channel(server: &ServerProcess, channel: &str) -> Result<RawSocket> {
    let mut socket = open(server, &Request::socket("/hub")).await?;
    socket.expect("connected").await?;
    socket.send(&json!({"type": "unsubscribe", "channel": "global"})).await?;
    socket.send(&json!({"type": "subscribe", "channel": channel, "since_seq": 0})).await?;
    socket.until("synced").await?;
    Ok(socket)
}

/// The places of the events in a message.
fn places(message: &Value) -> Vec<u64> {
    let events = message["events"].as_array().map_or(std::slice::from_ref(&message["event"]), Vec::as_slice);
    // The hub's events are not in a message, they are one.
    events.iter().chain([message]).filter_map(|event| event["seq"].as_u64()).collect()
}

/// Fails unless every event comes from `next` to `last`, each once and in its place, and nothing after that.
async fn everything_comes(socket: &mut RawSocket, mut next: u64, last: u64) -> Result<()> {
    while next <= last {
        let (name, message) = socket.recv().await.with_context(|| format!("waiting for event {next} of {last}"))?;
        ensure!(name != "gap", "nothing is trimmed here, and still there is a gap: {message}");
        for seq in places(&message) {
            ensure!(seq == next, "event {seq} came in the place of {next}");
            next += 1;
        }
    }
    let rest = socket.settle().await?;
    ensure!(rest.iter().all(|message| places(message).is_empty()), "after event {last}, the last, came {rest:?}");
    Ok(())
}

/// Goes on as long as anybody should write: until there is enough, and the line was cut often enough meanwhile.
struct Enough<'c> {
    cut: &'c AtomicU64,
    written: AtomicU64,
}

impl Enough<'_> {
    fn more(&self) -> bool {
        let number = self.written.fetch_add(1, Ordering::Relaxed);
        number < WRITTEN || self.cut.load(Ordering::Relaxed) < CUTS
    }
}

fn happened(workspace_id: Uuid, run_id: Uuid) -> BridgeEvent {
    BridgeEvent::new(workspace_id, run_id, "claude_code", "TOOL_USED", Timestamp::from(std::time::SystemTime::now()))
}

/// Reports events of a run until there are enough; gives the last one's place.
async fn report(machine: &Client, workspace_id: Uuid, run_id: Uuid, enough: &Enough<'_>) -> Result<u64> {
    let mut last = 0;
    while enough.more() {
        last = machine.bridge().submit_event(&happened(workspace_id, run_id)).await?.seq;
    }
    Ok(last)
}

/// Publishes on a channel until there is enough; says how often.
async fn publish(server: &ServerProcess, channel: &str, enough: &Enough<'_>) -> Result<u64> {
    let mut socket = open(server, &Request::socket("/hub")).await?;
    let mut published = 0;
    while enough.more() {
        publish_one(&mut socket, channel).await?;
        published += 1;
    }
    Ok(published)
}

async fn publish_one(socket: &mut RawSocket, channel: &str) -> Result<()> {
    let publish = json!({"type": "publish", "channel": channel, "event": "system.info", "data": 1, "id": "p"});
    socket.send(&publish).await?;
    let ack = socket.until("ack").await?;
    ensure!(ack["success"] == true, "{ack}");
    Ok(())
}

on_postgres! {
    async fn an_event_on_one_server_reaches_the_sockets_of_the_other() {
        let pair = Pair::start().await?;
        let (one, other) = pair.clients();
        let agent_id = one.companion().register_agent(&AgentRegistration::new("mac-mini-1")).await?.agent_id;
        let (request, stream) = (Request::socket("/v1/stream"), format!("agents/{agent_id}"));
        let mut there = follow(&pair.other, &request, &stream).await?;
        let mut here = follow(&pair.one, &request, &stream).await?;
        for number in 1..=20 {
            // Larger than a notification, now and then: those travel as a pointer.
            let content = if number % 5 == 0 { "x".repeat(20_000) } else { format!("message {number}") };
            let server = if number % 2 == 0 { &one } else { &other };
            server.companion().send_message(&MessageSend::new(agent_id, content)).await?;
        }
        everything_comes(&mut there, 1, 20).await?;
        everything_comes(&mut here, 1, 20).await?;
    }

    async fn a_publish_on_one_server_reaches_the_hub_of_the_other() {
        const FOREIGN: u64 = 20;
        let pair = Pair::start().await?;
        let mut there = follow_channel(&pair.other, "topics/deployments").await?;
        let mut global = open(&pair.other, &Request::socket("/hub")).await?;
        global.expect("connected").await?;
        let mut here = open(&pair.one, &Request::socket("/hub")).await?;
        let data = json!({"release": 7});
        here.send(&json!({"type": "publish", "channel": "topics/deployments", "event": "system.info", "data": data})).await?;
        let event = there.expect("event").await?;
        ensure!(event["channel"] == "topics/deployments" && event["data"] == data, "{event}");

        // From any other program on the database. Both servers hear each, and one writes it down.
        let connection = pair.database.connect().await?;
        for number in 0..FOREIGN {
            let payload = json!({"channel": "topics/deployments", "event": "build.done", "data": number});
            connection.execute_unprepared(&format!("SELECT pg_notify('dcm_events', '{payload}')")).await?;
        }
        for number in 0..FOREIGN {
            for (socket, channel) in [(&mut there, "topics/deployments"), (&mut global, "global")] {
                let event = socket.expect("event").await?;
                ensure!(event["channel"] == channel && event["data"] == number, "{event}");
            }
        }
        let stored = pair.database.count("events").await?;
        ensure!(stored == 1 + 2 * i64::try_from(FOREIGN)?, "{stored} events are stored for one publish and {FOREIGN} notifications");
        ensure!(there.settle().await?.is_empty() && global.settle().await?.is_empty(), "something is told twice");
    }

    async fn a_verdict_given_to_one_server_releases_the_hook_at_the_other() {
        let pair = Pair::start().await?;
        let (one, other) = pair.clients();
        let paired = PairedWorkspace::pair(&one).await?;
        let machine = other.with_credentials(signing(paired.workspace_id, &paired.secret));
        let device = one.with_credentials(bearing(&paired.device_token));
        let question = ApprovalRequest::new(Uuid::new_v4(), "cargo publish", "/").with_workspace_id(paired.workspace_id);
        let asked = machine.bridge().request_approval(&question).await?;
        let parameters = WaitForApprovalParameters::default().with_timeout(60);
        let waiting = tokio::spawn(machine.bridge().wait_for_approval(&asked.approval_id, &parameters).into_future());
        device.approvals().decide_approval(&asked.approval_id, &Decision::new(DecisionVerb::Approve)).await?;
        let verdict = tokio::time::timeout(PATIENCE, waiting).await.context("the hook was not released")???;
        ensure!(verdict.status == ApprovalStatus::Approved);
    }

    /// At any moment of a commit, and while the line is being made again.
    async fn cutting_the_line_between_servers_loses_nothing() {
        let pair = Pair::start().await?;
        let (one, _) = pair.clients();
        let paired = PairedWorkspace::pair(&one).await?;
        let run_id = Uuid::new_v4();
        let machine = one.with_credentials(signing(paired.workspace_id, &paired.secret));
        let (cut, channel) = (AtomicU64::new(0), "topics/deployments");
        // Before its first event, nobody can follow a run.
        machine.bridge().submit_event(&happened(paired.workspace_id, run_id)).await?;
        let request = Request::socket("/v1/stream").bearer(&paired.device_token);
        let mut run = follow(&pair.other, &request, &format!("runs/{run_id}")).await?;
        let mut hub = follow_channel(&pair.other, channel).await?;

        let enough = Enough { cut: &cut, written: AtomicU64::new(0) };
        let report = || report(&machine, paired.workspace_id, run_id, &enough);
        let publish = || publish(&pair.one, channel, &enough);
        let writing = async {
            let (a, b, c, d, e, f, g) =
                tokio::try_join!(report(), report(), report(), report(), publish(), publish(), publish())?;
            let (mut reported, mut published) = (a.max(b).max(c).max(d), e + f + g);
            // Its first event has come before `synced`.
            everything_comes(&mut run, 2, reported).await.context("on the run")?;
            everything_comes(&mut hub, 1, published).await.context("on the hub")?;
            // After a last word, nothing comes that would show that it is missing.
            let mut socket = open(&pair.one, &Request::socket("/hub")).await?;
            for _ in 0..LAST_WORDS {
                machine.bridge().submit_event(&happened(paired.workspace_id, run_id)).await?;
                publish_one(&mut socket, channel).await?;
                (reported, published) = (reported + 1, published + 1);
                everything_comes(&mut run, reported, reported).await.context("the last word on the run")?;
                everything_comes(&mut hub, published, published).await.context("the last word on the hub")?;
            }
            anyhow::Ok(())
        };
        tokio::select! {
            written = writing => written?,
            never = pair.keep_cutting(&cut) => match never? {},
        }
    }

    /// Whoever may connect to the database may send notifications; that must not be enough to approve a command.
    async fn what_no_server_said_decides_nothing() {
        let pair = Pair::start().await?;
        let (one, other) = pair.clients();
        let paired = PairedWorkspace::pair(&one).await?;
        let machine = other.with_credentials(signing(paired.workspace_id, &paired.secret));
        let run_id = Uuid::new_v4();
        let question = ApprovalRequest::new(run_id, "cargo publish", "/").with_workspace_id(paired.workspace_id);
        let asked = machine.bridge().request_approval(&question).await?;
        let connection = pair.database.connect().await?;
        let data = json!({
            "approval_id": asked.approval_id, "workspace_id": paired.workspace_id, "status": "APPROVED",
        });
        let foreign = json!({"channel": "global", "event": "approval.decided", "data": data});
        connection.execute_unprepared(&format!("SELECT pg_notify('dcm_events', '{foreign}')")).await?;
        let event = json!([format!("runs/{run_id}"), 2, Uuid::new_v4(), "approval.decided", 1, null, data.to_string()]);
        let forged = json!({"from": Uuid::new_v4(), "events": [event]}).to_string();
        for notice in [forged.clone(), format!("{}{forged}", "0".repeat(64))] {
            connection.execute_unprepared(&format!("SELECT pg_notify('flightdeck_log', '{notice}')")).await?;
        }
        let parameters = WaitForApprovalParameters::default().with_timeout(2);
        for server in [&one, &other] {
            let machine = server.with_credentials(signing(paired.workspace_id, &paired.secret));
            let verdict = machine.bridge().wait_for_approval(&asked.approval_id, &parameters).await?;
            ensure!(verdict.status == ApprovalStatus::Pending, "{verdict:?}");
        }
    }
}
