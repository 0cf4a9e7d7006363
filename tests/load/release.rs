//! From a person's decision to the hook that waits for it, and what it costs to wait.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::json;
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::Bench;
use crate::connection::{Connection, find};
use crate::events::echo_request;
use crate::feed::event_body;
use crate::machine::{Memory, memory};
use crate::options::{ReleaseOptions, Store, Sync};
use crate::report::{Bar, Figure, Report};
use crate::server::{Listening, Server};
use crate::signing::SignedRequest;
use crate::statistics::percentile;
use crate::workspace::{Phone, Workspace};

/// Lets a wait that was sent be parked. The server can't be asked: that would disturb what is timed.
const SETTLE: Duration = Duration::from_millis(3);

/// As many as `decideApprovals` takes; and as many connections as are opened before the server is asked whether it has
/// taken them, because the kernel's queue of connections to accept may be as short as that, and overflows cost a second.
const BATCH: usize = 100;

pub(crate) async fn measure(bench: &Bench, options: &ReleaseOptions, report: &mut Report) -> Result<()> {
    let samples = options.samples.unwrap_or(bench.options.choose(1_000, 200)).max(1);
    let waiters = if options.waiters.is_empty() { vec![1, 1_000, 5_000] } else { options.waiters.clone() };
    bench.say("release: one exchange with the bare echo server");
    let round_trips = ping(bench, samples * 4).await?;
    for store in bench.options.stores() {
        for &parked in &waiters {
            bench.say(&format!("release: {parked} parked, {}", store.as_str()));
            level(bench, store, parked.max(1), samples, round_trips, report).await?;
        }
    }
    report.note(format!("release: {samples} decisions one at a time, from sending it to the waiter's answer"));
    Ok(())
}

/// An approval that a hook waits for on a connection of its own.
struct Parked {
    waiters: JoinSet<Result<Instant>>,
    approvals: Vec<Uuid>,
}

/// All that is measured with so many waiters.
async fn level(
    bench: &Bench,
    store: Store,
    parked: usize,
    samples: usize,
    round_trips: (f64, f64),
    report: &mut Report,
) -> Result<()> {
    let server = Server::start(bench, store).await?;
    let mut workspace = server.pair().await?;
    let mut asking = Asking::new(&server, &workspace).await?;
    // What the first requests load into memory is not the waiters' cost.
    one_at_a_time(&server, &mut workspace, &mut asking, 100).await?;

    let started = memory(server.process());
    // The one that is timed waits too.
    let approvals = ask(&mut asking, &workspace, parked - 1).await?;
    let asked = memory(server.process());
    let mut waiting = park(&server, &mut workspace, approvals).await?;
    let full = memory(server.process());
    let mut took = one_at_a_time(&server, &mut workspace, &mut asking, samples).await?;

    let bars = match store {
        Store::Sqlite(Sync::Full) => (Some(0.9), Some(3.0)),
        Store::Sqlite(Sync::Normal) => (Some(0.35), Some(1.0)),
        Store::Postgres => (None, None),
    };
    let what = format!("{}, {parked} parked", store.as_str());
    for (name, share, bar, round_trip) in [("p50", 0.5, bars.0, round_trips.0), ("p99", 0.99, bars.1, round_trips.1)] {
        report.add(Figure {
            bar: bar.map(Bar::AtMost),
            baselines: vec![(format!("echo {name}"), round_trip)],
            ..Figure::new("release", format!("{what}, {name}"), "ms", percentile(&mut took, share).into())
        });
    }
    if parked > 1 {
        let passed = release_all(&mut workspace.phone, &mut waiting).await?;
        report.add(Figure {
            detail: format!("all {} released, by decideApprovals with {BATCH} each", parked - 1),
            ..Figure::new("release", format!("{what}, all decided at once"), "ms", passed.into())
        });
        if let (Some(started), Some(asked), Some(full)) = (started, asked, full) {
            add_memory(report, &what, parked - 1, (started, asked, full));
        }
    }
    server.stop().await
}

fn add_memory(report: &mut Report, what: &str, waiters: usize, (started, asked, full): (Memory, Memory, Memory)) {
    let each = |from: f64, to: f64| (to - from) / waiters as f64;
    report.add(Figure {
        // With few waiters, the allocator's granularity is larger than what is measured.
        bar: (waiters >= 4_000).then_some(Bar::AtMost(12.0)),
        detail: format!(
            "RSS {:.1} MiB at first, {:.1} with the approvals, {:.1} with their waiters; RssAnon {:.2} KiB each; with \
             the approval itself {:.2} KiB",
            started.resident / 1024.0,
            asked.resident / 1024.0,
            full.resident / 1024.0,
            each(asked.anonymous, full.anonymous),
            each(started.resident, full.resident),
        ),
        ..Figure::new("release", format!("{what}, memory a waiter"), "KiB", each(asked.resident, full.resident).into())
    });
}

/// What asks for approvals.
struct Asking {
    connection: Connection,
    request: SignedRequest,
}

impl Asking {
    async fn new(server: &Server, workspace: &Workspace) -> Result<Self> {
        let body = json!({
            "workspace_id": workspace.signer.workspace_id, "run_id": Uuid::new_v4(), "provider": "claude_code",
            "command": "cargo publish", "cwd": "/home/somebody/project", "tool_name": "Bash",
            "context": {"command": "cargo publish", "description": "Publish the crate"},
        });
        let body = body.to_string();
        Ok(Self {
            connection: Connection::open(server.address()).await?,
            request: SignedRequest::post("/bridge/approval/request", body.as_bytes(), false, &workspace.signer),
        })
    }

    /// Opens one approval.
    async fn ask(&mut self, workspace: &Workspace) -> Result<Uuid> {
        let answer = self.connection.exchange(self.request.stamp(&workspace.signer)).await?;
        let body = answer.ok()?;
        let at = find(body, b"\"approval_id\":\"").context("there is no approval_id")? + 15;
        Ok(Uuid::try_parse_ascii(body.get(at..at + 36).context("the approval_id is cut off")?)?)
    }
}

async fn ask(asking: &mut Asking, workspace: &Workspace, count: usize) -> Result<Vec<Uuid>> {
    let mut approvals = Vec::with_capacity(count);
    for _ in 0..count {
        approvals.push(asking.ask(workspace).await?);
    }
    Ok(approvals)
}

/// The request of a hook that waits longer than any of this takes.
fn wait_request(approval: Uuid, workspace: &Workspace) -> SignedRequest {
    SignedRequest::get(&format!("/bridge/approval/{approval}/wait?timeout=600"), &workspace.signer)
}

/// Opens a wait for each approval, and returns once the server says that all are parked.
async fn park(server: &Server, workspace: &mut Workspace, approvals: Vec<Uuid>) -> Result<Parked> {
    let mut waiters = JoinSet::new();
    for group in approvals.chunks(BATCH) {
        for &approval in group {
            let mut connection = Connection::open(server.address()).await?;
            connection.send(wait_request(approval, workspace).stamp(&workspace.signer)).await?;
            waiters.spawn(async move {
                let answer = connection.receive().await?;
                ensure_approved(answer.ok()?)?;
                Ok(Instant::now())
            });
        }
        until_parked(workspace, waiters.len()).await?;
    }
    Ok(Parked { waiters, approvals })
}

async fn until_parked(workspace: &mut Workspace, expected: usize) -> Result<()> {
    let patience = Instant::now() + Duration::from_secs(30);
    loop {
        let health = workspace.phone.get("/v1/health").await?;
        let count = health["waiting_hooks"].as_u64().context("there is no waiting_hooks")?;
        if count >= expected as u64 {
            return Ok(());
        }
        ensure!(Instant::now() < patience, "{count} of {expected} waits were parked within 30 seconds");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

fn ensure_approved(verdict: &[u8]) -> Result<()> {
    let approved = find(verdict, b"\"APPROVED\"").is_some();
    ensure!(approved, "a waiter was told {}", String::from_utf8_lossy(verdict));
    Ok(())
}

/// Asks, waits and decides, again and again; the time is from sending the decision to the waiter's answer.
async fn one_at_a_time(
    server: &Server,
    workspace: &mut Workspace,
    asking: &mut Asking,
    samples: usize,
) -> Result<Vec<Duration>> {
    // It may have been idle for longer than the server keeps such connections.
    asking.connection = Connection::open(server.address()).await?;
    let mut waiter = Connection::open(server.address()).await?;
    let mut decider = workspace.phone.another().await?;
    let mut took = Vec::with_capacity(samples);
    for _ in 0..samples {
        let approval = asking.ask(workspace).await?;
        let decision =
            decider.request("POST", &format!("/v1/approvals/{approval}/decision"), r#"{"decision":"APPROVE"}"#);
        waiter.send(wait_request(approval, workspace).stamp(&workspace.signer)).await?;
        tokio::time::sleep(SETTLE).await;
        let decided_at = Instant::now();
        decider.connection().send(&decision).await?;
        let waits = async {
            ensure_approved(waiter.receive().await?.ok()?)?;
            anyhow::Ok(decided_at.elapsed())
        };
        let (released, answer) = tokio::join!(waits, decider.connection().receive());
        answer?.ok()?;
        took.push(released?);
    }
    Ok(took)
}

/// Decides everything that is parked, and returns the milliseconds until the last waiter had its answer.
async fn release_all(phone: &mut Phone, parked: &mut Parked) -> Result<f64> {
    let started = Instant::now();
    for approvals in parked.approvals.chunks(BATCH) {
        let decisions: Vec<_> =
            approvals.iter().map(|approval| json!({"approval_id": approval, "decision": "APPROVE"})).collect();
        let outcomes = phone.post("/v1/approvals/decisions", &json!({"decisions": decisions})).await?;
        let accepted = outcomes["outcomes"]
            .as_array()
            .map_or(0, |outcomes| outcomes.iter().filter(|outcome| outcome["outcome"] == "ACCEPTED").count());
        ensure!(accepted == approvals.len(), "{accepted} of {} decisions were accepted", approvals.len());
    }
    let total = parked.approvals.len();
    let mut released = 0;
    let mut last = started;
    let all = async {
        while let Some(waiter) = parked.waiters.join_next().await {
            last = last.max(waiter.context("a waiter broke off")??);
            released += 1;
        }
        anyhow::Ok(())
    };
    if let Ok(outcome) = tokio::time::timeout(Duration::from_secs(30), all).await {
        outcome?;
    }
    ensure!(released == total, "{released} of {total} waiters were released; the others still waited after 30 seconds");
    Ok((last - started).as_secs_f64() * 1_000.0)
}

/// Milliseconds of one exchange with the bare web framework, over loopback: p50 and p99.
pub(crate) async fn ping(bench: &Bench, samples: usize) -> Result<(f64, f64)> {
    let echo = Listening::echo(bench).await?;
    let request = echo_request(&event_body(Uuid::new_v4(), Uuid::new_v4()));
    let mut connection = Connection::open(&echo.address).await?;
    let mut took = Vec::with_capacity(samples);
    for _ in 0..samples {
        let sent_at = Instant::now();
        connection.exchange(&request).await?.ok()?;
        took.push(sent_at.elapsed());
    }
    echo.stop().await?;
    Ok((percentile(&mut took, 0.5), percentile(&mut took, 0.99)))
}
