//! What is counted as it is committed: how much was said and done lately. What this server did not see committed is counted
//! in the log: what was there when it started, and what other servers committed while they could not be heard.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use flightdeck_api::generated::types::HubEventName;
use parking_lot::Mutex;
use uuid::{Builder, Uuid, Version};

use crate::clock::Clock;
use crate::log::{CommitListener, Committed};
use crate::store::events::NewEvent;
use crate::store::{Reader, StoreError, hub_metrics};

const MINUTE: i64 = 60_000;

/// Between two counts in the log, in milliseconds.
const EVERY: i64 = 10_000;

/// Counts messages on the hub, and actions of runs.
pub struct Activity {
    clock: Arc<dyn Clock>,
    messages: Mutex<Rolling>,
    actions: Mutex<Rolling>,
    /// Something may have been committed that was not counted.
    doubtful: AtomicBool,
    /// When it was last counted in the log.
    looked_at: Mutex<Option<i64>>,
}

impl Activity {
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            messages: Mutex::new(Rolling::new(60 * MINUTE)),
            actions: Mutex::new(Rolling::new(MINUTE)),
            doubtful: AtomicBool::new(true),
            looked_at: Mutex::default(),
        }
    }

    /// `message.new` on the hub, within the last hour. What is told on two channels is one message.
    pub(super) fn messages_last_hour(&self) -> u64 {
        self.messages.lock().count(self.clock.now())
    }

    /// What agents reported of their runs within the last minute, but for beginnings and ends.
    pub(super) fn actions_per_minute(&self) -> u64 {
        self.actions.lock().count(self.clock.now())
    }

    /// Counts in the log what may not have been counted, if there is anything like that.
    ///
    /// # Errors
    /// If the database can't be reached; the next call tries again.
    pub(super) async fn catch_up(&self, reader: &Reader) -> Result<(), StoreError> {
        let now = self.clock.now();
        if self.looked_at.lock().is_some_and(|at| (at..at + EVERY).contains(&now))
            || !self.doubtful.swap(false, Ordering::Relaxed)
        {
            return Ok(());
        }
        *self.looked_at.lock() = Some(now);
        let counted = self.count_in_the_log(reader, now).await;
        self.doubtful.fetch_or(counted.is_err(), Ordering::Relaxed);
        counted
    }

    async fn count_in_the_log(&self, reader: &Reader, now: i64) -> Result<(), StoreError> {
        let mut messages = Rolling::new(60 * MINUTE);
        hub_metrics::said(reader, HubEventName::MessageNew.as_str(), now - 60 * MINUTE, |id, at| {
            messages.add(u64::from(!is_copy(id)), at, now);
        })
        .await?;
        let mut actions = Rolling::new(MINUTE);
        hub_metrics::done(reader, now - MINUTE, |kind, at| actions.add(u64::from(is_action(kind)), at, now)).await?;
        self.messages.lock().merge(&messages);
        self.actions.lock().merge(&actions);
        Ok(())
    }
}

impl CommitListener for Activity {
    fn committed(&self, events: &[Committed]) {
        let now = self.clock.now();
        for Committed { event, .. } in events {
            if is_message(event) {
                self.messages.lock().add(1, event.created_at, now);
            } else if event.stream.starts_with("runs/") && is_action(&event.kind) {
                self.actions.lock().add(1, event.created_at, now);
            }
        }
    }

    fn missed_in(&self, stream: &str) {
        if stream.starts_with("runs/") || stream.starts_with("channels/") {
            self.missed();
        }
    }

    fn missed(&self) {
        self.doubtful.store(true, Ordering::Relaxed);
    }
}

fn is_message(event: &NewEvent) -> bool {
    event.kind == HubEventName::MessageNew.as_str() && event.stream.starts_with("channels/") && !is_copy(event.id)
}

/// What agents do between the beginning and the end of a run.
fn is_action(kind: &str) -> bool {
    !kind.starts_with("RUN_") && !kind.starts_with("approval.")
}

/// The id of an event that is told on a second channel. It says so itself, by its version: whoever counts need not find the
/// first one, also after a restart.
pub(super) fn copy_id() -> Uuid {
    Builder::from_bytes(Uuid::now_v7().into_bytes()).with_version(Version::Custom).into_uuid()
}

fn is_copy(id: Uuid) -> bool {
    id.get_version() == Some(Version::Custom)
}

/// Parts into which a span is divided.
const PARTS: i64 = 60;

/// A count of what happened within the last while, to a sixtieth of it.
#[derive(Debug)]
struct Rolling {
    part: i64,
    /// By number of part.
    counts: BTreeMap<i64, u64>,
}

impl Rolling {
    const fn new(span: i64) -> Self {
        Self { part: span / PARTS, counts: BTreeMap::new() }
    }

    /// Counts what happened at `at`, by whatever clock: nothing is of the future.
    fn add(&mut self, count: u64, at: i64, now: i64) {
        self.forget(now);
        *self.counts.entry(at.min(now) / self.part).or_default() += count;
    }

    /// Takes in what was counted in the log. Either may lack something that the other has: each part is as large as the
    /// larger of the two.
    fn merge(&mut self, log: &Self) {
        for (part, counted) in &log.counts {
            let count = self.counts.entry(*part).or_default();
            *count = (*count).max(*counted);
        }
    }

    fn count(&mut self, now: i64) -> u64 {
        self.forget(now);
        self.counts.values().sum()
    }

    fn forget(&mut self, now: i64) {
        let oldest = now / self.part - PARTS;
        while let Some(part) = self.counts.first_entry().filter(|part| *part.key() <= oldest) {
            part.remove();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::ManualClock;

    const NOW: i64 = 1_700_000_000_000;

    fn event(clock: &ManualClock, stream: &str, kind: &str, id: Uuid) -> Committed {
        let event = NewEvent {
            stream: stream.to_owned(),
            id,
            kind: kind.to_owned(),
            created_at: clock.now(),
            happened_at: None,
            payload: "1".to_owned(),
        };
        Committed { event: Arc::new(event), seq: 1 }
    }

    #[test]
    fn a_message_counts_once_and_for_an_hour() {
        let clock = ManualClock::at(NOW);
        let activity = Activity::new(Arc::new(clock.clone()));
        activity.committed(&[event(&clock, "channels/sessions/r", "message.new", Uuid::now_v7())]);
        // What belongs together may come apart.
        activity.committed(&[
            event(&clock, "channels/global", "message.new", copy_id()),
            event(&clock, "channels/global", "message.new", Uuid::now_v7()),
            event(&clock, "channels/global", "message.read", Uuid::now_v7()),
            event(&clock, "agents/a", "message_out", Uuid::now_v7()),
        ]);
        assert_eq!(activity.messages_last_hour(), 2);
        // The same words, said twice.
        let said = || event(&clock, "channels/topics/x", "message.new", Uuid::now_v7());
        activity.committed(&[said(), said()]);
        assert_eq!(activity.messages_last_hour(), 4);
        clock.advance(Duration::from_secs(59 * 60));
        activity.committed(&[event(&clock, "channels/topics/x", "message.new", Uuid::now_v7())]);
        assert_eq!(activity.messages_last_hour(), 5);
        clock.advance(Duration::from_secs(60));
        assert_eq!(activity.messages_last_hour(), 1);
    }

    #[test]
    fn actions_are_what_agents_do() {
        let clock = ManualClock::at(NOW);
        let activity = Activity::new(Arc::new(clock.clone()));
        for kind in ["RUN_STARTED", "TOOL_USED", "approval.requested", "NOTE", "RUN_FINISHED"] {
            activity.committed(&[event(&clock, "runs/r", kind, Uuid::now_v7())]);
        }
        assert_eq!(activity.actions_per_minute(), 2);
        clock.advance(Duration::from_secs(30));
        activity.committed(&[event(&clock, "runs/r", "TOOL_USED", Uuid::now_v7())]);
        assert_eq!(activity.actions_per_minute(), 3);
        clock.advance(Duration::from_secs(31));
        assert_eq!(activity.actions_per_minute(), 1);
        clock.advance(Duration::from_secs(3_600));
        assert_eq!(activity.actions_per_minute(), 0);
    }

    #[test]
    fn what_the_log_has_is_counted_once() {
        let (mut here, mut log) = (Rolling::new(MINUTE), Rolling::new(MINUTE));
        for at in [NOW, NOW + 1_000, NOW + 1_001] {
            log.add(1, at, NOW + 2_000);
        }
        here.add(1, NOW + 1_001, NOW + 2_000);
        // Committed after the log was looked at, and told by a clock that goes ahead.
        here.add(1, NOW + 9_000, NOW + 2_000);
        here.merge(&log);
        assert_eq!(here.count(NOW + 2_000), 4);
    }
}
