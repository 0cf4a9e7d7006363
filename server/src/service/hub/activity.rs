//! What is counted as it is committed: nothing else tells how much was said and done lately. The counts begin with the
//! server, and include what other servers on the same database commit.

use std::collections::VecDeque;
use std::sync::Arc;

use flightdeck_api::generated::types::HubEventName;
use parking_lot::Mutex;

use crate::clock::Clock;
use crate::log::{CommitListener, Committed};

const MINUTE: i64 = 60_000;

/// Counts messages on the hub, and actions of runs.
pub struct Activity {
    clock: Arc<dyn Clock>,
    messages: Mutex<Rolling>,
    actions: Mutex<Rolling>,
}

impl Activity {
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, messages: Mutex::new(Rolling::new(60 * MINUTE)), actions: Mutex::new(Rolling::new(MINUTE)) }
    }

    /// `message.new` on the hub, within the last hour. What is told on two channels is one message.
    pub(super) fn messages_last_hour(&self) -> u64 {
        self.messages.lock().count(self.clock.now())
    }

    /// What agents reported of their runs within the last minute, but for beginnings and ends.
    pub(super) fn actions_per_minute(&self) -> u64 {
        self.actions.lock().count(self.clock.now())
    }
}

impl CommitListener for Activity {
    fn committed(&self, events: &[Committed]) {
        let (mut messages, mut actions) = (0, 0);
        for (index, Committed { event, .. }) in events.iter().enumerate() {
            if event.kind == HubEventName::MessageNew.as_str() && event.stream.starts_with("channels/") {
                // The copies of an event are committed side by side.
                let earlier = index.checked_sub(1).map(|index| &events[index].event);
                let copy =
                    earlier.is_some_and(|earlier| earlier.kind == event.kind && earlier.payload == event.payload);
                messages += u64::from(!copy);
            } else if event.stream.starts_with("runs/") {
                let action = !event.kind.starts_with("RUN_") && !event.kind.starts_with("approval.");
                actions += u64::from(action);
            }
        }
        let now = self.clock.now();
        for (counted, rolling) in [(messages, &self.messages), (actions, &self.actions)] {
            if counted > 0 {
                rolling.lock().add(counted, now);
            }
        }
    }
}

/// Parts into which a span is divided.
const PARTS: i64 = 60;

/// A count of what happened within the last while, to a sixtieth of it.
#[derive(Debug)]
struct Rolling {
    part: i64,
    /// By number of part.
    counts: VecDeque<(i64, u64)>,
}

impl Rolling {
    fn new(span: i64) -> Self {
        Self { part: span / PARTS, counts: VecDeque::new() }
    }

    fn add(&mut self, count: u64, now: i64) {
        let part = now / self.part;
        self.forget(now);
        match self.counts.back_mut() {
            // A clock that is set back counts where it was.
            Some((last, counted)) if *last >= part => *counted += count,
            _ => self.counts.push_back((part, count)),
        }
    }

    fn count(&mut self, now: i64) -> u64 {
        self.forget(now);
        self.counts.iter().map(|(_, count)| count).sum()
    }

    fn forget(&mut self, now: i64) {
        let oldest = now / self.part - PARTS;
        while self.counts.front().is_some_and(|(part, _)| *part <= oldest) {
            self.counts.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use uuid::Uuid;

    use super::*;
    use crate::clock::ManualClock;
    use crate::store::events::NewEvent;

    fn event(stream: &str, kind: &str, payload: &str) -> Committed {
        let event = NewEvent {
            stream: stream.to_owned(),
            id: Uuid::now_v7(),
            kind: kind.to_owned(),
            created_at: 0,
            happened_at: None,
            payload: payload.to_owned(),
        };
        Committed { event: Arc::new(event), seq: 1 }
    }

    #[test]
    fn a_message_counts_once_and_for_an_hour() {
        let clock = ManualClock::at(1_700_000_000_000);
        let activity = Activity::new(Arc::new(clock.clone()));
        activity.committed(&[
            event("channels/sessions/r", "message.new", "1"),
            event("channels/global", "message.new", "1"),
            event("channels/global", "message.new", "2"),
            event("channels/global", "message.read", "2"),
            event("agents/a", "message_out", "3"),
        ]);
        assert_eq!(activity.messages_last_hour(), 2);
        clock.advance(Duration::from_secs(59 * 60));
        activity.committed(&[event("channels/topics/x", "message.new", "1")]);
        assert_eq!(activity.messages_last_hour(), 3);
        clock.advance(Duration::from_secs(60));
        assert_eq!(activity.messages_last_hour(), 1);
    }

    #[test]
    fn actions_are_what_agents_do() {
        let clock = ManualClock::at(1_700_000_000_000);
        let activity = Activity::new(Arc::new(clock.clone()));
        for kind in ["RUN_STARTED", "TOOL_USED", "approval.requested", "NOTE", "RUN_FINISHED"] {
            activity.committed(&[event("runs/r", kind, "{}")]);
        }
        assert_eq!(activity.actions_per_minute(), 2);
        clock.advance(Duration::from_secs(30));
        activity.committed(&[event("runs/r", "TOOL_USED", "{}")]);
        assert_eq!(activity.actions_per_minute(), 3);
        clock.advance(Duration::from_secs(31));
        assert_eq!(activity.actions_per_minute(), 1);
        clock.advance(Duration::from_secs(3_600));
        assert_eq!(activity.actions_per_minute(), 0);
    }
}
