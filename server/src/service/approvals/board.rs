//! The pending approvals of this process, and who waits for them. Fed by the log; the database is the truth.

use std::sync::Arc;

use dashmap::DashMap;
use tokio::sync::watch;
use uuid::Uuid;

use super::event::{self, Payload};
use crate::clock::Clock;
use crate::log::{CommitListener, Committed};
use crate::metrics::Metrics;
use crate::store::approvals::ApprovalRow;

/// The end of an approval, as its waiters need it.
#[derive(Debug, Clone)]
pub struct Verdict {
    pub(super) status: String,
    pub(super) note: Option<String>,
    pub(super) expiry_reason: Option<String>,
}

impl From<ApprovalRow> for Verdict {
    fn from(row: ApprovalRow) -> Self {
        Self { status: row.status, note: row.note, expiry_reason: row.expiry_reason }
    }
}

/// Every pending approval.
pub struct Board {
    pending: DashMap<Uuid, Pending>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
}

#[derive(Debug)]
struct Pending {
    workspace_id: Uuid,
    /// Holds the verdict for the moment between its commit and the last waiter's leaving.
    verdict: watch::Sender<Option<Arc<Verdict>>>,
    waiters: usize,
    /// Since when nobody waits; meaningless while somebody does.
    alone_since: i64,
    orphaned: bool,
}

impl Board {
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, metrics: Arc<Metrics>) -> Self {
        Self { pending: DashMap::new(), clock, metrics }
    }

    /// Puts up a pending approval that the database holds and this process has not seen opened.
    pub fn restore(&self, row: &ApprovalRow) {
        self.put(row.id, row.workspace_id, row.orphaned_at.is_some());
    }

    fn put(&self, id: Uuid, workspace_id: Uuid, orphaned: bool) {
        self.pending.entry(id).or_insert_with(|| Pending {
            workspace_id,
            verdict: watch::Sender::new(None),
            waiters: 0,
            alone_since: self.clock.now(),
            orphaned,
        });
    }

    /// Takes down an approval that has ended, and tells its waiters.
    pub(super) fn end(&self, id: Uuid, verdict: Verdict) {
        if let Some((_, pending)) = self.pending.remove(&id) {
            pending.verdict.send_replace(Some(Arc::new(verdict)));
        }
    }

    pub(super) fn workspace_of(&self, id: Uuid) -> Option<Uuid> {
        self.pending.get(&id).map(|pending| pending.workspace_id)
    }

    /// Joins those who wait for an approval; `None` if it is not pending.
    pub(super) fn attach(self: &Arc<Self>, id: Uuid) -> Option<Attached> {
        let mut pending = self.pending.get_mut(&id)?;
        pending.waiters += 1;
        Some(Attached {
            id,
            was_orphaned: std::mem::take(&mut pending.orphaned),
            verdict: pending.verdict.subscribe(),
            board: self.clone(),
        })
    }

    /// Labels those that nobody has waited for since `since`, and returns them.
    pub(super) fn newly_orphaned(&self, since: i64) -> Vec<Uuid> {
        let mut orphaned = Vec::new();
        for mut pending in self.pending.iter_mut() {
            if pending.waiters == 0 && !pending.orphaned && pending.alone_since <= since {
                pending.orphaned = true;
                orphaned.push(*pending.key());
            }
        }
        orphaned
    }

    /// How many approvals are pending, and how many hooks wait.
    pub(super) fn load(&self) -> (usize, usize) {
        let waiting = self.pending.iter().map(|pending| pending.waiters).sum();
        (self.pending.len(), waiting)
    }

    /// Whether nobody waits for a pending approval at this moment.
    pub(super) fn is_alone(&self, id: Uuid) -> bool {
        self.pending.get(&id).is_some_and(|pending| pending.waiters == 0)
    }
}

impl CommitListener for Board {
    fn committed(&self, events: &[Committed]) {
        for event in ledger(events) {
            let kind = event.event.kind.as_str();
            self.metrics.approval(outcome(kind));
            let Ok(payload) = serde_json::from_str::<Payload>(&event.event.payload) else { continue };
            match (kind, payload.question) {
                (event::REQUESTED, _) => self.put(payload.approval_id, payload.workspace_id, false),
                (event::DECIDED | event::EXPIRED | event::WITHDRAWN, _) => {
                    let Payload { status, note, expiry_reason, .. } = payload;
                    self.end(payload.approval_id, Verdict { status, note, expiry_reason });
                }
                _ => {}
            }
        }
    }

    /// What another server ends has waiters here, perhaps; what it opens has its waiters there.
    fn heard(&self, events: &[Committed]) {
        for event in ledger(events) {
            if matches!(event.event.kind.as_str(), event::DECIDED | event::EXPIRED | event::WITHDRAWN)
                && let Ok(Payload { approval_id, status, note, expiry_reason, .. }) =
                    serde_json::from_str(&event.event.payload)
            {
                self.end(approval_id, Verdict { status, note, expiry_reason });
            }
        }
    }
}

/// The ledger's own events: in runs, where agents may not use this prefix. Elsewhere anybody may have said so.
fn ledger(events: &[Committed]) -> impl Iterator<Item = &Committed> {
    events.iter().filter(|event| event.event.kind.starts_with("approval.") && event.event.stream.starts_with("runs/"))
}

/// The metric's word for an event of the ledger.
fn outcome(kind: &str) -> &'static str {
    match kind {
        event::REQUESTED => "requested",
        event::DECIDED => "decided",
        event::EXPIRED => "expired",
        event::WITHDRAWN => "withdrawn",
        event::DELIVERED => "delivered",
        event::CONSUMED => "consumed",
        event::ORPHANED => "orphaned",
        event::REATTACHED => "reattached",
        _ => "other",
    }
}

/// A place among those who wait; leaves it when dropped.
pub(super) struct Attached {
    id: Uuid,
    pub(super) was_orphaned: bool,
    verdict: watch::Receiver<Option<Arc<Verdict>>>,
    board: Arc<Board>,
}

impl Attached {
    pub(super) const fn id(&self) -> Uuid {
        self.id
    }

    /// Completes with the verdict.
    pub(super) async fn verdict(&mut self) -> Arc<Verdict> {
        // The sender goes only after it has sent, so the loop ends with the verdict.
        loop {
            if let Some(verdict) = self.verdict.borrow_and_update().clone() {
                return verdict;
            }
            if self.verdict.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        if let Some(mut pending) = self.board.pending.get_mut(&self.id) {
            // The entry may be a later one, if the approval was put up again in between.
            pending.waiters = pending.waiters.saturating_sub(1);
            pending.alone_since = self.board.clock.now();
        }
    }
}
