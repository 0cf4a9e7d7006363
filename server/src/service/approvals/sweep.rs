//! The ledger's clockwork: ends what is overdue, and labels what nobody waits for.

use std::sync::Arc;

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
    loop {
        let now = clock.now();
        // A verdict given here is told by the log at once. One given through another server, or in the moment between
        // reading a row and putting it on the board, is found here.
        if approvals.board.load().0 > 0 {
            match ledger::ended_since(approvals.store.reader(), now - LOOK_BACK).await {
                Ok(rows) => rows.into_iter().for_each(|row| approvals.board.end(row.id, row.into())),
                Err(error) => tracing::warn!(%error, "could not look for verdicts; will try again"),
            }
        }
        for id in approvals.board.overdue(now) {
            if let Err(error) = approvals.expire(id).await {
                tracing::warn!(approval_id = %id, %error, "could not end an overdue approval; will try again");
            }
        }
        for id in approvals.board.newly_orphaned(now - grace) {
            if let Err(error) = approvals.label(id, Some(now)).await {
                tracing::warn!(approval_id = %id, %error, "could not label an orphaned approval");
            }
        }
        let (pending, waiting) = approvals.board.load();
        metrics.board(pending, waiting);
        clock.sleep_until(clock.now() + EVERY).await;
    }
}
