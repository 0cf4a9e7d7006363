//! Five thousand hooks wait for five thousand approvals, each on a connection of its own: all are released, each with
//! its own verdict. What that costs in memory is measured by `load`.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use flightdeck_sdk::generated::bridge::WaitForApprovalParameters;
use flightdeck_sdk::types::{
    ApprovalRequest, ApprovalStatus, ApprovalVerdict, DecisionBatch, DecisionItem, DecisionOutcome, DecisionVerb,
};
use flightdeck_tests::descriptors::ensure_sockets;
use flightdeck_tests::{Kind, PairedWorkspace, TestServer, block_on};
use futures_util::future::try_join_all;
use tokio::task::JoinHandle;
use uuid::Uuid;

const WAITERS: usize = 5_000;

/// As many as one request decides; and as many connections as are opened before the server is asked whether it has taken
/// them, because the kernel's queue of connections may be short.
const BATCH: usize = 100;

/// Longer than all of this takes on a slow machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// An approval, and the hook that waits for it.
struct Parked {
    approval_id: Uuid,
    hook: JoinHandle<flightdeck_sdk::Result<ApprovalVerdict>>,
}

/// The verdict that belongs to an approval, and to no other.
fn decision(index: usize, approval_id: Uuid) -> DecisionItem {
    let verb = if index.is_multiple_of(3) { DecisionVerb::Deny } else { DecisionVerb::Approve };
    DecisionItem::new(approval_id, verb).with_note(format!("number {index}"))
}

/// Asks so many times, and lets a hook wait for each. Returns once the server says that all of them wait.
async fn park(workspace: &PairedWorkspace, run_id: Uuid, parked: &mut Vec<Parked>) -> Result<()> {
    let bridge = workspace.machine.bridge();
    let asked = (0..BATCH).map(|_| async {
        let question = ApprovalRequest::new(run_id, "ls", "/").with_workspace_id(workspace.workspace_id);
        anyhow::Ok(bridge.request_approval(&question).await?.approval_id)
    });
    // The server's clock stands still, so that nothing but the decision ends a wait.
    let parameters = WaitForApprovalParameters::default().with_timeout(600);
    for approval_id in try_join_all(asked).await? {
        let hook = tokio::spawn(bridge.wait_for_approval(&approval_id, &parameters).into_future());
        parked.push(Parked { approval_id, hook });
    }
    let deadline = Instant::now() + PATIENCE;
    loop {
        let waiting = workspace.device.health().get_server_health().await?.waiting_hooks;
        if waiting == parked.len() as u64 {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "{waiting} of {} hooks wait", parked.len());
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[test]
fn five_thousand_waiters_get_their_own_verdicts() {
    block_on(async {
        // Both ends are in this process.
        ensure_sockets(2 * WAITERS as u64)?;
        let server = TestServer::start(Kind::Sqlite).await?;
        let workspace = server.pair().await?;
        let run_id = Uuid::new_v4();
        let mut parked = Vec::with_capacity(WAITERS);
        while parked.len() < WAITERS {
            park(&workspace, run_id, &mut parked).await?;
        }

        let items: Vec<_> = parked.iter().enumerate().map(|(index, one)| decision(index, one.approval_id)).collect();
        for batch in items.chunks(BATCH) {
            let outcomes = workspace.device.approvals().decide_approvals(&DecisionBatch::new(batch.to_vec())).await?;
            let accepted = |outcome: &DecisionOutcome| matches!(outcome, DecisionOutcome::Accepted(_));
            ensure!(outcomes.outcomes.iter().all(accepted), "some were refused: {outcomes:?}");
        }
        for (index, one) in parked.into_iter().enumerate() {
            let verdict = tokio::time::timeout(PATIENCE, one.hook).await;
            let verdict = verdict.with_context(|| format!("waiter {index} was not released"))???;
            let wanted = decision(index, one.approval_id);
            let denied = verdict.status == ApprovalStatus::Denied;
            ensure!(denied == (wanted.decision == DecisionVerb::Deny), "waiter {index} was told {verdict:?}");
            ensure!(verdict.approval_id == one.approval_id, "waiter {index} was told of {}", verdict.approval_id);
            ensure!(verdict.note == wanted.note, "waiter {index} got the note {:?}", verdict.note);
        }
        let left = workspace.device.health().get_server_health().await?;
        ensure!(left.pending_approvals == 0 && left.waiting_hooks == 0, "something is left over: {left:?}");
        Ok(())
    });
}
