//! The ledger's clockwork: ends what is overdue, and labels what nobody waits for.

use std::sync::Arc;

use flightdeck_api::support::ApiError;
use futures_util::future::join_all;
use uuid::Uuid;

use super::Approvals;
use crate::clock::Clock;
use crate::metrics::Metrics;
use crate::store::approvals as ledger;

/// Between two rounds, in milliseconds: an approval expires at most this late.
const EVERY: i64 = 500;

/// How far back to look for what ended elsewhere, in milliseconds: servers' clocks differ, and a commit takes a while.
const LOOK_BACK: i64 = 10_000;

/// Works until dropped. `grace` is how long, in milliseconds, a hook may be away before its approval is an orphan.
pub async fn sweep(approvals: Approvals, clock: Arc<dyn Clock>, metrics: Arc<Metrics>, grace: i64) {
    let mut looked_at = clock.now();
    loop {
        let now = clock.now();
        // A verdict given here is told by the log at once. One given through another server, or in the moment between
        // reading a row and putting it on the board, is found here.
        if approvals.board.load().0 == 0 {
            looked_at = now;
        } else {
            match ledger::ended_since(approvals.store.reader(), looked_at - LOOK_BACK).await {
                Ok(rows) => {
                    looked_at = now;
                    rows.into_iter().for_each(|row| approvals.board.end(row.id, row.into()));
                }
                Err(error) => tracing::warn!(%error, "could not look for verdicts; will try again"),
            }
        }
        match ledger::overdue(approvals.store.reader(), now).await {
            // Together, so that they share a commit.
            Ok(overdue) => {
                join_all(overdue.into_iter().map(|id| tried(id, approvals.expire(id)))).await;
            }
            Err(error) => tracing::warn!(%error, "could not look for overdue approvals; will try again"),
        }
        let orphaned = approvals.board.newly_orphaned(now - grace);
        join_all(orphaned.into_iter().map(|id| tried(id, approvals.label(id, Some(now))))).await;
        let (pending, waiting) = approvals.board.load();
        metrics.board(pending, waiting);
        clock.sleep_until(clock.now() + EVERY).await;
    }
}

async fn tried(id: Uuid, step: impl Future<Output = Result<(), ApiError>>) {
    if let Err(error) = step.await {
        tracing::warn!(approval_id = %id, %error, "could not move an approval on");
    }
}
