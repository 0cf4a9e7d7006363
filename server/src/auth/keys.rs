//! The signing keys of workspaces, opened and kept at hand, because every event is signed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dashmap::DashMap;
use uuid::Uuid;

use super::Seal;
use crate::clock::Clock;
use crate::log::{CommitListener, Committed};
use crate::secret::Secret;
use crate::store::workspaces::{self, BridgeKeyRow};
use crate::store::{Store, StoreError};

/// A signing key of one holder.
#[derive(Debug)]
pub struct Key {
    pub device_id: Option<Uuid>,
    pub revoked: bool,
    pub secret: Secret,
}

/// Workspaces whose keys are kept at most. Beyond, the memory is emptied and fills again.
const MAX_WORKSPACES: usize = 10_000;

/// How long keys are kept, in milliseconds. What changes here is known at once, by the log; this is how late a server
/// notices what changed through another one.
const LIFETIME: i64 = 2_000;

/// Finds the keys of a workspace.
pub struct Keys {
    store: Store,
    seal: Seal,
    clock: Arc<dyn Clock>,
    /// With the time at which they were read.
    cache: DashMap<Uuid, (i64, Arc<[Key]>)>,
    /// Counts changes, so that keys read before one are not kept after it.
    changes: AtomicU64,
}

impl Keys {
    #[must_use]
    pub fn new(store: Store, seal: Seal, clock: Arc<dyn Clock>) -> Self {
        Self { store, seal, clock, cache: DashMap::new(), changes: AtomicU64::new(0) }
    }

    /// Opens one stored key, to find out at the start whether the seal key is the right one.
    ///
    /// # Errors
    /// If it does not open, or the database can't be reached.
    pub async fn check(&self) -> anyhow::Result<()> {
        match workspaces::any_key(self.store.reader()).await? {
            Some(row) if self.open(&row).is_none() => anyhow::bail!(
                "the signing keys in the database were sealed with another key; put the right FLIGHTDECK_SEAL_KEY, or the \
                 right seal.key in the data directory, back in place"
            ),
            _ => Ok(()),
        }
    }

    /// The keys of a workspace, the valid ones first and among them the machine's; empty if there is no such workspace.
    ///
    /// # Errors
    /// If the database can't be reached.
    pub async fn of(&self, workspace_id: Uuid) -> Result<Arc<[Key]>, StoreError> {
        let now = self.clock.now();
        if let Some(kept) = self.cache.get(&workspace_id)
            && now - kept.0 < LIFETIME
        {
            return Ok(kept.1.clone());
        }
        let changes = self.changes.load(Ordering::SeqCst);
        let rows = workspaces::keys(self.store.reader(), workspace_id).await?;
        let keys: Arc<[Key]> = rows.iter().filter_map(|row| self.open(row)).collect();
        // An unknown workspace is not remembered: anybody can name one.
        if !keys.is_empty() {
            if self.cache.len() >= MAX_WORKSPACES {
                self.cache.clear();
            }
            let entry = self.cache.entry(workspace_id);
            if self.changes.load(Ordering::SeqCst) == changes {
                entry.insert((now, keys.clone()));
            }
        }
        Ok(keys)
    }

    /// A new key, and the row to store it under.
    #[must_use]
    pub fn make(&self, workspace_id: Uuid, device_id: Option<Uuid>, now: i64) -> (Secret, BridgeKeyRow) {
        let id = Uuid::now_v7();
        let secret = super::Token::Bridge.random();
        let sealed_secret = self.seal.seal(&secret, id.as_bytes());
        (secret, BridgeKeyRow { id, workspace_id, device_id, sealed_secret, created_at: now, revoked_at: None })
    }

    /// The key in a row; `None`, and a line in the log, if it was sealed with another seal key.
    pub fn open(&self, row: &BridgeKeyRow) -> Option<Key> {
        let Some(secret) = self.seal.unseal(&row.sealed_secret, row.id.as_bytes()) else {
            tracing::error!(
                workspace_id = %row.workspace_id,
                "a signing key does not open: the seal key is not the one it was sealed with"
            );
            return None;
        };
        Some(Key { device_id: row.device_id, revoked: row.revoked_at.is_some(), secret })
    }
}

/// A device that came or went changes the keys of its workspaces. The log tells, so it is known whoever did it.
impl CommitListener for Keys {
    fn committed(&self, events: &[Committed]) {
        for event in events {
            let workspace_id = event.event.stream.strip_prefix("workspaces/").and_then(|id| id.parse().ok());
            if let Some(workspace_id) = workspace_id {
                self.changes.fetch_add(1, Ordering::SeqCst);
                self.cache.remove::<Uuid>(&workspace_id);
            }
        }
    }

    fn missed_in(&self, stream: &str) {
        if stream.starts_with("workspaces/") {
            self.missed();
        }
    }

    fn missed(&self) {
        self.changes.fetch_add(1, Ordering::SeqCst);
        self.cache.clear();
    }
}
