//! The hub: channels that agents and dashboards follow and publish on.
//!
//! A channel is a stream of the log, so nothing that was published is lost: a client that was away reads on from where it
//! was. What matters most (`task.*`, `subtask.*`, `message.*`) is tracked on top of that, for clients that keep no place of
//! their own: it is sent again until it is acknowledged, also after the client, or the server, was away. [`Client`] is one
//! connection's part in it; `projection` tells Flightdeck's own life on the hub, `bridge` what other programs say.

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
mod presence;
mod progress;
mod projection;
mod standby;
mod unused;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use flightdeck_api::generated::errors::ErrorCode;
use flightdeck_api::generated::types::HubEventName;
use flightdeck_api::support::ApiError;
use parking_lot::Mutex;

use crate::clock::Clock;
use crate::log::{Append, Appended, LiveEvent, Log, WriteError};
use crate::metrics::Metrics;
use crate::store::events::NewEvent;
use crate::store::{Store, StoreError};
use keeper::Keeper;
use presence::Presence;

pub use activity::Activity;
pub use bridge::bridge_foreign;
pub use channel::Channel;
pub use client::{Client, Encode, End, Happened, Identity, Told};
pub use keeper::keep_subscriptions;
pub use membership::Refusal;
pub use metrics::tell_metrics;
pub use presence::keep_presence;
pub use projection::OnTheHub;

/// How the names of tracked events begin.
const TRACKED: [&str; 3] = ["task.", "subtask.", "message."];

/// How long a count of channels is good for those who may not see their names, in milliseconds.
const COUNTED_EVERY: i64 = 1_000;

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
    presence: Presence,
    latest_metrics: tokio::sync::Mutex<Option<Arc<LiveEvent>>>,
    /// When the channels were last counted, and how many there were.
    counted: Mutex<Option<(i64, usize)>>,
}

/// How the hub is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usage {
    /// Connections to this server.
    pub clients: usize,
    /// Channels that somebody follows on this server.
    pub active: usize,
    /// Their subscribers, if the names are asked for.
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
            presence: Presence::new(),
            latest_metrics: tokio::sync::Mutex::default(),
            counted: Mutex::default(),
        }))
    }

    /// Publishes on one channel, and on no other. `data` is JSON text.
    ///
    /// # Errors
    /// `unavailable`.
    pub async fn publish(&self, channel: &Channel, name: HubEventName, data: String) -> Result<(), ApiError> {
        self.append(projection::new_event(channel, name, data, self.0.clock.now())).await
    }

    /// How the hub is used now. Without names it costs next to nothing, however often anybody asks: channels are then
    /// counted once in `COUNTED_EVERY`.
    #[must_use]
    pub fn usage(&self, names: bool) -> Usage {
        let mut channels = BTreeMap::new();
        let active = if names {
            let prefix = crate::log::channel_stream("");
            let followers = self.0.log.followers(&prefix).into_iter();
            channels.extend(followers.map(|(stream, count)| (stream[prefix.len()..].to_owned(), count)));
            channels.len()
        } else {
            self.count_channels()
        };
        Usage {
            clients: self.0.clients.load(Ordering::Relaxed),
            active,
            channels,
            pending: self.0.pending.load(Ordering::Relaxed),
        }
    }

    fn count_channels(&self) -> usize {
        let now = self.0.clock.now();
        let mut counted = self.0.counted.lock();
        match *counted {
            Some((at, count)) if (at..at + COUNTED_EVERY).contains(&now) => count,
            _ => {
                let count = self.0.log.followers(&crate::log::channel_stream("")).len();
                *counted = Some((now, count));
                count
            }
        }
    }

    async fn append(&self, event: NewEvent) -> Result<(), ApiError> {
        let append = Append { event: Arc::new(event), run: None, claim: None };
        let appended = match self.0.log.append(append.clone(), None).await {
            // Another server was in the way.
            Err(WriteError::Store(cause)) if matches!(*cause, StoreError::Conflict(_)) => {
                self.0.log.append(append, None).await
            }
            appended => appended,
        };
        match appended? {
            Appended::At { .. } => Ok(()),
            // It belongs to no run, and has no key.
            Appended::ForeignRun | Appended::KeyReused => Err(ErrorCode::Internal.into()),
        }
    }
}
