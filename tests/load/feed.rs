//! Sending events, and reading back that every acknowledged one is stored, in its place, without gaps.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::json;
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::connection::{Connection, find};
use crate::server::Server;
use crate::signing::{SignedRequest, Signer};
use crate::workspace::Workspace;

/// How events are sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    /// Each has one request at a time.
    pub(crate) connections: usize,
    /// Runs that the connections report on, in turn.
    pub(crate) runs: usize,
    /// Whether each event has a key of its own.
    pub(crate) idempotency: bool,
}

/// When to stop.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Until {
    Passed(Duration),
    Sent(u64),
}

/// An event that the server says it has stored.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Acknowledged {
    event_id: Uuid,
    seq: u64,
    /// Which of the runs.
    run: usize,
    pub(crate) at: Instant,
    pub(crate) took: Duration,
}

/// All that was acknowledged.
#[derive(Debug)]
pub(crate) struct Fed {
    runs: Vec<Uuid>,
    pub(crate) acknowledged: Vec<Acknowledged>,
}

/// What an agent's report of a tool call looks like.
pub(crate) fn event_body(workspace_id: Uuid, run_id: Uuid) -> Vec<u8> {
    let payload = json!({
        "message": "Runs the tests of the crate that was changed",
        "tool_name": "Bash",
        "tool_input": {"command": "cargo test -p parser", "description": "Run the parser's tests"},
    });
    json!({
        "workspace_id": workspace_id, "run_id": run_id, "provider": "claude_code", "event_type": "TOOL_CALL",
        "event_ts": "2026-01-01T12:00:00.000Z", "payload": payload,
    })
    .to_string()
    .into_bytes()
}

/// Sends events over all connections at once.
pub(crate) async fn feed(server: &Server, workspace: &Workspace, shape: Shape, until: Until) -> Result<Fed> {
    let runs: Vec<Uuid> = (0..shape.runs.clamp(1, shape.connections)).map(|_| Uuid::new_v4()).collect();
    let mut connections = Vec::with_capacity(shape.connections);
    for _ in 0..shape.connections {
        connections.push(Connection::open(server.address()).await?);
    }
    let issued = Arc::new(AtomicU64::new(0));
    let started = Instant::now();
    let mut senders = JoinSet::new();
    for (index, connection) in connections.into_iter().enumerate() {
        let run = index % runs.len();
        let body = event_body(workspace.signer.workspace_id, runs[run]);
        let request = SignedRequest::post("/bridge/event", &body, shape.idempotency, &workspace.signer);
        let signer = workspace.signer.clone();
        let issued = issued.clone();
        let more = move || match until {
            Until::Passed(limit) => started.elapsed() < limit,
            Until::Sent(total) => issued.fetch_add(1, Ordering::Relaxed) < total,
        };
        senders.spawn(send(connection, request, signer, run, more));
    }
    let mut acknowledged = Vec::new();
    while let Some(sent) = senders.join_next().await {
        acknowledged.append(&mut sent.context("a sender broke off")??);
    }
    Ok(Fed { runs, acknowledged })
}

async fn send(
    mut connection: Connection,
    mut request: SignedRequest,
    signer: Signer,
    run: usize,
    more: impl Fn() -> bool,
) -> Result<Vec<Acknowledged>> {
    let mut acknowledged = Vec::new();
    while more() {
        let bytes = request.stamp(&signer);
        let sent_at = Instant::now();
        let answer = connection.exchange(bytes).await?;
        let at = Instant::now();
        let (event_id, seq) = read_receipt(answer.ok()?)?;
        acknowledged.push(Acknowledged { event_id, seq, run, at, took: at - sent_at });
    }
    Ok(acknowledged)
}

/// From `{"status":"ok","event_id":"…","seq":1}`, without a parser's cost.
fn read_receipt(body: &[u8]) -> Result<(Uuid, u64)> {
    let after = |name: &[u8]| find(body, name).map(|at| &body[at + name.len()..]);
    let event_id = after(b"\"event_id\":\"").and_then(|rest| Uuid::try_parse_ascii(rest.get(..36)?).ok());
    let seq = after(b"\"seq\":").map(|rest| {
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit());
        digits.fold(0, |number, digit| number * 10 + u64::from(digit - b'0'))
    });
    event_id.zip(seq).with_context(|| format!("this is no receipt: {}", String::from_utf8_lossy(body)))
}

#[derive(Deserialize)]
struct Page {
    events: Vec<Stored>,
}

#[derive(Deserialize)]
struct Stored {
    event_id: Uuid,
    seq: u64,
}

/// Reads every run's timeline, and compares it with what was acknowledged.
pub(crate) async fn verify(workspace: &mut Workspace, fed: &mut Fed) -> Result<()> {
    fed.acknowledged.sort_unstable_by_key(|event| (event.run, event.seq));
    for (run, run_id) in fed.runs.iter().enumerate() {
        let mine = fed.acknowledged.partition_point(|event| event.run < run)
            ..fed.acknowledged.partition_point(|event| event.run <= run);
        let acknowledged = &fed.acknowledged[mine];
        let mut read = 0;
        loop {
            let path = format!("/v1/runs/{run_id}/events?since_seq={read}&limit=1000");
            let page: Page = serde_json::from_slice(workspace.phone.get_raw(&path).await?)?;
            if page.events.is_empty() {
                break;
            }
            for stored in page.events {
                read += 1;
                ensure!(stored.seq == read, "run {run_id}: after seq {} comes {}", read - 1, stored.seq);
                let told = usize::try_from(read - 1).ok().and_then(|place| acknowledged.get(place));
                let told = told.with_context(|| format!("run {run_id}: seq {read} is stored but was never told"))?;
                ensure!(
                    told.seq == stored.seq && told.event_id == stored.event_id,
                    "run {run_id}: seq {read} was told as {told:?}, and stored is event {}",
                    stored.event_id,
                );
            }
        }
        let count = acknowledged.len();
        ensure!(read == count as u64, "run {run_id}: {count} events were acknowledged and {read} are stored");
    }
    Ok(())
}
