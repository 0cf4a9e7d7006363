//! What a server that does not lead hears of foreign publishers: kept for a while, for when the one that leads ends before it
//! has written it down.
//!
//! Which of it that one has written down is in the log. Every notification becomes one event on `global`, of the same kind and
//! with the same payload, so that is the only stream to look at, and only after the place where it ended a little before the
//! notification was heard.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use super::channel::Channel;
use crate::log::Log;
use crate::store::StoreError;
use crate::store::events::NewEvent;

/// How long something is kept: longer than the database takes to find out that a server's machine is gone.
const KEPT_FOR: Duration = Duration::from_secs(45);

/// How many notifications are kept, and bytes of their payloads.
const KEPT: usize = 4_096;
const KEPT_BYTES: usize = 8 << 20;

/// Events of `global` that are looked through. What was heard before them is given up.
const LOOKED_THROUGH: i64 = 100_000;

/// Events read at once.
const PAGE: u64 = 1_000;

/// A notification that another server may write down.
struct Kept {
    events: Vec<NewEvent>,
    heard_at: Instant,
    /// Where `global` ended before that.
    after: i64,
}

impl Kept {
    /// Its event on `global`, which is the last one.
    fn content(&self) -> Option<(&str, &str)> {
        self.events.last().map(|event| (event.kind.as_str(), event.payload.as_str()))
    }

    fn bytes(&self) -> usize {
        self.events.iter().map(|event| event.payload.len()).sum()
    }
}

/// What was heard lately.
#[derive(Default)]
pub(super) struct Standby {
    kept: VecDeque<Kept>,
    bytes: usize,
    /// Where `global` ended at the look before the last one, and at that. Another server may be a little faster than this one
    /// is to hear of something; so far back, it has not written it down.
    before: i64,
    last: i64,
}

impl Standby {
    pub(super) fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// Looks where `global` ends; to be done about every second.
    ///
    /// # Errors
    /// If the database can't be reached; then more will be looked through.
    pub(super) async fn look(&mut self, log: &Log) -> Result<(), StoreError> {
        let end = log.extent(&Channel::global().stream()).await?.map_or(0, |row| row.last_seq);
        self.before = std::mem::replace(&mut self.last, end);
        Ok(())
    }

    /// Keeps what a notification becomes.
    pub(super) fn keep(&mut self, events: Vec<NewEvent>) {
        let kept = Kept { events, heard_at: Instant::now(), after: self.before };
        self.bytes += kept.bytes();
        self.kept.push_back(kept);
        self.forget(|standby, oldest| {
            standby.kept.len() > KEPT || standby.bytes > KEPT_BYTES || oldest.heard_at.elapsed() > KEPT_FOR
        });
    }

    /// What nobody has written down, in the order in which it was heard. Keeps it until [`clear`](Self::clear).
    ///
    /// # Errors
    /// If the database can't be reached.
    pub(super) async fn unwritten(&mut self, log: &Log) -> Result<Vec<Vec<NewEvent>>, StoreError> {
        let global = Channel::global().stream();
        let end = log.extent(&global).await?.map_or(0, |row| row.last_seq);
        self.forget(|_, oldest| oldest.heard_at.elapsed() > KEPT_FOR || oldest.after < end - LOOKED_THROUGH);
        let mut open = Open::new(&self.kept);
        let mut after = self.kept.front().map_or(end, |oldest| oldest.after);
        while after < end {
            let rows = log.read(&global, after, PAGE).await?;
            let Some(last) = rows.last() else { break };
            after = last.seq;
            rows.iter().for_each(|row| open.strike(row.seq, &row.kind, &row.payload));
        }
        let written = open.written;
        let unwritten = self.kept.iter().zip(written).filter(|(_, written)| !written);
        Ok(unwritten.map(|(kept, _)| kept.events.clone()).collect())
    }

    pub(super) fn clear(&mut self) {
        self.kept.clear();
        self.bytes = 0;
    }

    fn forget(&mut self, too_much: impl Fn(&Self, &Kept) -> bool) {
        while self.kept.front().is_some_and(|oldest| too_much(self, oldest)) {
            self.bytes -= self.kept.pop_front().map_or(0, |oldest| oldest.bytes());
        }
    }
}

/// What has not been found in the log.
struct Open<'k> {
    kept: &'k VecDeque<Kept>,
    /// By kind and payload; of the same, the one that was heard first comes first, as it was written first.
    places: HashMap<&'k str, HashMap<&'k str, VecDeque<usize>>>,
    written: Vec<bool>,
}

impl<'k> Open<'k> {
    fn new(kept: &'k VecDeque<Kept>) -> Self {
        let mut places: HashMap<_, HashMap<_, VecDeque<usize>>> = HashMap::new();
        for (place, kept) in kept.iter().enumerate() {
            if let Some((kind, payload)) = kept.content() {
                places.entry(kind).or_default().entry(payload).or_default().push_back(place);
            }
        }
        Self { kept, places, written: vec![false; kept.len()] }
    }

    /// An event is in the log.
    fn strike(&mut self, seq: i64, kind: &str, payload: &str) {
        let Some(places) = self.places.get_mut(kind).and_then(|places| places.get_mut(payload)) else { return };
        if let Some(place) = places.pop_front_if(|place| self.kept[*place].after < seq) {
            self.written[place] = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn heard(after: i64, payload: &str) -> Kept {
        let event = NewEvent {
            stream: "channels/global".into(),
            id: Uuid::now_v7(),
            kind: "build.done".into(),
            created_at: 0,
            happened_at: None,
            payload: payload.into(),
        };
        Kept { events: vec![event], heard_at: Instant::now(), after }
    }

    #[test]
    fn what_is_in_the_log_is_written() {
        let kept = VecDeque::from([heard(10, "1"), heard(10, "same"), heard(12, "same"), heard(12, "2")]);
        let mut open = Open::new(&kept);
        // Of before, and of others.
        open.strike(9, "build.done", "1");
        open.strike(11, "build.begun", "1");
        open.strike(13, "build.done", "3");
        assert_eq!(open.written, [false; 4]);
        open.strike(11, "build.done", "1");
        open.strike(12, "build.done", "same");
        assert_eq!(open.written, [true, true, false, false]);
        open.strike(14, "build.done", "same");
        open.strike(15, "build.done", "same");
        assert_eq!(open.written, [true, true, true, false]);
    }

    #[test]
    fn no_more_is_kept_than_there_is_room_for() {
        let mut standby = Standby::default();
        for number in 0..KEPT + 10 {
            standby.keep(heard(0, &number.to_string()).events);
        }
        assert_eq!((standby.kept.len(), standby.kept[0].content()), (KEPT, Some(("build.done", "10"))));
        standby.keep(heard(0, &"x".repeat(KEPT_BYTES)).events);
        assert_eq!((standby.kept.len(), standby.bytes), (1, KEPT_BYTES));
        standby.clear();
        assert_eq!((standby.is_empty(), standby.bytes), (true, 0));
    }
}
