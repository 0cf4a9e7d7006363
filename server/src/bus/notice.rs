//! Committed events as notifications: as many as fit into one, and a pointer for one that fits into none.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Word;
use crate::store::events::{Committed, NewEvent};
use crate::store::notifications::MOST_BYTES;

/// Tells a server's own notices from those of others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Origin(Uuid);

impl Origin {
    pub(super) fn random() -> Self {
        Self(Uuid::new_v4())
    }
}

#[derive(Serialize, Deserialize)]
struct Notice<E> {
    from: Origin,
    events: Vec<E>,
}

/// Room for what surrounds the events.
const FRAME: usize = 80;

#[derive(Serialize)]
#[serde(untagged)]
enum Written<'a> {
    Whole(&'a str, i64, Uuid, &'a str, i64, Option<i64>, &'a str),
    Pointer(&'a str, i64),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Read {
    Whole(String, i64, Uuid, String, i64, Option<i64>, String),
    Pointer(String, i64),
}

/// The notices that tell of these events, in order.
pub(super) fn write(from: Origin, committed: &[Committed]) -> Vec<String> {
    let mut notices = Vec::new();
    let mut open: Vec<Box<serde_json::value::RawValue>> = Vec::new();
    let mut bytes = FRAME;
    for Committed { event, seq } in committed {
        let NewEvent { stream, id, kind, created_at, happened_at, payload } = &**event;
        // Not worth writing down if it can't fit anyhow.
        let whole = (payload.len() < MOST_BYTES)
            .then(|| raw(&Written::Whole(stream, *seq, *id, kind, *created_at, *happened_at, payload)))
            .flatten()
            .filter(|text| text.get().len() + FRAME <= MOST_BYTES);
        let Some(text) = whole.or_else(|| raw(&Written::Pointer(stream, *seq))) else { continue };
        let size = text.get().len() + 1;
        if bytes + size > MOST_BYTES {
            notices.extend(close(from, &mut open));
            bytes = FRAME;
        }
        bytes += size;
        open.push(text);
    }
    notices.extend(close(from, &mut open));
    notices
}

fn raw(event: &Written<'_>) -> Option<Box<serde_json::value::RawValue>> {
    serde_json::value::to_raw_value(event).ok()
}

fn close(from: Origin, events: &mut Vec<Box<serde_json::value::RawValue>>) -> Option<String> {
    let events = std::mem::take(events);
    if events.is_empty() { None } else { serde_json::to_string(&Notice { from, events }).ok() }
}

/// What a notice says, unless it is one of our own.
pub(super) fn read(own: Origin, payload: &str) -> Vec<Word> {
    let notice: Notice<Read> = match serde_json::from_str(payload) {
        Ok(notice) => notice,
        Err(error) => {
            tracing::warn!(%error, "a notice on the bus can't be read; looking into the database instead");
            return vec![Word::Interrupted];
        }
    };
    if notice.from == own {
        return Vec::new();
    }
    let mut words = Vec::new();
    let mut whole = Vec::new();
    for event in notice.events {
        match event {
            Read::Whole(stream, seq, id, kind, created_at, happened_at, payload) => {
                let event = NewEvent { stream, id, kind, created_at, happened_at, payload };
                whole.push(Committed { event: Arc::new(event), seq });
            }
            Read::Pointer(stream, seq) => {
                if !whole.is_empty() {
                    words.push(Word::Committed(std::mem::take(&mut whole)));
                }
                words.push(Word::Grown { stream, seq });
            }
        }
    }
    if !whole.is_empty() {
        words.push(Word::Committed(whole));
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn committed(seq: i64, payload: usize) -> Committed {
        let event = NewEvent {
            stream: format!("runs/{}", Uuid::nil()),
            id: Uuid::now_v7(),
            kind: "TEST".into(),
            created_at: 1,
            happened_at: None,
            payload: format!("\"{}\"", "\"".repeat(payload).replace('"', "\\\"")),
        };
        Committed { event: Arc::new(event), seq }
    }

    #[test]
    fn everything_arrives_in_order_within_the_limit() {
        let events: Vec<_> = (1..=60).map(|seq| committed(seq, if seq % 7 == 0 { 5_000 } else { 300 })).collect();
        let notices = write(Origin::random(), &events);
        assert!(notices.len() > 3 && notices.iter().all(|notice| notice.len() <= MOST_BYTES));
        let mut seqs = Vec::new();
        for word in notices.iter().flat_map(|notice| read(Origin::random(), notice)) {
            match word {
                Word::Committed(events) => seqs.extend(events.iter().map(|event| event.seq)),
                Word::Grown { seq, .. } => {
                    assert_eq!(seq % 7, 0, "only the large ones are pointed at");
                    seqs.push(seq);
                }
                Word::Interrupted => panic!("it can be read"),
            }
        }
        assert_eq!(seqs, (1..=60).collect::<Vec<_>>());
    }

    #[test]
    fn a_servers_own_notices_tell_it_nothing() {
        let own = Origin::random();
        let notices = write(own, &[committed(1, 10)]);
        assert_eq!(notices.len(), 1);
        assert!(read(own, &notices[0]).is_empty());
    }

    #[test]
    fn what_cannot_be_read_is_looked_up() {
        assert!(matches!(read(Origin::random(), "hello").as_slice(), [Word::Interrupted]));
    }
}
