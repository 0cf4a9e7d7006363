//! One connection's part in the hub: the channels that it follows, and what it is told of them.
//!
//! Its agent, once it is known, is on those channels also while it is away. When it comes back it gets what is tracked and
//! not acknowledged, before what is new; a client that keeps its own place in a channel gets everything after that place.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use flightdeck_api::generated::types::HubEventName;
use flightdeck_api::support::{ApiError, Frame};
use uuid::Uuid;

use super::alarm::{Alarm, monotonic};
use super::channel::Channel;
use super::deliveries::{Deliveries, Due};
use super::followed::{Followed, Verdict};
use super::membership::{MOST, Refusal, Seat};
use super::progress::Progress;
use super::{Hub, is_tracked};
use crate::log::{Encoding, GapReason, Item, LiveEvent, Reader, ReaderLimits, Start, Subscription};
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
    /// It asked for history that is not to be had.
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

    /// Follows a channel from now on, or from the event after `since`. Once this returns, nothing that is published on it
    /// is missed.
    ///
    /// # Errors
    /// If it follows too many already, or the database can't be reached.
    pub async fn join(&mut self, channel: &Channel, since: Option<i64>) -> Result<(), Refusal> {
        if let Some(index) = self.index_of(channel.name()) {
            if let Some(since) = since {
                self.begin_anew(index, since);
            }
            return Ok(());
        }
        if self.followed.len() >= MOST {
            return Err(Refusal::TooMany);
        }
        if let Some(identity) = &self.identity {
            let seat = self.hub.add_seat(&identity.agent_id, channel, since).await?;
            match since {
                Some(since) => self.follow_from(channel, since),
                None => self.take_seat(seat),
            }
        } else if let Some(since) = since {
            self.follow_from(channel, since);
        } else {
            self.follow_now(channel).await?;
        }
        if channel.is_metrics() {
            self.tell_metrics().await;
        }
        Ok(())
    }

    /// Leaves a channel, and so does its agent.
    ///
    /// # Errors
    /// If the database can't be reached.
    pub async fn leave(&mut self, channel: &Channel) -> Result<(), ApiError> {
        let Some(index) = self.index_of(channel.name()) else { return Ok(()) };
        if let Some(identity) = &self.identity {
            self.hub.give_up_seat(&identity.agent_id, channel.name()).await?;
        }
        self.unfollow(index);
        Ok(())
    }

    /// The client is an agent: it is back on its channels.
    ///
    /// # Errors
    /// If the database can't be reached; then nothing has changed.
    pub async fn authenticate(&mut self, identity: Identity) -> Result<(), Refusal> {
        let session = identity.session_id.as_deref().and_then(Channel::of_session);
        if self.identity.as_ref().is_some_and(|known| known.agent_id == identity.agent_id) {
            // Nobody came: it only goes on.
            if let Some(session) = session {
                self.join(&session, None).await?;
            }
            self.believe(identity);
            return Ok(());
        }
        let own = Channel::of_agent(&identity.agent_id);
        let formerly_own = self.identity.as_ref().and_then(|known| Channel::of_agent(&known.agent_id));
        // What it follows already becomes the agent's, from where it is.
        let mut wanted: BTreeMap<String, Option<Progress>> = BTreeMap::new();
        for followed in &self.followed {
            if formerly_own.as_ref().is_none_or(|own| own.name() != followed.channel()) {
                let progress = followed.progress(self.deliveries.seqs_of(followed.subscription()));
                wanted.insert(followed.channel().to_owned(), Some(progress));
            }
        }
        for channel in [own, session, Some(Channel::global())].into_iter().flatten() {
            wanted.entry(channel.name().to_owned()).or_default();
        }
        let came = self.hub.presence(HubEventName::AgentConnected, &self.id, &identity);
        let seats = self.hub.seat(&identity.agent_id, wanted, came).await?;
        if let Some(formerly) = self.identity.clone() {
            self.go(&formerly).await;
            if let Some(index) = formerly_own.and_then(|channel| self.index_of(channel.name())) {
                self.unfollow(index);
            }
        }
        self.hub.count_agent(&identity.agent_id);
        self.believe(identity);
        let mut metrics = false;
        for seat in seats {
            metrics |= Channel::metrics().name() == seat.channel && self.index_of(&seat.channel).is_none();
            self.take_seat(seat);
        }
        if metrics {
            self.tell_metrics().await;
        }
        Ok(())
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

    /// The agent that the client was is gone from this connection.
    async fn go(&mut self, identity: &Identity) {
        self.save(&identity.agent_id, true);
        self.hub.discount_agent(&identity.agent_id);
        let went = self.hub.presence(HubEventName::AgentDisconnected, &self.id, identity);
        if let Err(error) = self.hub.append(went).await {
            tracing::warn!(%error, "could not tell that an agent left the hub");
        }
    }

    fn believe(&mut self, identity: Identity) {
        let clock = &self.hub.0.clock;
        if let Some(until) = identity.until {
            self.alarm.set(clock, monotonic(clock) + (until - clock.now()));
        }
        self.identity = Some(identity);
    }

    /// Follows a channel as the agent's seat on it says.
    fn take_seat(&mut self, Seat { channel, progress, last }: Seat) {
        let Some(index) = self.index_of(&channel) else {
            let Some(channel) = Channel::parse(&channel) else { return };
            let subscription = self.reader.follow(&channel.stream(), Start::After(progress.floor().min(last)));
            self.followed.push(Followed::seated(subscription, channel.name(), progress, last));
            return;
        };
        // It is followed from now on already. What the agent lacks from earlier times is told with what comes, in order.
        let followed = &self.followed[index];
        if !followed.is_behind(&progress) {
            return;
        }
        let (former, stream) = (followed.subscription(), crate::log::channel_stream(&channel));
        self.reader.unfollow(former);
        let subscription = self.reader.follow(&stream, Start::After(progress.floor()));
        self.deliveries.rename(former, subscription);
        let followed = self.followed.remove(index).seated_again(subscription, progress);
        self.followed.push(followed);
    }

    /// Follows a channel for a client that keeps its own place.
    fn follow_from(&mut self, channel: &Channel, since: i64) {
        let subscription = self.reader.follow(&channel.stream(), Start::After(since));
        self.followed.push(Followed::by_position(subscription, channel.name(), since));
        self.changed(subscription);
    }

    /// The same where the channel is followed already: the client says what it has, and is believed.
    fn begin_anew(&mut self, index: usize, since: i64) {
        let Some(channel) = Channel::parse(self.followed[index].channel()) else { return };
        self.unfollow(index);
        self.follow_from(&channel, since);
    }

    async fn follow_now(&mut self, channel: &Channel) -> Result<(), ApiError> {
        let subscription = self.reader.follow(&channel.stream(), Start::Now);
        loop {
            match self.reader.next().await {
                Ok(Item::Synced { subscription: synced, seq }) if synced == subscription => {
                    self.followed.push(Followed::live(subscription, channel.name(), seq));
                    return Ok(());
                }
                Ok(item) => self.items.push_back(item),
                Err(error) => {
                    self.reader.unfollow(subscription);
                    return Err(error.into());
                }
            }
        }
    }

    fn unfollow(&mut self, index: usize) {
        let followed = self.followed.remove(index);
        let before = self.deliveries.len();
        self.reader.unfollow(followed.subscription());
        self.deliveries.drop_those_of(followed.subscription());
        self.hub.0.pending.fetch_sub(before - self.deliveries.len(), Ordering::Relaxed);
    }

    fn index_of(&self, channel: &str) -> Option<usize> {
        self.followed.iter().position(|followed| followed.channel() == channel)
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

    async fn tell_metrics(&mut self) {
        match self.hub.latest_metrics().await {
            Ok(event) => {
                let subscription =
                    self.index_of(Channel::metrics().name()).map(|index| self.followed[index].subscription());
                let told = subscription.and_then(|subscription| self.live(subscription, &event));
                self.told.extend(told);
            }
            Err(error) => tracing::warn!(%error, "could not take the hub's figures"),
        }
    }

    /// Does what is due.
    fn on_time(&mut self) {
        let clock = self.hub.0.clock.clone();
        let now = monotonic(&clock);
        let until = self.identity.as_ref().and_then(|identity| identity.until);
        if until.is_some_and(|until| clock.now() >= until) {
            self.ended = Some(End::Expired);
            return;
        }
        while let Some(due) = self.deliveries.next_due(now) {
            match due {
                Due::Again(frame) => {
                    self.hub.0.metrics.hub_delivery("repeated");
                    self.told.push_back(Told::Event(frame));
                }
                Due::Over(delivery) => {
                    self.hub.0.metrics.hub_delivery("given_up");
                    self.hub.0.pending.fetch_sub(1, Ordering::Relaxed);
                    self.changed(delivery.subscription);
                }
            }
        }
        if self.save_at.is_some_and(|at| at <= now)
            && let Some(identity) = self.identity.clone()
        {
            self.save(&identity.agent_id, false);
        }
        let until = until.map(|until| now + (until - clock.now()));
        for at in [self.deliveries.due(), self.save_at, until].into_iter().flatten() {
            self.alarm.set(&clock, at);
        }
    }

    /// How far the agent is with a channel has changed.
    fn changed(&mut self, subscription: Subscription) {
        if self.identity.is_none() {
            return;
        }
        let clock = self.hub.0.clock.clone();
        let Some(followed) = self.followed(subscription) else { return };
        followed.mark_unsaved();
        if self.save_at.is_none() {
            let at = monotonic(&clock) + UNSAVED;
            self.save_at = Some(at);
            self.alarm.set(&clock, at);
        }
    }

    /// Hands over how far the agent is: where that is known to have changed, or where it is not as it was saved.
    fn save(&mut self, agent_id: &str, everything: bool) {
        self.save_at = None;
        let now = self.hub.0.clock.now();
        let deliveries = &self.deliveries;
        let rows = self.followed.iter_mut().filter_map(|followed| {
            let open = deliveries.seqs_of(followed.subscription());
            let progress = followed.progress_to_save(everything, open)?;
            Some(progress.row(agent_id, followed.channel(), now))
        });
        self.hub.0.keeper.put(rows);
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.hub.0.clients.fetch_sub(1, Ordering::Relaxed);
        self.hub.0.pending.fetch_sub(self.deliveries.len(), Ordering::Relaxed);
        // The task was ended before the connection could be closed.
        if let Some(identity) = self.identity.take() {
            self.save(&identity.agent_id, true);
            self.hub.discount_agent(&identity.agent_id);
        }
    }
}
