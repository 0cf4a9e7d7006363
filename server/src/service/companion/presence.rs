//! Whether an agent's machine is there: it is once it opens a socket or gives a sign of life, and no longer when it has
//! been silent for a while.
//!
//! What is known of that is in the database, so it is the same on every server, and a server that starts finds out by
//! itself who went away while there was none.

use std::sync::Arc;

use flightdeck_api::support::ApiError;
use uuid::Uuid;

use super::{Companion, Status};
use crate::clock::Clock;
use crate::log::Work;
use crate::store::agents;

/// A machine that gave no sign of life for so long is away, in milliseconds.
const PATIENCE: i64 = 30_000;

/// Between two looks at who is silent, in milliseconds.
const EVERY: i64 = 5_000;

/// Agents turned offline in one transaction.
const AGENTS: u64 = 500;

impl Companion {
    /// The agent's machine has come; returns the place of the event that tells so, if it was away.
    ///
    /// # Errors
    /// `unavailable`.
    pub async fn arrive(&self, agent_id: Uuid) -> Result<Option<i64>, ApiError> {
        self.sign_of_life(agent_id, None).await
    }

    /// The agent's machine lives.
    ///
    /// # Errors
    /// `unavailable`.
    pub async fn heartbeat(&self, agent_id: Uuid) -> Result<(), ApiError> {
        self.sign_of_life(agent_id, Some(Status::Heartbeat)).await?;
        Ok(())
    }

    async fn sign_of_life(&self, agent_id: Uuid, told: Option<Status>) -> Result<Option<i64>, ApiError> {
        let now = self.now();
        let noted = self.0.log.transact(None, move |work: &mut Work<'_>| {
            Box::pin(async move {
                let came = agents::turn_online(work.tx().connection(), agent_id, now).await?;
                let statuses = came.then_some(Status::Online).into_iter().chain(told);
                let events = statuses.map(|status| status.event(agent_id, now)).collect::<Result<_, _>>()?;
                let placed = work.append(events).await?;
                Ok::<_, ApiError>(placed.first().filter(|_| came).map(|event| event.seq))
            })
        });
        noted.await
    }

    /// Turns agents offline that have been silent for too long.
    async fn notice_the_silent(&self) -> Result<(), ApiError> {
        loop {
            let now = self.now();
            let since = now - PATIENCE;
            // Looked for by a reader: mostly there is none, and nothing to write.
            let silent: Arc<[Uuid]> = agents::silent(self.0.store.reader(), since, AGENTS).await?.into();
            if silent.is_empty() {
                return Ok(());
            }
            let all = (silent.len() as u64) < AGENTS;
            let turned = self.0.log.transact(None, move |work: &mut Work<'_>| {
                let silent = silent.clone();
                Box::pin(async move {
                    let turned = agents::turn_offline(work.tx().connection(), &silent, since, now).await?;
                    let events = turned.iter().map(|agent_id| Status::Offline.event(*agent_id, now));
                    work.append(events.collect::<Result<_, _>>()?).await?;
                    Ok::<_, ApiError>(())
                })
            });
            turned.await?;
            if all {
                return Ok(());
            }
        }
    }
}

/// Looks who is silent until dropped.
pub async fn sweep(companion: Companion, clock: Arc<dyn Clock>) {
    loop {
        clock.sleep_until(clock.now() + EVERY).await;
        if let Err(error) = companion.notice_the_silent().await {
            tracing::warn!(%error, "could not find out which agents are silent; will try again");
        }
    }
}
