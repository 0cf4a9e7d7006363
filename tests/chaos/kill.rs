//! `kill -9` under load, again and again: no acknowledged event is lost or changed, no place in a timeline is given
//! twice, and a decision that was answered is the verdict for ever.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use flightdeck_sdk::Timestamp;
use flightdeck_sdk::generated::bridge::WaitForApprovalParameters;
use flightdeck_sdk::generated::runs::ListRunEventsParameters;
use flightdeck_sdk::types::{ApprovalRequest, ApprovalStatus, BridgeEvent, Decision, DecisionVerb};
use flightdeck_tests::database::TestDatabase;
use flightdeck_tests::workspace::{bearing, signing};
use flightdeck_tests::{Kind, PairedWorkspace, ServerProcess, for_each_database};
use tokio::sync::Mutex;
use uuid::Uuid;

/// How often the server is killed; `FLIGHTDECK_TEST_KILLS` for a long night.
const KILLS: u64 = 6;
const WRITERS: usize = 8;

fn kills() -> u64 {
    std::env::var("FLIGHTDECK_TEST_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(KILLS)
}

/// What the server acknowledged.
#[derive(Debug, Default)]
struct Acknowledged {
    /// The event at each place of each timeline.
    events: BTreeMap<(Uuid, u64), Uuid>,
    verdicts: BTreeMap<Uuid, ApprovalStatus>,
}

/// The same workspace, spoken to through a server that has just been started.
fn connect(server: &ServerProcess, database: Kind, workspace: &PairedWorkspace) -> PairedWorkspace {
    let client = server.client(database);
    PairedWorkspace {
        machine: client.with_credentials(signing(workspace.workspace_id, &workspace.secret)),
        device: client.with_credentials(bearing(&workspace.device_token)),
        ..workspace.clone()
    }
}

/// Writes until the server is gone.
async fn write(workspace: PairedWorkspace, run_id: Uuid, acknowledged: Arc<Mutex<Acknowledged>>) -> Result<()> {
    loop {
        let now = Timestamp::from(std::time::SystemTime::now());
        let event = BridgeEvent::new(workspace.workspace_id, run_id, "claude_code", "TOOL_USED", now);
        let Some(accepted) = unless_gone(workspace.machine.bridge().submit_event(&event).await)? else { return Ok(()) };
        let known = acknowledged.lock().await.events.insert((run_id, accepted.seq), accepted.event_id);
        ensure!(known.is_none(), "the place {} was given twice", accepted.seq);

        let question = ApprovalRequest::new(run_id, "ls", "/").with_workspace_id(workspace.workspace_id);
        let asked = unless_gone(workspace.machine.bridge().request_approval(&question).await)?;
        let Some(asked) = asked else { return Ok(()) };
        let verb = if accepted.seq % 2 == 0 { DecisionVerb::Approve } else { DecisionVerb::Deny };
        let decided = workspace.device.approvals().decide_approval(&asked.approval_id, &Decision::new(verb)).await;
        let Some(decided) = unless_gone(decided)? else { return Ok(()) };
        acknowledged.lock().await.verdicts.insert(asked.approval_id, decided.status);
    }
}

/// An answer; `None` once nobody answers any more. A refusal is an error.
fn unless_gone<T>(outcome: flightdeck_sdk::Result<T>) -> Result<Option<T>> {
    match outcome {
        Ok(value) => Ok(Some(value)),
        Err(flightdeck_sdk::Error::Connection { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Compares what is there with what was acknowledged.
async fn check(workspace: &PairedWorkspace, runs: &[Uuid], acknowledged: &Acknowledged) -> Result<()> {
    let mut found = BTreeMap::new();
    for run_id in runs {
        let mut since = 0;
        loop {
            let parameters = ListRunEventsParameters::default().with_since_seq(since).with_limit(1_000);
            let page = workspace.device.runs().list_run_events(run_id, &parameters).await?;
            for event in &page.events {
                since += 1;
                ensure!(event.seq == since, "after {} comes {}", since - 1, event.seq);
                found.insert((*run_id, event.seq), event.event_id);
            }
            if page.events.is_empty() {
                break;
            }
        }
    }
    for (place, event_id) in &acknowledged.events {
        ensure!(
            found.get(place) == Some(event_id),
            "the acknowledged event {event_id} at {place:?} is {:?}",
            found.get(place)
        );
    }
    for (approval_id, verdict) in &acknowledged.verdicts {
        let parameters = WaitForApprovalParameters::default().with_timeout(0);
        let told = workspace.machine.bridge().wait_for_approval(approval_id, &parameters).await?;
        ensure!(told.status == *verdict, "{approval_id} was {verdict} and is {}", told.status);
    }
    Ok(())
}

for_each_database! {
    async fn nothing_acknowledged_is_lost(database) {
        let store = TestDatabase::create(database).await?;
        let acknowledged = Arc::new(Mutex::new(Acknowledged::default()));
        let runs: Vec<_> = (0..WRITERS / 2).map(|_| Uuid::new_v4()).collect();
        let mut server = ServerProcess::on(&store, &[]).await?;
        let paired = PairedWorkspace::pair(&server.client(database)).await?;
        // The first events create the runs, so that there is something to list however early the first kill comes.
        for run_id in &runs {
            let now = Timestamp::from(std::time::SystemTime::now());
            let event = BridgeEvent::new(paired.workspace_id, *run_id, "claude_code", "RUN_STARTED", now);
            let accepted = paired.machine.bridge().submit_event(&event).await?;
            acknowledged.lock().await.events.insert((*run_id, accepted.seq), accepted.event_id);
        }
        for kill in 0..kills() {
            let workspace = connect(&server, database, &paired);
            let writers: Vec<_> = (0..WRITERS)
                .map(|writer| tokio::spawn(write(workspace.clone(), runs[writer % runs.len()], acknowledged.clone())))
                .collect();
            // Another moment each time.
            tokio::time::sleep(Duration::from_millis(150 + kill * 97 % 400)).await;
            server.kill().await?;
            for writer in writers {
                writer.await??;
            }
            let started = Instant::now();
            server = ServerProcess::on(&store, &[]).await.with_context(|| format!("after kill {kill}"))?;
            let back = started.elapsed();
            ensure!(back < Duration::from_secs(5), "it took {back:?} to come back");
            check(&connect(&server, database, &paired), &runs, &*acknowledged.lock().await)
                .await
                .with_context(|| format!("after kill {kill}"))?;
        }
        let acknowledged = acknowledged.lock().await;
        ensure!(acknowledged.events.len() > 50, "only {} events in all, so this proves little", acknowledged.events.len());
        ensure!(!acknowledged.verdicts.is_empty(), "nothing was decided, so this proves little");
    }

    /// The hook waits, the server dies, somebody decides at its successor, and the hook that asks again is told.
    async fn an_approval_outlives_the_server_that_was_asked(database) {
        let store = TestDatabase::create(database).await?;
        let mut server = ServerProcess::on(&store, &[]).await?;
        let paired = PairedWorkspace::pair(&server.client(database)).await?;
        let question = ApprovalRequest::new(Uuid::new_v4(), "cargo publish", "/").with_workspace_id(paired.workspace_id);
        let question = question.with_session_id("session-1").with_tool_use_id("toolu_01");
        let asked = paired.machine.bridge().request_approval(&question).await?;
        let parameters = WaitForApprovalParameters::default().with_timeout(60);
        let waiter = tokio::spawn(paired.machine.bridge().wait_for_approval(&asked.approval_id, &parameters).into_future());
        while paired.device.health().get_server_health().await?.waiting_hooks == 0 {
            tokio::task::yield_now().await;
        }
        server.kill().await?;
        ensure!(waiter.await?.is_err(), "the waiter was told something by a server that is dead");

        let server = ServerProcess::on(&store, &[]).await?;
        let workspace = connect(&server, database, &paired);
        let again = workspace.machine.bridge().request_approval(&question).await?;
        ensure!(again.approval_id == asked.approval_id, "the hook that came back got another approval");
        let waiter = tokio::spawn(workspace.machine.bridge().wait_for_approval(&asked.approval_id, &parameters).into_future());
        let decision = Decision::new(DecisionVerb::Approve).with_note("Go on.");
        workspace.device.approvals().decide_approval(&asked.approval_id, &decision).await?;
        let verdict = waiter.await??;
        ensure!(verdict.status == ApprovalStatus::Approved && verdict.note.as_deref() == Some("Go on."), "{verdict:?}");
    }
}
