//! The hub: channels that agents and dashboards follow and publish on.
//!
//! A channel is a stream of the log, so nothing that was published is lost: a client that was away reads on from where it
//! was. What matters most (`task.*`, `subtask.*`, `message.*`) is tracked on top of that, for clients that keep no place of
//! their own: it is sent again until it is acknowledged, also after the client, or the server, was away. [`Client`] is one
//! connection's part in it; [`projection`] tells Flightdeck's own life on the hub, [`bridge`] what other programs say.

mod activity;
mod alarm;
mod bridge;
mod channel;
mod client;
mod deliveries;
mod followed;
mod keeper;
mod membership;
mod metrics;
mod progress;
mod projection;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use flightdeck_api::generated::errors::ErrorCode;
use flightdeck_api::generated::types::HubEventName;
use flightdeck_api::support::ApiError;
use parking_lot::Mutex;
use serde_json::json;

use crate::clock::Clock;
use crate::log::{Append, Appended, LiveEvent, Log};
use crate::metrics::Metrics;
use crate::store::Store;
use crate::store::events::NewEvent;
use keeper::Keeper;

pub use activity::Activity;
pub use bridge::bridge_foreign;
pub use channel::Channel;
pub use client::{Client, Encode, End, Happened, Identity, Told};
pub use keeper::keep_subscriptions;
pub use membership::Refusal;
pub use metrics::tell_metrics;
pub use projection::OnTheHub;

/// How the names of tracked events begin.
const TRACKED: [&str; 3] = ["task.", "subtask.", "message."];

fn is_tracked(event: &str) -> bool {
    TRACKED.iter().any(|prefix| event.starts_with(prefix))
}

/// The hub of this server. Cheap to clone.
#[derive(Clone)]
pub struct Hub(Arc<Parts>);

struct Parts {
    store: Store,
    log: Log,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    activity: Arc<Activity>,
    keeper: Keeper,
    clients: AtomicUsize,
    pending: AtomicUsize,
    /// How many connections each agent has that is here.
    agents: Mutex<HashMap<String, usize>>,
    latest_metrics: tokio::sync::Mutex<Option<Arc<LiveEvent>>>,
}

/// How the hub is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usage {
    /// Connections to this server.
    pub clients: usize,
    /// Subscribers by channel, on this server.
    pub channels: BTreeMap<String, usize>,
    /// Tracked events that wait for an acknowledgement.
    pub pending: usize,
}

impl Hub {
    #[must_use]
    pub fn new(store: Store, log: Log, clock: Arc<dyn Clock>, metrics: Arc<Metrics>, activity: Arc<Activity>) -> Self {
        Self(Arc::new(Parts {
            store,
            log,
            clock,
            metrics,
            activity,
            keeper: Keeper::default(),
            clients: AtomicUsize::new(0),
            pending: AtomicUsize::new(0),
            agents: Mutex::default(),
            latest_metrics: tokio::sync::Mutex::default(),
        }))
    }

    /// Publishes on one channel, and on no other. `data` is JSON text.
    ///
    /// # Errors
    /// `unavailable`.
    pub async fn publish(&self, channel: &Channel, name: HubEventName, data: String) -> Result<(), ApiError> {
        self.append(projection::new_event(channel, name, data, self.0.clock.now())).await
    }

    /// How the hub is used now.
    #[must_use]
    pub fn usage(&self) -> Usage {
        let prefix = crate::log::channel_stream("");
        let followers = self.0.log.followers(&prefix).into_iter();
        Usage {
            clients: self.0.clients.load(Ordering::Relaxed),
            channels: followers.map(|(stream, count)| (stream[prefix.len()..].to_owned(), count)).collect(),
            pending: self.0.pending.load(Ordering::Relaxed),
        }
    }

    async fn append(&self, event: NewEvent) -> Result<(), ApiError> {
        let append = Append { event: Arc::new(event), run: None, claim: None };
        match self.0.log.append(append, None).await? {
            Appended::At { .. } => Ok(()),
            // It belongs to no run, and has no key.
            Appended::ForeignRun | Appended::KeyReused => Err(ErrorCode::Internal.into()),
        }
    }

    /// What tells that an agent came or went.
    fn presence(&self, name: HubEventName, client_id: &str, identity: &Identity) -> NewEvent {
        let Identity { agent_id, session_id, .. } = identity;
        let data = json!({ "agent_id": agent_id, "client_id": client_id, "session_id": session_id });
        projection::new_event(&Channel::global(), name, data.to_string(), self.0.clock.now())
    }

    fn count_agent(&self, agent_id: &str) {
        *self.0.agents.lock().entry(agent_id.to_owned()).or_default() += 1;
    }

    fn discount_agent(&self, agent_id: &str) {
        let mut agents = self.0.agents.lock();
        if let Some(connections) = agents.get_mut(agent_id) {
            *connections -= 1;
            if *connections == 0 {
                agents.remove(agent_id);
            }
        }
    }
}
