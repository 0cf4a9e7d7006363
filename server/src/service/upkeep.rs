//! What is done from time to time: forgetting what no longer matters.

use std::sync::Arc;

use flightdeck_api::support::ApiError;

use crate::auth::{Authority, NONCES_KEPT};
use crate::clock::Clock;
use crate::log::{Log, Work};
use crate::store::{idempotency, nonces, pairings};

/// Between two rounds, in milliseconds.
const EVERY: i64 = 60_000;

/// How long an expired pairing is kept, so that a late poll learns that it expired.
const PAIRINGS: i64 = 60 * 60 * 1_000;

/// Works until dropped.
pub async fn run(log: Log, authority: Authority, clock: Arc<dyn Clock>) {
    loop {
        clock.sleep_until(clock.now() + EVERY).await;
        authority.limits().forget_the_quiet();
        let now = clock.now();
        let pruned = log
            .transact(None, move |work: &mut Work<'_>| {
                Box::pin(async move {
                    let connection = work.tx().connection();
                    idempotency::prune(connection, now).await?;
                    pairings::prune(connection, now - PAIRINGS).await?;
                    Ok::<_, ApiError>(())
                })
            })
            .await;
        let pruned = match pruned {
            Ok(()) => prune_nonces(&log, now - NONCES_KEPT).await,
            refused => refused,
        };
        if let Err(error) = pruned {
            tracing::warn!(%error, "could not forget what no longer matters; will try again");
        }
    }
}

async fn prune_nonces(log: &Log, before: i64) -> Result<(), ApiError> {
    loop {
        let more = log
            .transact(None, move |work: &mut Work<'_>| {
                Box::pin(async move { nonces::prune(work.tx().connection(), before).await.map_err(ApiError::from) })
            })
            .await?;
        if !more {
            return Ok(());
        }
    }
}
