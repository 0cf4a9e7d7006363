//! What the session follows, and how far it is. Decides of each message whether the caller gets it, so that every event
//! comes once and in order; and says what a new connection has to be told, so that it goes on where the last one ended.
//!
//! A position advances when a message goes into the caller's updates. From there only the caller takes it, whatever
//! happens to the connection.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::protocol::{Intent, Position, Progress, SocketProtocol, WithoutPosition};

/// For so long after subscribing, events that do not go on from the position may belong to an earlier subscription of
/// the same connection, and are only left out.
const CHANGEOVER: Duration = Duration::from_secs(10);

/// Everything that is followed. The key of a socket with one subscription is empty.
pub(super) struct Subscriptions<P: SocketProtocol> {
    entries: BTreeMap<String, Entry<P::ClientMessage>>,
    /// The log of the current connection, where the server names it.
    epoch: Option<Arc<str>>,
    /// How many are remembered.
    limit: usize,
    /// Of something that is not remembered, events came or will come.
    overlooked: bool,
}

struct Entry<M> {
    origin: Origin<M>,
    position: Option<Place>,
    following: Following,
    /// Where a jump has already been answered by connecting again.
    jumped_at: Option<u64>,
}

struct Place {
    seq: u64,
    epoch: Option<Arc<str>>,
}

enum Origin<M> {
    /// The caller subscribed with this message.
    Asked(M),
    /// The server sends events without having been asked.
    Unasked,
    /// The caller does not want it any more. The message is kept if the server would begin again by itself.
    Left(Option<M>),
}

/// Which entries are forgotten first where there is no room for all.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Worth {
    /// Left, and nothing has to be said about it on a new connection.
    Left,
    /// Left, and left again on every new connection.
    LeftAgain,
    Unasked,
    /// Its subscription waits.
    Early,
    Asked,
}

#[derive(Clone, Copy)]
enum Following {
    /// Without a position: nothing can be said about what comes.
    Loosely,
    /// The server sends events without having been asked, and the caller has asked for them from a position already, in a
    /// message that still waits. They will come again in their place.
    Early,
    /// Asked for what comes after the position, which has not come yet.
    FromPosition {
        asked: Duration,
        /// The same was followed before on this connection.
        replaces: bool,
    },
    /// The next event is the one after the position.
    Exactly,
}

/// What becomes of a message of the server.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The caller gets it.
    Deliver,
    /// The caller gets it, and is told then that events of this key are missing.
    DeliverThenResync(Option<String>),
    /// The other way round.
    ResyncThenDeliver(Option<String>),
    /// The caller has it already, or will get it again.
    Drop,
    /// Events are missing, and the server did not say so.
    Jump { key: Option<String>, after: u64, found: u64 },
}

/// What a new connection is told about a key.
pub(super) struct Reissued {
    pub(super) key: String,
    pub(super) text: String,
}

/// What a new connection is told, and what the caller is.
pub(super) struct Reissue {
    pub(super) messages: Vec<Reissued>,
    /// The keys of which events may have been lost.
    pub(super) lost: Vec<Option<String>>,
}

impl<P: SocketProtocol> Subscriptions<P> {
    pub(super) fn new() -> Self {
        Self { entries: BTreeMap::new(), epoch: None, limit: P::INFO.limits.subscriptions, overlooked: false }
    }

    /// A message of the caller waits to be sent.
    pub(super) fn waits(&mut self, message: &P::ClientMessage) {
        if let Intent::Subscribe { key, after, .. } = P::intent(message)
            && start::<P>(after).is_some()
        {
            let key = key.unwrap_or_default().to_owned();
            if self.entries.get(&key).is_none_or(|entry| matches!(entry.origin, Origin::Unasked)) {
                self.remember(key, Entry::unasked(Following::Early));
            }
        }
    }

    /// A message of the caller goes to the server.
    pub(super) fn sent(&mut self, message: P::ClientMessage, now: Duration) {
        match P::intent(&message) {
            Intent::Subscribe { key, after, epoch } => {
                let key = key.unwrap_or_default().to_owned();
                let position = start::<P>(after).map(|seq| Place { seq, epoch: epoch.map(Arc::from) });
                let asked_before = |entry: &Entry<_>| matches!(entry.origin, Origin::Asked(_) | Origin::Left(None));
                let replaces = self.entries.get(&key).is_some_and(asked_before);
                let following = match position {
                    Some(_) => Following::FromPosition { asked: now, replaces },
                    None => Following::Loosely,
                };
                let entry = Entry { origin: Origin::Asked(message), position, following, jumped_at: None };
                let remembered = self.remember(key, entry);
                self.overlooked |= !remembered;
            }
            Intent::Unsubscribe { key } => {
                let key = key.unwrap_or_default().to_owned();
                let asked = self.entries.get(&key).is_some_and(|entry| matches!(entry.origin, Origin::Asked(_)));
                let origin = Origin::Left((!asked).then_some(message));
                let following = Following::Loosely;
                self.remember(key, Entry { origin, position: None, following, jumped_at: None });
            }
            Intent::Authenticate | Intent::Nothing => {}
        }
    }

    fn remember(&mut self, key: String, entry: Entry<P::ClientMessage>) -> bool {
        let fits = self.entries.len() < self.limit || self.entries.contains_key(&key) || self.make_room(entry.worth());
        if fits {
            self.entries.insert(key, entry);
        }
        fits
    }

    /// Forgets an entry of less worth than this; `false`: there is none.
    fn make_room(&mut self, worth: Worth) -> bool {
        let least = self.entries.iter().min_by_key(|(_, entry)| entry.worth());
        let Some((key, entry)) = least.filter(|(_, entry)| entry.worth() < worth) else { return false };
        self.overlooked |= entry.worth() == Worth::Unasked;
        let key = key.clone();
        self.entries.remove(&key);
        true
    }

    /// Judges a message of the server, takes out of it what the caller has already, and advances the position.
    pub(super) fn admit(&mut self, message: &mut P::ServerMessage, now: Duration) -> Verdict {
        if let Some(epoch) = P::epoch(message)
            && self.epoch.as_deref() != Some(epoch)
        {
            self.epoch = Some(Arc::from(epoch));
        }
        let (verdict, before) = match P::progress(message) {
            Progress::Nothing => (Verdict::Deliver, None),
            Progress::Events { key, first, last } => self.events(key, first, last, now),
            Progress::Synced { key, seq } => (self.synced(key, seq, now), None),
            Progress::Gap { key, next } => (self.gap(key, next), None),
        };
        if let Some(before) = before {
            P::discard(message, before);
        }
        verdict
    }

    /// With the verdict, the event up to which the caller has what the message carries.
    fn events(&mut self, key: Option<&str>, first: u64, last: u64, now: Duration) -> (Verdict, Option<u64>) {
        let epoch = self.epoch.clone();
        let name = key.unwrap_or_default();
        let Some(entry) = self.entries.get_mut(name) else {
            let mut entry = Entry::unasked(Following::Loosely);
            entry.advance(last, epoch);
            // They are told of together then, so there is no need to look for room at every event.
            self.overlooked = self.overlooked || !self.remember(name.to_owned(), entry);
            return (Verdict::Deliver, None);
        };
        if matches!(entry.origin, Origin::Left(_)) {
            return (Verdict::Deliver, None);
        }
        let position = entry.seq();
        let another_log = entry.is_of_another_log(epoch.as_deref());
        let apart = another_log || first > position + 1;
        let verdict = match entry.following {
            Following::Early => Verdict::Drop,
            Following::Loosely => {
                entry.advance(last.max(position), epoch);
                return (Verdict::Deliver, None);
            }
            Following::FromPosition { asked, .. } if apart && now < asked + CHANGEOVER => Verdict::Drop,
            _ if last <= position && !another_log => Verdict::Drop,
            _ if apart => entry.jump(key, first),
            _ => Verdict::Deliver,
        };
        if matches!(verdict, Verdict::Drop | Verdict::Jump { .. }) {
            return (verdict, None);
        }
        entry.advance(last, epoch);
        entry.following = Following::Exactly;
        (verdict, (!apart && first <= position).then_some(position))
    }

    fn synced(&mut self, key: Option<&str>, seq: u64, now: Duration) -> Verdict {
        let epoch = self.epoch.clone();
        let Some(entry) = self.entries.get_mut(key.unwrap_or_default()) else { return Verdict::Deliver };
        let another_log = entry.is_of_another_log(epoch.as_deref());
        let verdict = match entry.following {
            _ if matches!(entry.origin, Origin::Left(_)) => return Verdict::Deliver,
            Following::Early => return Verdict::Drop,
            Following::Loosely => Verdict::Deliver,
            _ if seq < entry.seq() && !another_log => return Verdict::Deliver,
            _ if seq == entry.seq() && !another_log => Verdict::Deliver,
            // Of a socket that has one subscription, the server may have said so before it heard what is asked.
            Following::FromPosition { asked, replaces } if (replaces || key.is_none()) && now < asked + CHANGEOVER => {
                return Verdict::Drop;
            }
            _ => entry.jump(key, seq),
        };
        if !matches!(verdict, Verdict::Jump { .. }) {
            entry.advance(seq, epoch);
            entry.following = Following::Exactly;
        }
        verdict
    }

    fn gap(&mut self, key: Option<&str>, next: u64) -> Verdict {
        let epoch = self.epoch.clone();
        if let Some(entry) = self.entries.get_mut(key.unwrap_or_default())
            && matches!(entry.origin, Origin::Asked(_))
        {
            entry.advance(next.saturating_sub(1), epoch);
            entry.following = Following::Exactly;
        }
        Verdict::DeliverThenResync(key.map(str::to_owned))
    }

    /// A new connection stands: what it is told before anything else.
    pub(super) fn reissue(&mut self, now: Duration) -> Reissue {
        let mut reissue = Reissue { messages: Vec::new(), lost: Vec::new() };
        if std::mem::take(&mut self.overlooked) {
            reissue.lost.push(None);
        }
        self.epoch = None;
        self.entries.retain(|key, entry| {
            let lost = || (!key.is_empty()).then(|| key.clone());
            let message = match &mut entry.origin {
                Origin::Left(None) => return false,
                Origin::Unasked if matches!(entry.following, Following::Early) => return true,
                Origin::Unasked => {
                    reissue.lost.push(lost());
                    return false;
                }
                Origin::Left(Some(message)) => message,
                Origin::Asked(message) => {
                    match &entry.position {
                        Some(place) => {
                            P::resume_after(message, &place.to_position());
                            entry.following = Following::FromPosition { asked: now, replaces: false };
                        }
                        None => reissue.lost.push(lost()),
                    }
                    message
                }
            };
            // It has been written before.
            if let Ok(text) = serde_json::to_string(message) {
                reissue.messages.push(Reissued { key: key.clone(), text });
            }
            true
        });
        reissue
    }
}

/// Where a subscription begins, if that can be said.
const fn start<P: SocketProtocol>(after: Option<u64>) -> Option<u64> {
    match (after, P::WITHOUT_POSITION) {
        (None, WithoutPosition::Everything) => Some(0),
        (after, _) => after,
    }
}

impl<M> Entry<M> {
    const fn unasked(following: Following) -> Self {
        Self { origin: Origin::Unasked, position: None, following, jumped_at: None }
    }

    const fn worth(&self) -> Worth {
        match (&self.origin, self.following) {
            (Origin::Asked(_), _) => Worth::Asked,
            (Origin::Unasked, Following::Early) => Worth::Early,
            (Origin::Unasked, _) => Worth::Unasked,
            (Origin::Left(Some(_)), _) => Worth::LeftAgain,
            (Origin::Left(None), _) => Worth::Left,
        }
    }

    /// The last event; 0 without a position.
    fn seq(&self) -> u64 {
        self.position.as_ref().map_or(0, |place| place.seq)
    }

    /// Whether the position says nothing about events of this log.
    fn is_of_another_log(&self, epoch: Option<&str>) -> bool {
        let of = self.position.as_ref().and_then(|place| place.epoch.as_deref());
        matches!((of, epoch), (Some(of), Some(epoch)) if of != epoch)
    }

    fn advance(&mut self, seq: u64, epoch: Option<Arc<str>>) {
        self.position = Some(Place { seq, epoch });
    }

    /// A jump is answered by connecting again, once. If the server then does the same, that is how it is.
    fn jump(&mut self, key: Option<&str>, found: u64) -> Verdict {
        let key = key.map(str::to_owned);
        let after = self.seq();
        if self.jumped_at == Some(after) {
            return Verdict::ResyncThenDeliver(key);
        }
        self.jumped_at = Some(after);
        Verdict::Jump { key, after, found }
    }
}

impl Place {
    fn to_position(&self) -> Position {
        Position { seq: self.seq, epoch: self.epoch.as_deref().map(str::to_owned) }
    }
}
