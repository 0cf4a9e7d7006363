//! One connection's part in the hub: the channels that it follows, and what it is told of them.
//!
//! Its agent, once it is known, is on those channels also while it is away. When it comes back it gets what is tracked and
//! not acknowledged, before what is new; a client that keeps its own place in a channel gets everything after that place.

mod joining;
mod time;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use flightdeck_api::support::Frame;
use uuid::Uuid;

use super::alarm::{Alarm, monotonic};
use super::deliveries::Deliveries;
use super::followed::{Followed, Verdict};
use super::{Hub, is_tracked};
use crate::log::{Encoding, GapReason, Item, LiveEvent, Reader, ReaderLimits, Subscription};
use crate::store::StoreError;
use crate::store::events::EventRow;

/// Unacknowledged deliveries with which a client is given no more history: it gets on as it acknowledges.
const WINDOW: usize = 1_024;
const WINDOW_BYTES: usize = 1 << 20;

/// How long what is acknowledged stays in memory only, in milliseconds.
const UNSAVED: i64 = 1_000;

/// Before history is read again when the database is away.
const PAUSE: Duration = Duration::from_millis(500);

/// How often that is tried in a row.
const ATTEMPTS: u8 = 60;

/// Who a client is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    pub agent_id: String,
    pub session_id: Option<String>,
    /// Until when it is believed, in Unix milliseconds; `None` is for as long as it stays.
    pub until: Option<i64>,
}

/// What a client is told.
#[derive(Debug)]
pub enum Told {
    /// An event, or one once more.
    Event(Frame),
    /// It asked for history, and has everything up to `seq` now.
    Synced { channel: Arc<str>, seq: i64 },
    /// It asked for history that is not to be had, or its agent missed it.
    Gap { channel: Arc<str>, since: i64, next: i64, reason: GapReason },
}

/// Why a connection must end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The client reads, or acknowledges, more slowly than events come.
    FellBehind,
    /// It is not known any more who the client is.
    Expired,
    /// The database has been away for too long.
    Unavailable,
    /// A fault of the server's own.
    Failed,
}

/// An event as it is put on the wire.
#[derive(Debug, Clone, Copy)]
pub struct Happened<'e> {
    pub id: Uuid,
    pub channel: &'e str,
    pub name: &'e str,
    /// JSON text.
    pub data: &'e str,
    /// Unix milliseconds.
    pub at: i64,
    /// 0 if it is not kept.
    pub seq: i64,
}

/// Puts an event on the wire.
pub type Encode = fn(&Happened<'_>) -> Frame;

/// One connection.
pub struct Client {
    hub: Hub,
    id: String,
    encode: Encode,
    limits: ReaderLimits,
    identity: Option<Identity>,
    reader: Reader,
    /// In the order of their subscriptions.
    followed: Vec<Followed>,
    deliveries: Deliveries<Subscription>,
    /// What was read while something else was waited for.
    items: VecDeque<Item>,
    /// History that has been read and is being told.
    page: Option<(Subscription, std::vec::IntoIter<EventRow>)>,
    /// What is told next.
    told: VecDeque<Told>,
    alarm: Alarm,
    /// When what is not saved has to be.
    save_at: Option<i64>,
    /// When the client last gave a sign of life, by the monotonic clock.
    heard_at: i64,
    /// Whether something was given up since.
    unheard: bool,
    /// Failures in a row to read history.
    failures: u8,
    ended: Option<End>,
}

impl Client {
    /// A connection that follows nothing yet. `limits` are for what waits for it, and for what it does not acknowledge.
    #[must_use]
    pub fn new(hub: Hub, id: String, encode: Encode, limits: ReaderLimits) -> Self {
        hub.0.clients.fetch_add(1, Ordering::Relaxed);
        Self {
            reader: hub.0.log.reader(limits),
            hub,
            id,
            encode,
            limits,
            identity: None,
            // Most follow one channel and no other.
            followed: Vec::with_capacity(1),
            deliveries: Deliveries::new(),
            items: VecDeque::new(),
            page: None,
            told: VecDeque::new(),
            alarm: Alarm::default(),
            save_at: None,
            heard_at: 0,
            unheard: false,
            failures: 0,
            ended: None,
        }
    }

    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Who it is, if that is known.
    #[must_use]
    pub const fn identity(&self) -> Option<&Identity> {
        self.identity.as_ref()
    }

    /// The client has this event.
    pub fn acknowledge(&mut self, id: Uuid) {
        if let Some(delivery) = self.deliveries.acknowledge(id) {
            self.hub.0.pending.fetch_sub(1, Ordering::Relaxed);
            self.changed(delivery.subscription);
        } else if let Some(subscription) = self.followed.iter_mut().find_map(|followed| followed.acknowledge(id)) {
            self.changed(subscription);
        }
    }

    /// What the client is told next. Loses nothing when dropped before it completes.
    ///
    /// # Errors
    /// If the connection must end.
    pub async fn next(&mut self) -> Result<Told, End> {
        loop {
            if let Some(ended) = self.ended {
                return Err(ended);
            }
            if let Some(told) = self.told.pop_front() {
                return Ok(told);
            }
            let goes_on = self.goes_on();
            if goes_on {
                if let Some(told) = self.next_of_page() {
                    return Ok(told);
                }
                if let Some(item) = self.items.pop_front() {
                    if let Some(told) = self.take(item) {
                        return Ok(told);
                    }
                    continue;
                }
            }
            tokio::select! {
                item = self.reader.next(), if goes_on => match item {
                    Ok(item) => {
                        self.failures = 0;
                        if let Some(told) = self.take(item) {
                            return Ok(told);
                        }
                    }
                    // Boxed: there is hardly ever need of its room.
                    Err(error) => Box::pin(self.cannot_read(&error)).await,
                },
                () = self.alarm.ring() => self.on_time(),
            }
        }
    }

    /// Gives back room that was not needed since the last time. Comes now and then.
    pub fn tidy(&mut self) {
        self.reader.tidy();
        self.deliveries.tidy();
    }

    /// The connection is gone.
    pub async fn close(mut self) {
        if let Some(identity) = self.identity.take() {
            self.go(&identity).await;
        }
    }

    /// Waits a little for the database to come back, a limited number of times.
    async fn cannot_read(&mut self, error: &StoreError) {
        tracing::warn!(%error, "could not read a channel's history");
        self.failures += 1;
        self.ended = match error {
            StoreError::Refused(_) => Some(End::Failed),
            _ if self.failures >= ATTEMPTS => Some(End::Unavailable),
            _ => None,
        };
        if self.ended.is_none() {
            tokio::time::sleep(PAUSE).await;
        }
    }

    fn followed(&mut self, subscription: Subscription) -> Option<&mut Followed> {
        let index = self.followed.binary_search_by_key(&subscription, Followed::subscription).ok()?;
        self.followed.get_mut(index)
    }

    /// Whether there is room for more. A client that has a lot to acknowledge gets its history by and by.
    fn goes_on(&self) -> bool {
        let full = self.deliveries.len() >= WINDOW || self.deliveries.bytes() >= WINDOW_BYTES;
        !full || !self.followed.iter().any(Followed::catches_up)
    }

    fn take(&mut self, item: Item) -> Option<Told> {
        match item {
            Item::Live { subscription, event } => self.live(subscription, &event),
            Item::Stored { subscription, events } => {
                self.page = Some((subscription, events.into_iter()));
                None
            }
            Item::Synced { subscription, seq } => {
                let followed = self.followed(subscription)?;
                let told = followed.synced(seq);
                let channel = followed.shared_channel();
                self.changed(subscription);
                told.then_some(Told::Synced { channel, seq })
            }
            Item::Gap { subscription, since, next, reason } => {
                let followed = self.followed(subscription)?;
                let told = followed.gap(next);
                told.then(|| Told::Gap { channel: followed.shared_channel(), since, next, reason })
            }
            Item::FellBehind => {
                self.ended = Some(End::FellBehind);
                None
            }
        }
    }

    fn live(&mut self, subscription: Subscription, event: &LiveEvent) -> Option<Told> {
        let tracked = is_tracked(&event.event.kind);
        let encode = self.encode;
        let followed = self.followed(subscription)?;
        let verdict = followed.comes(event.event.id, event.seq, tracked);
        if verdict == Verdict::Not {
            return None;
        }
        let frame = event.frame(Encoding::Hub, |event| {
            encode(&Happened {
                id: event.event.id,
                channel: event.event.stream.strip_prefix("channels/").unwrap_or_default(),
                name: &event.event.kind,
                data: &event.event.payload,
                at: event.event.created_at,
                seq: event.seq,
            })
        });
        if verdict == Verdict::Tracked {
            self.track(event.event.id, subscription, event.seq, frame.clone());
        }
        Some(Told::Event(frame))
    }

    /// The next event of the page of history that is being told.
    fn next_of_page(&mut self) -> Option<Told> {
        loop {
            let (subscription, rows) = self.page.as_mut()?;
            let (subscription, row) = (*subscription, rows.next());
            let Some(row) = row else {
                self.page = None;
                return None;
            };
            let encode = self.encode;
            let Some(followed) = self.followed(subscription) else {
                self.page = None;
                return None;
            };
            let verdict = followed.comes(row.id, row.seq, is_tracked(&row.kind));
            if verdict == Verdict::Not {
                continue;
            }
            let frame = encode(&Happened {
                id: row.id,
                channel: followed.channel(),
                name: &row.kind,
                data: &row.payload,
                at: row.created_at,
                seq: row.seq,
            });
            if verdict == Verdict::Tracked {
                self.track(row.id, subscription, row.seq, frame.clone());
            }
            return Some(Told::Event(frame));
        }
    }

    fn track(&mut self, id: Uuid, subscription: Subscription, seq: i64, frame: Frame) {
        let clock = &self.hub.0.clock;
        self.deliveries.sent(id, subscription, seq, frame, monotonic(clock));
        self.hub.0.pending.fetch_add(1, Ordering::Relaxed);
        if let Some(due) = self.deliveries.due() {
            self.alarm.set(clock, due);
        }
        if self.deliveries.len() > self.limits.events || self.deliveries.bytes() > self.limits.bytes {
            self.ended = Some(End::FellBehind);
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.hub.0.clients.fetch_sub(1, Ordering::Relaxed);
        self.hub.0.pending.fetch_sub(self.deliveries.len(), Ordering::Relaxed);
        // The task was ended before the connection could be closed.
        if let Some(identity) = self.identity.take() {
            self.save(&identity.agent_id, true);
            self.hub.0.presence.went(&self.id, &identity);
        }
    }
}
