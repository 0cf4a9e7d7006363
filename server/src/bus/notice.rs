//! Committed events as notifications: as many as fit into one, and a pointer for one that fits into none.

use std::sync::Arc;

use hmac::{Hmac, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use uuid::Uuid;

use super::Word;
use crate::secret::Secret;
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

/// Room for what surrounds the events, the proof included.
const FRAME: usize = 80 + PROOF;

/// Hex digits of the proof in front of a notice.
const PROOF: usize = 64;

/// Proves that a notice is a server's: anybody who may connect to the database may send notifications.
#[derive(Clone)]
pub struct Proof(Secret);

impl Proof {
    /// All servers on one database share the key.
    #[must_use]
    pub const fn new(key: Secret) -> Self {
        Self(key)
    }

    fn mac(&self, text: &str) -> Hmac<Sha256> {
        let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(self.0.expose().as_bytes())
            .unwrap_or_else(|_| unreachable!("a key of any length will do"));
        mac.update(text.as_bytes());
        mac
    }

    fn seal(&self, text: &str) -> String {
        hex::encode(self.mac(text).finalize().into_bytes()) + text
    }

    fn open<'t>(&self, sealed: &'t str) -> Option<&'t str> {
        let (mac, text) = sealed.split_at_checked(PROOF)?;
        let mut given = [0; PROOF / 2];
        hex::decode_to_slice(mac, &mut given).ok()?;
        self.mac(text).verify_slice(&given).ok()?;
        Some(text)
    }
}

impl std::fmt::Debug for Proof {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Proof(…)")
    }
}

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
pub(super) fn write(from: Origin, proof: &Proof, committed: &[Committed]) -> Vec<String> {
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
            notices.extend(close(from, &mut open).map(|notice| proof.seal(&notice)));
            bytes = FRAME;
        }
        bytes += size;
        open.push(text);
    }
    notices.extend(close(from, &mut open).map(|notice| proof.seal(&notice)));
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
pub(super) fn read(own: Origin, proof: &Proof, payload: &str) -> Vec<Word> {
    let Some(payload) = proof.open(payload) else {
        tracing::warn!(
            "somebody who is no server of this database speaks on the bus, or the seal keys differ; ignored"
        );
        return Vec::new();
    };
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

    fn proof() -> Proof {
        Proof::new(Secret::new("key"))
    }

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
        let notices = write(Origin::random(), &proof(), &events);
        assert!(notices.len() > 3 && notices.iter().all(|notice| notice.len() <= MOST_BYTES));
        let mut seqs = Vec::new();
        for word in notices.iter().flat_map(|notice| read(Origin::random(), &proof(), notice)) {
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
        let notices = write(own, &proof(), &[committed(1, 10)]);
        assert_eq!(notices.len(), 1);
        assert!(read(own, &proof(), &notices[0]).is_empty());
    }

    #[test]
    fn what_cannot_be_read_is_looked_up() {
        let sealed = proof().seal("hello");
        assert!(matches!(read(Origin::random(), &proof(), &sealed).as_slice(), [Word::Interrupted]));
    }

    #[test]
    fn what_no_server_said_is_ignored() {
        let notice = write(Origin::random(), &proof(), &[committed(1, 10)]).remove(0);
        let forged = [
            "hello".to_owned(),
            String::new(),
            notice[PROOF..].to_owned(),
            notice.replace("TEST", "BEST"),
            Proof::new(Secret::new("other")).seal(&notice[PROOF..]),
        ];
        for notice in forged {
            assert!(read(Origin::random(), &proof(), &notice).is_empty(), "{notice}");
        }
    }
}
