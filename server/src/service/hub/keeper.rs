//! Writes down how far agents are, many at once: what clients acknowledge within about a second costs one statement.
//!
//! A crash loses that second: an agent then gets again what it had acknowledged, and loses nothing.

use std::collections::HashMap;

use flightdeck_api::support::ApiError;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::Hub;
use crate::log::Work;
use crate::store::hub_subscriptions::{self, HubSubscriptionRow};

/// Forgotten when the agent has not been seen for so long, in milliseconds.
const KEPT: i64 = 90 * 24 * 60 * 60 * 1_000;

/// Between two looks at what can be forgotten, in milliseconds.
const EVERY: i64 = 60 * 60 * 1_000;

/// Before another attempt when the database is away.
const PAUSE: std::time::Duration = std::time::Duration::from_secs(1);

/// What is to be written down, by agent and channel.
#[derive(Debug, Default)]
pub(super) struct Keeper {
    unsaved: Mutex<HashMap<String, HashMap<String, HubSubscriptionRow>>>,
    something: Notify,
}

impl Keeper {
    /// Hands something over; it replaces what was known before.
    pub(super) fn put(&self, rows: impl IntoIterator<Item = HubSubscriptionRow>) {
        let mut unsaved = self.unsaved.lock();
        for row in rows {
            unsaved.entry(row.agent_id.clone()).or_default().insert(row.channel.clone(), row);
        }
        let something = !unsaved.is_empty();
        drop(unsaved);
        if something {
            self.something.notify_one();
        }
    }

    /// Takes back what could not be written, unless more is known meanwhile.
    pub(super) fn put_back(&self, rows: Vec<HubSubscriptionRow>) {
        let mut unsaved = self.unsaved.lock();
        for row in rows {
            unsaved.entry(row.agent_id.clone()).or_default().entry(row.channel.clone()).or_insert(row);
        }
    }

    /// Takes what is to be written of one agent.
    pub(super) fn take_of(&self, agent_id: &str) -> Vec<HubSubscriptionRow> {
        self.unsaved.lock().remove(agent_id).map_or_else(Vec::new, |rows| rows.into_values().collect())
    }

    fn take(&self) -> Vec<HubSubscriptionRow> {
        let unsaved = std::mem::take(&mut *self.unsaved.lock());
        unsaved.into_values().flat_map(HashMap::into_values).collect()
    }
}

impl Hub {
    /// Writes down everything that is to be.
    ///
    /// # Errors
    /// If the database can't be reached; it is kept then.
    pub async fn save(&self) -> Result<(), ApiError> {
        let rows = self.0.keeper.take();
        if rows.is_empty() {
            return Ok(());
        }
        let saved: std::sync::Arc<[_]> = rows.into();
        let rows = saved.clone();
        let written = self.0.log.transact(None, move |work: &mut Work<'_>| {
            let rows = rows.clone();
            Box::pin(
                async move { hub_subscriptions::save(work.tx().connection(), &rows).await.map_err(ApiError::from) },
            )
        });
        written.await.inspect_err(|_| self.0.keeper.put_back(saved.to_vec()))
    }

    async fn forget_the_gone(&self) -> Result<(), ApiError> {
        let before = self.0.clock.now() - KEPT;
        let forgotten = self.0.log.transact(None, move |work: &mut Work<'_>| {
            Box::pin(
                async move { hub_subscriptions::prune(work.tx().connection(), before).await.map_err(ApiError::from) },
            )
        });
        forgotten.await
    }
}

/// Writes down what is handed over, and forgets who does not come back, until dropped.
pub async fn keep_subscriptions(hub: Hub) {
    let clock = hub.0.clock.clone();
    let mut next_look = clock.now() + EVERY;
    loop {
        tokio::select! {
            () = hub.0.keeper.something.notified() => {
                if let Err(error) = hub.save().await {
                    tracing::warn!(%error, "could not write down what agents acknowledged; will try again");
                    tokio::time::sleep(PAUSE).await;
                    hub.0.keeper.something.notify_one();
                }
            }
            () = clock.sleep_until(next_look) => {
                next_look = clock.now() + EVERY;
                if let Err(error) = hub.forget_the_gone().await {
                    tracing::warn!(%error, "could not forget agents that are gone; will try again");
                }
                if let Err(error) = hub.forget_the_unused().await {
                    tracing::warn!(%error, "could not forget channels that nobody uses; will try again");
                }
            }
        }
    }
}
