//! The list of open sockets, and what becomes of each with time: heartbeats, silence, clients that take nothing.
//!
//! One task looks at all of them once a second. A timer for each would cost memory for each.

use std::sync::Arc;
use std::time::Duration;

use flightdeck_api::support::SocketLimits;
use parking_lot::Mutex;
use slab::Slab;

use super::line::{Line, Orders, Report};
use crate::clock::Clock;

/// Between two looks, in milliseconds.
const EVERY: i64 = 1_000;

/// How long a client may take nothing of what waits for it. Where raw data waits, its source waits, too, and nothing is
/// lost or piles up: there it is as long as a client may be silent.
const STUCK: Duration = Duration::from_secs(5);

/// Every open socket of the server.
pub(super) struct List {
    clock: Arc<dyn Clock>,
    most: usize,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    sockets: Slab<Watched>,
    /// No further ones are taken.
    leaving: bool,
}

/// A socket's place among the open ones, until this is dropped.
pub(super) struct Place {
    list: Arc<List>,
    key: usize,
    line: Arc<Line>,
}

impl List {
    /// For at most `most` sockets.
    pub(super) fn new(clock: Arc<dyn Clock>, most: usize) -> Self {
        Self { clock, most, open: Mutex::default() }
    }

    /// A place for one more, if there is one and the server goes on. `paced`: it sends raw data only as fast as its client
    /// reads.
    pub(super) fn admit(self: &Arc<Self>, limits: &SocketLimits, paced: bool) -> Option<Place> {
        let line = Arc::new(Line::default());
        let watched = Watched::new(line.clone(), limits, paced, self.clock.monotonic());
        let mut open = self.open.lock();
        if open.leaving || open.sockets.len() >= self.most {
            return None;
        }
        let key = open.sockets.insert(watched);
        Some(Place { list: self.clone(), key, line })
    }

    /// Tells every socket to end, and admits none from now on.
    pub(super) fn leave(&self) {
        let mut open = self.open.lock();
        open.leaving = true;
        for (_, watched) in &open.sockets {
            watched.line.order(Orders::LEAVE);
        }
    }

    /// Works until dropped.
    pub(super) async fn sweep(&self) {
        loop {
            self.clock.sleep_until(self.clock.now() + EVERY).await;
            let now = self.clock.monotonic();
            let mut open = self.open.lock();
            for (_, watched) in &mut open.sockets {
                let orders = watched.orders(watched.line.report(), now);
                watched.line.order(orders);
            }
        }
    }
}

impl Place {
    pub(super) fn line(&self) -> &Arc<Line> {
        &self.line
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.list.open.lock();
        open.sockets.remove(self.key);
        // Of a crowd that has left, the room is given back.
        if open.sockets.is_empty() {
            open.sockets.shrink_to_fit();
        }
    }
}

/// What the sweeper knows of a socket.
struct Watched {
    line: Arc<Line>,
    heartbeat: Duration,
    silence: Duration,
    /// How long it may take nothing.
    stuck: Duration,
    /// When the next heartbeat is due.
    due: Duration,
    heard_at: Duration,
    /// When the client was first asked for a sign of life that it has not given.
    asked_at: Option<Duration>,
    /// Since when it has taken nothing of what waits.
    stuck_since: Option<Duration>,
}

impl Watched {
    fn new(line: Arc<Line>, limits: &SocketLimits, paced: bool, now: Duration) -> Self {
        let SocketLimits { heartbeat, silence, .. } = *limits;
        let stuck = if paced { silence } else { STUCK };
        Self { line, heartbeat, silence, stuck, due: now + heartbeat, heard_at: now, asked_at: None, stuck_since: None }
    }

    /// What a socket that reports this is told now.
    fn orders(&mut self, report: Report, now: Duration) -> Orders {
        let mut orders = Orders::NONE;
        if report.heard {
            self.heard_at = now;
            self.asked_at = None;
        }
        // A client that was never asked is not silent: perhaps it was this process that stood still.
        let asked = self.asked_at.is_some_and(|at| now.saturating_sub(at) + self.heartbeat >= self.silence);
        if asked && now.saturating_sub(self.heard_at) >= self.silence {
            orders = orders.and(Orders::SILENT);
        }
        if now >= self.due {
            self.due = now + self.heartbeat;
            self.asked_at.get_or_insert(now);
            orders = orders.and(Orders::HEARTBEAT);
        }
        if report.moved || !report.blocked {
            self.stuck_since = None;
        }
        if report.blocked {
            let since = *self.stuck_since.get_or_insert(now);
            orders = orders.and(Orders::LOOK);
            if now.saturating_sub(since) >= self.stuck {
                orders = orders.and(Orders::STUCK);
            }
        }
        orders
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;
    use crate::clock::ManualClock;

    const LIMITS: SocketLimits = SocketLimits {
        max_message_bytes: 1,
        messages_per_second: 1,
        faults_in_a_row: 1,
        subscriptions: 1,
        queue_events: 1,
        queue_bytes: 1,
        heartbeat: Duration::from_secs(20),
        silence: Duration::from_secs(60),
    };

    /// What is told at each second from 1 to `until`, if the client reports what `report` says for that second.
    fn told(until: u64, report: impl Fn(u64) -> Report) -> Vec<(u64, Orders)> {
        let mut watched = Watched::new(Arc::default(), &LIMITS, false, Duration::ZERO);
        let orders = (1..=until).map(|at| (at, watched.orders(report(at), Duration::from_secs(at))));
        orders.filter(|(_, orders)| *orders != Orders::NONE).collect()
    }

    #[test]
    fn a_client_that_answers_gets_heartbeats_and_stays() {
        let told = told(100, |at| Report { heard: at % 20 == 1, ..Report::default() });
        assert_eq!(told, [20, 40, 60, 80, 100].map(|at| (at, Orders::HEARTBEAT)));
    }

    #[test]
    fn a_client_that_never_answers_is_silent_after_its_time() {
        let told = told(60, |_| Report::default());
        let last = Orders::SILENT.and(Orders::HEARTBEAT);
        assert_eq!(told, [(20, Orders::HEARTBEAT), (40, Orders::HEARTBEAT), (60, last)]);
    }

    #[test]
    fn time_in_which_nobody_looked_makes_no_client_silent() {
        let mut watched = Watched::new(Arc::default(), &LIMITS, false, Duration::ZERO);
        assert_eq!(watched.orders(Report::default(), Duration::from_secs(600)), Orders::HEARTBEAT);
        assert_eq!(watched.orders(Report::default(), Duration::from_secs(639)), Orders::HEARTBEAT);
        assert!(watched.orders(Report::default(), Duration::from_secs(640)).include(Orders::SILENT));
    }

    #[test]
    fn a_client_that_takes_nothing_is_stuck_and_a_slow_one_is_not() {
        let blocked = Report { heard: true, blocked: true, moved: false };
        let stuck: Vec<u64> = told(9, |at| if at == 1 { Report::default() } else { blocked })
            .into_iter()
            .filter_map(|(at, orders)| orders.include(Orders::STUCK).then_some(at))
            .collect();
        assert_eq!(stuck, [7, 8, 9], "blocked since the second second");
        let slow = told(60, |at| Report { moved: at % 4 == 0, ..blocked });
        assert!(slow.iter().all(|(_, orders)| orders.include(Orders::LOOK) && !orders.include(Orders::STUCK)));
    }

    #[test]
    fn a_client_that_pauses_raw_data_is_stuck_only_when_it_would_be_silent() {
        let mut watched = Watched::new(Arc::default(), &LIMITS, true, Duration::ZERO);
        let blocked = Report { heard: true, blocked: true, moved: false };
        let mut stuck = (1..=61).filter(|at| watched.orders(blocked, Duration::from_secs(*at)).include(Orders::STUCK));
        assert_eq!(stuck.next(), Some(61));
    }

    #[tokio::test]
    async fn the_sweeper_goes_by_the_clock_that_it_is_given() {
        let clock = ManualClock::at(1_000_000);
        let list = Arc::new(List::new(Arc::new(clock.clone()), 2));
        let place = list.admit(&LIMITS, false).expect("there is room");
        let sweeping = tokio::spawn({
            let list = list.clone();
            async move { list.sweep().await }
        });
        let told = async || {
            for _ in 0..10 {
                tokio::task::yield_now().await;
            }
            place.line().orders(Waker::noop())
        };
        assert_eq!(told().await, Orders::NONE);
        clock.advance(Duration::from_millis(19_999));
        assert_eq!(told().await, Orders::NONE);
        clock.advance(Duration::from_secs(1));
        assert_eq!(told().await, Orders::HEARTBEAT);
        sweeping.abort();
    }

    #[test]
    fn no_more_than_the_limit_are_admitted_and_none_when_leaving() {
        let list = Arc::new(List::new(Arc::new(ManualClock::at(0)), 2));
        let first = list.admit(&LIMITS, false).expect("there is room");
        let second = list.admit(&LIMITS, false).expect("there is room");
        assert!(list.admit(&LIMITS, false).is_none());
        drop(first);
        let third = list.admit(&LIMITS, false).expect("a place is free again");
        list.leave();
        for place in [&second, &third] {
            assert_eq!(place.line().orders(Waker::noop()), Orders::LEAVE);
        }
        drop(second);
        assert!(list.admit(&LIMITS, false).is_none());
    }
}
