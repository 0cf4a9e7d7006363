//! The nonces that have been used lately, in memory; the log's writer keeps the same in the database.
//!
//! A nonce matters only as long as its time stamp would pass, so they are kept by the minute in which they were signed,
//! and a whole minute is forgotten at once.

use std::collections::{BTreeMap, HashSet};

use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::store::nonces::Nonce;

/// How far a time stamp may be off, in milliseconds, either way.
pub(super) const SKEW: i64 = 5 * 60 * 1_000;

/// How long the database keeps a nonce, in milliseconds: from the earliest time stamp that passes to the latest, and a
/// minute for clocks that are set.
pub const NONCES_KEPT: i64 = 2 * SKEW + MINUTE;

const MINUTE: i64 = 60 * 1_000;

/// Used nonces.
#[derive(Debug, Default)]
pub struct Nonces {
    minutes: Mutex<BTreeMap<i64, HashSet<[u8; 16]>>>,
}

impl Nonces {
    /// With those that the database remembers.
    #[must_use]
    pub fn remembering(nonces: Vec<Nonce>) -> Self {
        let mut minutes: BTreeMap<i64, HashSet<[u8; 16]>> = BTreeMap::new();
        for nonce in nonces {
            minutes.entry(nonce.signed_at / MINUTE).or_default().insert(nonce.digest);
        }
        Self { minutes: Mutex::new(minutes) }
    }

    /// Uses a nonce; `None` if it has been used, at whatever time.
    pub fn spend(&self, workspace_id: Option<Uuid>, nonce: &str, signed_at: i64, now: i64) -> Option<Nonce> {
        let mut hasher = Sha256::new();
        hasher.update(workspace_id.unwrap_or_default().as_bytes());
        hasher.update(nonce.as_bytes());
        let mut digest = [0; 16];
        digest.copy_from_slice(&hasher.finalize()[..16]);

        let mut minutes = self.minutes.lock();
        let oldest = (now - SKEW) / MINUTE;
        while minutes.first_key_value().is_some_and(|(minute, _)| *minute < oldest) {
            minutes.pop_first();
        }
        if minutes.values().any(|used| used.contains(&digest)) {
            return None;
        }
        minutes.entry(signed_at / MINUTE).or_default().insert(digest);
        Some(Nonce { signed_at, digest })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nonce_works_once_for_each_workspace() {
        let nonces = Nonces::default();
        let (one, other) = (Some(Uuid::from_u128(1)), Some(Uuid::from_u128(2)));
        let now = 100 * MINUTE;
        let first = nonces.spend(one, "n", now, now).expect("new");
        assert!(nonces.spend(one, "n", now, now).is_none());
        assert!(nonces.spend(one, "n", now + MINUTE, now).is_none(), "at another time as well");
        assert!(nonces.spend(other, "n", now, now).is_some());
        let restarted = Nonces::remembering(vec![first]);
        assert!(restarted.spend(one, "n", now, now).is_none());
    }

    #[test]
    fn minutes_that_no_stamp_can_name_are_forgotten() {
        let nonces = Nonces::default();
        let now = 100 * MINUTE;
        for index in 0..50 {
            assert!(nonces.spend(None, &index.to_string(), now, now).is_some());
        }
        assert!(nonces.spend(None, "later", now + 11 * MINUTE, now + 11 * MINUTE).is_some());
        assert_eq!(nonces.minutes.lock().len(), 1);
    }
}
