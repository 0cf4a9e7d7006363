//! The live end of the streams that somebody follows.
//!
//! A tail hands each new event to its followers, in order and without holes: what this process commits comes from the
//! writer, what other servers commit comes over the bus, and a hole between them is filled from the database. It remembers
//! the last few events, so that a reader that comes from history finds a seam without a gap.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use dashmap::DashMap;
use parking_lot::Mutex;
use slab::Slab;
use tokio::sync::{Semaphore, watch};

use super::Committed;
use super::inbox::Inbox;
use super::live::LiveEvent;
use crate::store::events::{self, NewEvent, PageLimits};
use crate::store::{Store, StoreError, streams};

/// What a tail remembers for readers that come from history.
const REMEMBERED_EVENTS: usize = 256;
const REMEMBERED_BYTES: usize = 256 << 10;

/// What is read at once to fill a hole.
const PAGE: PageLimits = PageLimits { events: 500, bytes: 1 << 20 };

/// Tails that read at once: thousands would leave no connection for anybody else.
const AT_ONCE: usize = 3;

/// Before a hole is looked at again, when the database is away.
const PAUSE: Duration = Duration::from_millis(500);

/// The tails of this process.
#[derive(Debug)]
pub(super) struct Tails {
    store: Store,
    tails: DashMap<Arc<str>, Arc<Tail>>,
    /// Held while a tail reads.
    turns: Semaphore,
}

/// The end of one stream.
#[derive(Debug)]
pub(super) struct Tail {
    stream: Arc<str>,
    state: Mutex<State>,
    /// Counts what happened, for those who only want to know that something did.
    moved: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct State {
    /// The last event handed to followers; unknown until the first comes, or the first follower.
    head: Option<i64>,
    /// The last event that is known to exist.
    known: i64,
    recent: VecDeque<Arc<LiveEvent>>,
    bytes: usize,
    followers: Slab<Follower>,
    /// There may be more than is known.
    doubtful: bool,
    filling: bool,
}

#[derive(Debug)]
struct Follower {
    inbox: Arc<Inbox>,
    subscription: u64,
    /// It has everything up to here.
    has: i64,
}

impl Tails {
    pub(super) fn new(store: Store) -> Self {
        Self { store, tails: DashMap::new(), turns: Semaphore::new(AT_ONCE) }
    }

    /// Whether somebody follows one of these events' streams.
    pub(super) fn concerns(&self, events: &[Committed]) -> bool {
        !self.tails.is_empty() && events.iter().any(|event| self.tails.contains_key(event.event.stream.as_str()))
    }

    /// Whether somebody follows this stream.
    pub(super) fn is_followed(&self, stream: &str) -> bool {
        self.tails.contains_key(stream)
    }

    /// The tail of a stream, which begins with the next event if it is new.
    pub(super) fn tail(&self, stream: &str) -> Arc<Tail> {
        if let Some(tail) = self.tails.get(stream) {
            return tail.clone();
        }
        let stream: Arc<str> = stream.into();
        self.tails.entry(stream.clone()).or_insert_with(|| Arc::new(Tail::new(stream))).clone()
    }

    /// Lets go of a tail, and forgets it if nobody else holds it.
    pub(super) fn release(&self, tail: Arc<Tail>) {
        let stream = tail.stream.clone();
        drop(tail);
        // Checked under the entry's lock, so a follower that comes at this moment keeps it.
        self.tails.remove_if(&stream, |_, tail| Arc::strong_count(tail) == 1);
    }

    /// Hands over what has been committed. Events of one stream that come together must be in order.
    pub(super) fn deliver(self: &Arc<Self>, events: &[Committed]) {
        let mut rest = events;
        while let Some(first) = rest.first() {
            let stream = first.event.stream.as_str();
            let together = rest.iter().take_while(|event| event.event.stream == stream).count();
            let (batch, later) = rest.split_at(together);
            rest = later;
            let holed = match self.tails.get(stream) {
                Some(tail) => tail.offer(batch).then(|| tail.clone()),
                None => None,
            };
            if let Some(tail) = holed {
                self.fill(tail);
            }
        }
    }

    /// Another server has appended up to `seq`.
    pub(super) fn hint(self: &Arc<Self>, stream: &str, seq: i64) {
        let behind = self.tails.get(stream).and_then(|tail| tail.hint(seq).then(|| tail.clone()));
        if let Some(tail) = behind {
            self.fill(tail);
        }
    }

    /// Something may have been missed: every tail looks into the database.
    pub(super) fn catch_up(self: &Arc<Self>) {
        let doubtful = self.tails.iter().filter(|tail| tail.doubt());
        // Each by itself: one that can't be read keeps none of the others waiting.
        doubtful.for_each(|tail| self.fill(tail.clone()));
    }

    /// A reader has joined where something is missing.
    pub(super) fn mend(self: &Arc<Self>, tail: &Arc<Tail>) {
        if tail.is_behind() {
            self.fill(tail.clone());
        }
    }

    /// Sends an event that is not kept to the followers of its stream.
    pub(super) fn announce(&self, event: NewEvent) {
        if let Some(tail) = self.tails.get(event.stream.as_str()) {
            tail.announce(&Arc::new(LiveEvent::new(Arc::new(event), 0)));
        }
    }

    /// How many follow each stream whose name begins with `prefix`.
    pub(super) fn followers(&self, prefix: &str) -> Vec<(String, usize)> {
        let tails = self.tails.iter().filter(|tail| tail.key().starts_with(prefix));
        let counted = tails.map(|tail| (tail.key().to_string(), tail.state.lock().followers.len()));
        counted.filter(|(_, followers)| *followers > 0).collect()
    }

    /// Fills the hole between what the followers have and what there is.
    fn fill(self: &Arc<Self>, tail: Arc<Tail>) {
        tokio::spawn(self.clone().fill_now(tail));
    }

    async fn fill_now(self: Arc<Self>, tail: Arc<Tail>) {
        while let Some(hole) = tail.begin_to_fill() {
            let page = self.page(&tail.stream, hole.head).await;
            if let Err(error) = &page {
                tracing::debug!(stream = %tail.stream, %error, "could not read a stream's new events; will try again");
                tokio::time::sleep(PAUSE).await;
            }
            tail.filled(hole, page.ok());
        }
        self.release(tail);
    }

    async fn page(&self, stream: &str, head: i64) -> Result<Vec<Committed>, StoreError> {
        let _turn = self.turns.acquire().await;
        let reader = self.store.reader();
        let Some(row) = streams::find(reader, stream).await? else { return Ok(Vec::new()) };
        let rows = events::page(reader, row.id, head, PAGE).await?;
        Ok(rows.into_iter().map(|row| Committed { seq: row.seq, event: Arc::new(row.into_event(stream)) }).collect())
    }
}

#[cfg(test)]
impl Tails {
    pub(super) fn len(&self) -> usize {
        self.tails.len()
    }
}

/// What a tail lacks.
#[derive(Debug, Clone, Copy)]
struct Hole {
    head: i64,
    known: i64,
}

/// A follower's place in its tail.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place(usize);

impl Tail {
    fn new(stream: Arc<str>) -> Self {
        Self { stream, state: Mutex::default(), moved: watch::Sender::new(0) }
    }

    pub(super) fn stream(&self) -> &Arc<str> {
        &self.stream
    }

    /// Completes its receiver's `changed` at every event.
    pub(super) fn watch(&self) -> watch::Receiver<u64> {
        self.moved.subscribe()
    }

    /// Joins a reader that has everything up to `has`. `None`: there is more that it must read from the database first.
    pub(super) fn attach(&self, inbox: &Arc<Inbox>, subscription: u64, has: i64) -> Option<Place> {
        let mut state = self.state.lock();
        let head = *state.head.get_or_insert(has);
        if has < head {
            let first = state.recent.front().map_or(head + 1, |event| event.seq);
            if first > has + 1 {
                return None;
            }
            inbox.put(subscription, state.recent.iter().filter(|event| event.seq > has));
        }
        let place = state.followers.insert(Follower { inbox: inbox.clone(), subscription, has: has.max(head) });
        Some(Place(place))
    }

    /// Joins a reader that wants what comes from now on, if it is known where now is.
    pub(super) fn attach_now(&self, inbox: &Arc<Inbox>, subscription: u64) -> Option<(Place, i64)> {
        let mut state = self.state.lock();
        let head = state.head.filter(|head| state.known <= *head && !state.doubtful)?;
        let place = state.followers.insert(Follower { inbox: inbox.clone(), subscription, has: head });
        Some((Place(place), head))
    }

    pub(super) fn detach(&self, place: Place) {
        self.state.lock().followers.try_remove(place.0);
    }

    /// Takes in events of one stream, in order. True if there is a hole before them.
    fn offer(&self, events: &[Committed]) -> bool {
        let mut state = self.state.lock();
        let holed = state.take_in(events, false);
        drop(state);
        self.move_on();
        holed
    }

    fn hint(&self, seq: i64) -> bool {
        let mut state = self.state.lock();
        state.known = state.known.max(seq);
        let behind = state.head.is_some_and(|head| head < state.known);
        drop(state);
        self.move_on();
        behind
    }

    /// Nothing is certain; true if there is something to look for.
    fn doubt(&self) -> bool {
        let mut state = self.state.lock();
        state.doubtful = true;
        let begun = state.head.is_some();
        drop(state);
        self.move_on();
        begun
    }

    fn announce(&self, event: &Arc<LiveEvent>) {
        let state = self.state.lock();
        for (_, follower) in &state.followers {
            follower.inbox.put(follower.subscription, std::iter::once(event));
        }
        drop(state);
        self.move_on();
    }

    fn is_behind(&self) -> bool {
        let state = self.state.lock();
        state.head.is_some_and(|head| head < state.known || state.doubtful) && !state.filling
    }

    /// What is to be read, if something is, somebody waits for it, and nobody reads it yet.
    fn begin_to_fill(&self) -> Option<Hole> {
        let mut state = self.state.lock();
        let (head, known) = (state.head?, state.known);
        if state.followers.is_empty() {
            // The next one to join begins with what it has read itself.
            state.forget();
            return None;
        }
        if state.filling || (head >= known && !state.doubtful) {
            return None;
        }
        state.filling = true;
        state.doubtful = false;
        Some(Hole { head, known })
    }

    /// Takes in what was read; `None` if it could not be.
    fn filled(&self, hole: Hole, page: Option<Vec<Committed>>) {
        let mut state = self.state.lock();
        state.filling = false;
        match page {
            Some(page) if page.is_empty() => {
                // There is no more: what was hinted at never came to be, or is trimmed. A later hint stands.
                if state.known == hole.known {
                    state.known = state.head.unwrap_or_default();
                }
            }
            Some(page) => {
                state.take_in(&page, true);
                // A page may be cut short; the next look finds out.
                state.doubtful = true;
            }
            None => state.doubtful = true,
        }
        drop(state);
        self.move_on();
    }

    fn move_on(&self) {
        self.moved.send_modify(|count| *count = count.wrapping_add(1));
    }
}

impl State {
    /// Nobody listens: what was handed on is not known any more. What is known to exist stays, for whoever joins next.
    fn forget(&mut self) {
        self.known = self.known.max(self.head.take().unwrap_or_default());
        self.recent.clear();
        self.bytes = 0;
    }

    /// Takes in events in order; true if there is a hole before them. There is none in what comes from the database: what
    /// is missing there has been trimmed.
    fn take_in(&mut self, events: &[Committed], from_database: bool) -> bool {
        let Some(last) = events.last() else { return false };
        self.known = self.known.max(last.seq);
        let head = *self.head.get_or_insert(events[0].seq - 1);
        let new = &events[events.partition_point(|event| event.seq <= head)..];
        let Some(first) = new.first() else { return false };
        if first.seq != head + 1 {
            if !from_database {
                return true;
            }
            self.recent.clear();
            self.bytes = 0;
        }
        let begin = self.recent.len();
        for event in new {
            let event = Arc::new(LiveEvent::new(event.event.clone(), event.seq));
            self.bytes += event.size();
            self.recent.push_back(event);
        }
        self.head = Some(last.seq);
        for (_, follower) in &self.followers {
            let has = follower.has;
            follower.inbox.put(follower.subscription, self.recent.range(begin..).filter(|event| event.seq > has));
        }
        while self.recent.len() > REMEMBERED_EVENTS || self.bytes > REMEMBERED_BYTES {
            let Some(oldest) = self.recent.pop_front() else { break };
            self.bytes -= oldest.size();
        }
        false
    }
}
