//! Following streams: what is stored, then a mark, then what happens, each event once and in order.
//!
//! A reader reads history from the database a page at a time, and joins the live tail at the moment when it has
//! everything: what it has read decides from where it listens, so the seam has neither gap nor double, whatever is
//! committed meanwhile. While it reads history of one stream, live events of the others go on.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::FutureExt;
use slab::Slab;
use tokio::task::JoinError;
use tokio_util::task::AbortOnDropHandle;

use super::inbox::{Delivery, Found, Inbox, ReaderLimits};
use super::live::LiveEvent;
use super::tail::{Place, Tail, Tails};
use crate::store::events::{self, EventRow, PageLimits};
use crate::store::streams;
use crate::store::{Store, StoreError};

/// One page of history.
const PAGE: PageLimits = PageLimits { events: 1_000, bytes: 256 << 10 };

/// Where to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// With what happens from now on.
    Now,
    /// With the event after this one; 0 for the first.
    After(i64),
}

/// One followed stream of a reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Subscription(u64);

/// Why events are missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GapReason {
    /// History is kept for a limited time.
    Trimmed,
    /// The position is beyond the end: it is of another log.
    Ahead,
}

/// What a reader finds.
#[derive(Debug)]
pub enum Item {
    /// The events after `since` up to `next` are not to be had. Comes before the events that follow it.
    Gap { subscription: Subscription, since: i64, next: i64, reason: GapReason },
    /// A page of history.
    Stored { subscription: Subscription, events: Vec<EventRow> },
    /// Everything up to `seq` has been given; what comes now is live. Once for each subscription.
    Synced { subscription: Subscription, seq: i64 },
    /// A new event.
    Live { subscription: Subscription, event: Arc<LiveEvent> },
    /// More came than may wait. Nothing more will come: begin anew from the last position.
    FellBehind,
}

/// Follows any number of streams.
pub struct Reader {
    store: Store,
    tails: Arc<Tails>,
    inbox: Arc<Inbox>,
    followed: Slab<Followed>,
    /// Counts subscriptions, so that what was meant for an earlier one in the same place is known as such.
    generation: u32,
    /// Those that read history, next one first.
    reading: VecDeque<Subscription>,
    /// A task of its own: it has a connection of the pool, and must not keep it for as long as nobody polls the reader. Those
    /// who do may wait for a client to read, or for a connection.
    page: Option<AbortOnDropHandle<(Subscription, Result<Page, StoreError>)>>,
    /// What was found together with something that had to be told first.
    ready: VecDeque<Item>,
    live_next: bool,
}

struct Followed {
    generation: u32,
    /// Present until dropped.
    tail: Option<Arc<Tail>>,
    stream_id: Option<i64>,
    state: State,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Begins(Start),
    Reads { has: i64 },
    Listens { has: i64, place: Place },
}

/// What one look into the database gave.
struct Page {
    /// Id, beginning and end of the stream, where it was looked up.
    stream: Option<(i64, i64, i64)>,
    events: Vec<EventRow>,
}

impl Reader {
    pub(super) fn new(store: Store, tails: Arc<Tails>, limits: ReaderLimits) -> Self {
        Self {
            store,
            tails,
            inbox: Arc::new(Inbox::new(limits)),
            followed: Slab::new(),
            generation: 0,
            reading: VecDeque::new(),
            page: None,
            ready: VecDeque::new(),
            live_next: false,
        }
    }

    /// Begins to follow a stream, whether or not it exists yet.
    pub fn follow(&mut self, stream: &str, from: Start) -> Subscription {
        self.generation = self.generation.wrapping_add(1);
        let generation = self.generation;
        // The tail comes before the first look into the database: what is committed after that look is not missed.
        let tail = self.tails.tail(stream);
        let entry = self.followed.vacant_entry();
        let subscription = Subscription(u64::from(generation) << 32 | entry.key() as u64);
        // Where others follow, the end is known, and there is nothing to look up.
        let joined = (from == Start::Now).then(|| tail.attach_now(&self.inbox, subscription.0)).flatten();
        let state = match joined {
            Some((place, has)) => {
                self.ready.push_back(Item::Synced { subscription, seq: has });
                State::Listens { has, place }
            }
            None => {
                self.reading.push_back(subscription);
                State::Begins(from)
            }
        };
        entry.insert(Followed { generation, tail: Some(tail), stream_id: None, state });
        subscription
    }

    /// Stops following; nothing of it comes afterwards.
    pub fn unfollow(&mut self, subscription: Subscription) {
        if self.get(subscription).is_some() {
            let mut followed = self.followed.remove(subscription.key());
            followed.let_go(&self.tails);
            self.reading.retain(|other| *other != subscription);
            self.ready.retain(|item| item.subscription() != Some(subscription));
        }
    }

    /// How many streams it follows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.followed.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.followed.is_empty()
    }

    /// Gives back room that was not needed since the last time. Comes now and then.
    pub fn tidy(&self) {
        self.inbox.tidy();
    }

    /// Waits for the next item. Loses nothing when dropped before it completes.
    ///
    /// # Errors
    /// If history can't be read. Calling again tries again.
    pub async fn next(&mut self) -> Result<Item, StoreError> {
        poll_fn(|context| self.poll_next(context)).await
    }

    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Result<Item, StoreError>> {
        loop {
            if let Some(item) = self.ready.pop_front() {
                return Poll::Ready(Ok(item));
            }
            // History and live events take turns, so that neither waits for the end of the other.
            self.live_next = !self.live_next;
            if self.live_next
                && let Some(found) = self.look()
            {
                return Poll::Ready(Ok(found));
            }
            if let Poll::Ready(read) = self.poll_page(context) {
                match read {
                    Ok(()) => continue,
                    Err(error) => return Poll::Ready(Err(error)),
                }
            }
            if let Some(found) = self.look() {
                return Poll::Ready(Ok(found));
            }
            self.inbox.register(context.waker());
            if let Some(found) = self.look() {
                return Poll::Ready(Ok(found));
            }
            return Poll::Pending;
        }
    }

    /// The next live item, if there is one.
    fn look(&mut self) -> Option<Item> {
        loop {
            let delivery = match self.inbox.take() {
                Found::Nothing => return None,
                Found::Overflow => return Some(Item::FellBehind),
                Found::Delivery(delivery) => delivery,
            };
            if let Some(item) = self.accept(delivery) {
                return Some(item);
            }
        }
    }

    fn accept(&mut self, delivery: Delivery) -> Option<Item> {
        let Delivery { subscription, event } = delivery;
        let subscription = Subscription(subscription);
        let followed = self.get(subscription)?;
        let State::Listens { has, .. } = &mut followed.state else { return None };
        let live = Item::Live { subscription, event: event.clone() };
        if event.seq == 0 {
            return Some(live);
        }
        if event.seq <= *has {
            return None;
        }
        let since = std::mem::replace(has, event.seq);
        if event.seq == since + 1 {
            return Some(live);
        }
        // Only trimming that overtakes a reader makes a hole.
        self.ready.push_back(live);
        Some(Item::Gap { subscription, since, next: event.seq, reason: GapReason::Trimmed })
    }

    /// Ready when a page has been read and taken in.
    fn poll_page(&mut self, context: &mut Context<'_>) -> Poll<Result<(), StoreError>> {
        loop {
            if self.page.is_none() {
                let Some(subscription) = self.reading.front().copied() else { return Poll::Pending };
                self.page = self.read(subscription);
            }
            let Some(page) = &mut self.page else { return Poll::Pending };
            let read = std::task::ready!(page.poll_unpin(context));
            self.page = None;
            let (subscription, page) = match read.map_err(JoinError::try_into_panic) {
                Ok(read) => read,
                Err(Ok(panic)) => std::panic::resume_unwind(panic),
                // The runtime ends, and nobody polls any more.
                Err(Err(_)) => return Poll::Pending,
            };
            // It may have been given up meanwhile.
            if self.get(subscription).is_none() {
                continue;
            }
            self.take_in(subscription, page?);
            return Poll::Ready(Ok(()));
        }
    }

    fn read(
        &mut self,
        subscription: Subscription,
    ) -> Option<AbortOnDropHandle<(Subscription, Result<Page, StoreError>)>> {
        let store = self.store.clone();
        let followed = self.get(subscription)?;
        let stream = followed.tail.as_ref()?.stream().clone();
        let (state, stream_id) = (followed.state, followed.stream_id);
        let reading = async move { (subscription, read_page(&store, &stream, stream_id, state).await) };
        Some(AbortOnDropHandle::new(tokio::spawn(reading)))
    }

    fn take_in(&mut self, subscription: Subscription, page: Page) {
        let (inbox, tails) = (self.inbox.clone(), self.tails.clone());
        let Some(followed) = self.get(subscription) else { return };
        let mut items: Vec<Item> = Vec::new();
        if let Some((id, ..)) = page.stream {
            followed.stream_id = Some(id);
        }
        let (first, last) = page.stream.map_or((1, 0), |(_, first, last)| (first, last));
        let mut has = match followed.state {
            State::Begins(Start::Now) => last,
            State::Begins(Start::After(since)) if since > last && page.stream.is_some() => {
                items.push(Item::Gap { subscription, since, next: first, reason: GapReason::Ahead });
                first - 1
            }
            State::Begins(Start::After(since)) if since > 0 && page.stream.is_none() => {
                items.push(Item::Gap { subscription, since, next: 1, reason: GapReason::Ahead });
                0
            }
            State::Begins(Start::After(since)) => since,
            State::Reads { has } => has,
            State::Listens { .. } => return,
        };
        let complete = match page.events.first() {
            Some(event) => {
                if event.seq != has + 1 {
                    items.push(Item::Gap { subscription, since: has, next: event.seq, reason: GapReason::Trimmed });
                }
                has = page.events.last().map_or(has, |event| event.seq);
                items.push(Item::Stored { subscription, events: page.events });
                false
            }
            // Everything that is left of the stream may have been trimmed.
            None if has < first - 1 && !matches!(followed.state, State::Begins(Start::Now)) => {
                items.push(Item::Gap { subscription, since: has, next: first, reason: GapReason::Trimmed });
                has = first - 1;
                true
            }
            None => true,
        };
        let place = match &followed.tail {
            // A look that began with the stream's row and read to its end has everything, too.
            Some(tail) if complete || (page.stream.is_some() && has >= last) => {
                tail.attach(&inbox, subscription.0, has)
            }
            _ => None,
        };
        match place {
            Some(place) => {
                followed.state = State::Listens { has, place };
                // What the tail lacks it reads now that somebody waits for it.
                if let Some(tail) = &followed.tail {
                    tails.mend(tail);
                }
                items.push(Item::Synced { subscription, seq: has });
                self.reading.retain(|other| *other != subscription);
            }
            None => {
                followed.state = State::Reads { has };
                // The others have their turn.
                self.reading.retain(|other| *other != subscription);
                self.reading.push_back(subscription);
            }
        }
        self.ready.extend(items);
    }

    fn get(&mut self, subscription: Subscription) -> Option<&mut Followed> {
        self.followed
            .get_mut(subscription.key())
            .filter(|followed| u64::from(followed.generation) == subscription.0 >> 32)
    }
}

/// Reads what comes next. The stream's row is read before its events: it may have grown since, never shrunk.
async fn read_page(store: &Store, stream: &str, id: Option<i64>, state: State) -> Result<Page, StoreError> {
    let reader = store.reader();
    let begins = matches!(state, State::Begins(_));
    let row = match id {
        Some(id) if !begins => (id, 1, 0),
        _ => match streams::find(reader, stream).await? {
            Some(row) => (row.id, row.first_seq, row.last_seq),
            None => return Ok(Page { stream: None, events: Vec::new() }),
        },
    };
    let (id, first, last) = row;
    let since = match state {
        State::Begins(Start::Now) => return Ok(Page { stream: Some(row), events: Vec::new() }),
        // Starts over.
        State::Begins(Start::After(since)) if since > last => first - 1,
        State::Begins(Start::After(since)) | State::Reads { has: since } | State::Listens { has: since, .. } => since,
    };
    let events = events::page(reader, id, since, PAGE).await?;
    Ok(Page { stream: begins.then_some(row), events })
}

impl Subscription {
    const fn key(self) -> usize {
        (self.0 & 0xffff_ffff) as usize
    }
}

impl Followed {
    fn let_go(&mut self, tails: &Tails) {
        if let Some(tail) = self.tail.take() {
            if let State::Listens { place, .. } = self.state {
                tail.detach(place);
            }
            tails.release(tail);
        }
    }
}

impl Item {
    const fn subscription(&self) -> Option<Subscription> {
        match self {
            Self::Gap { subscription, .. }
            | Self::Stored { subscription, .. }
            | Self::Synced { subscription, .. }
            | Self::Live { subscription, .. } => Some(*subscription),
            Self::FellBehind => None,
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        for (_, followed) in &mut self.followed {
            followed.let_go(&self.tails);
        }
    }
}
