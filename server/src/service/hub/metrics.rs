//! The hub's figures, told on `metrics` every few seconds, and at once to whoever subscribes.
//!
//! They are taken only while somebody listens, and are not kept: each is worth nothing once the next has come.

use std::sync::Arc;

use flightdeck_api::generated::types::HubEventName;
use serde::Serialize;

use super::channel::Channel;
use super::{Hub, projection};
use crate::log::LiveEvent;
use crate::store::{StoreError, hub_connections, hub_metrics};

/// Between two looks, in milliseconds.
const EVERY: i64 = 5_000;

const HOUR: i64 = 60 * 60 * 1_000;

/// What dashboards show. The names are the wire's.
#[derive(Debug, Serialize)]
struct Figures {
    /// Runs that run.
    active_sessions: u64,
    /// Agents of the companion that are online, and agents that have authenticated on the hub, on whatever server.
    active_agents: u64,
    /// Runs that wait for an approval.
    pending_tasks: u64,
    /// Runs that run and wait for none.
    running_tasks: u64,
    completed_tasks_last_hour: u64,
    messages_last_hour: u64,
    actions_per_minute: u64,
    avg_task_duration_ms: u64,
    /// Unix milliseconds.
    timestamp: i64,
}

/// Tells the figures until dropped.
pub async fn tell_metrics(hub: Hub) {
    let clock = hub.0.clock.clone();
    let stream = Channel::metrics().stream();
    loop {
        clock.sleep_until(clock.now() + EVERY).await;
        if !hub.0.log.followers(&stream).iter().any(|(followed, _)| *followed == stream) {
            continue;
        }
        let mut latest = hub.0.latest_metrics.lock().await;
        match hub.take_metrics().await {
            Ok(event) => {
                hub.0.log.announce(&stream, || (*event.event).clone());
                *latest = Some(event);
            }
            Err(error) => tracing::warn!(%error, "could not take the hub's figures; will try again"),
        }
    }
}

impl Hub {
    /// The figures as of a few seconds ago at most.
    pub(super) async fn latest_metrics(&self) -> Result<Arc<LiveEvent>, StoreError> {
        // Of many who ask at once, one takes them.
        let mut latest = self.0.latest_metrics.lock().await;
        let now = self.0.clock.now();
        match &*latest {
            Some(event) if now - event.event.created_at < EVERY => Ok(event.clone()),
            _ => Ok(latest.insert(self.take_metrics().await?).clone()),
        }
    }

    async fn take_metrics(&self) -> Result<Arc<LiveEvent>, StoreError> {
        let now = self.0.clock.now();
        let known = hub_metrics::figures(self.0.store.reader(), now - HOUR).await?;
        let connected = hub_connections::agents(self.0.store.reader()).await?;
        self.0.activity.catch_up(self.0.store.reader()).await?;
        let figures = Figures {
            active_sessions: known.running,
            active_agents: known.agents_online + connected,
            pending_tasks: known.waiting,
            running_tasks: known.running.saturating_sub(known.waiting),
            completed_tasks_last_hour: known.finished,
            messages_last_hour: self.0.activity.messages_last_hour(),
            actions_per_minute: self.0.activity.actions_per_minute(),
            avg_task_duration_ms: known.average_duration,
            timestamp: now,
        };
        let data = serde_json::to_string(&figures).unwrap_or_else(|_| unreachable!("numbers become JSON"));
        let event = projection::new_event(&Channel::metrics(), HubEventName::MetricUpdate, data, now);
        Ok(Arc::new(LiveEvent::new(Arc::new(event), 0)))
    }
}
