//! What a socket's task and the sweeper tell each other, without a channel or a timer for each socket.

use std::sync::atomic::{AtomicU8, Ordering};
use std::task::Waker;

use futures_util::task::AtomicWaker;

/// The task has heard something.
const HEARD: u8 = 1 << 0;
/// The task could write something.
const MOVED: u8 = 1 << 1;
/// The task has something to write, and the client takes nothing.
const BLOCKED: u8 = 1 << 2;

/// A line between one task and the sweeper.
#[derive(Debug, Default)]
pub(super) struct Line {
    /// What the task reports.
    report: AtomicU8,
    /// What the task is told.
    orders: AtomicU8,
    waker: AtomicWaker,
}

/// What a task has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Orders(u8);

impl Orders {
    pub(super) const NONE: Self = Self(0);
    /// Give a sign of life, and ask for one.
    pub(super) const HEARTBEAT: Self = Self(1 << 0);
    /// Look whether the client has fallen behind, though nothing more can be written now.
    pub(super) const LOOK: Self = Self(1 << 1);
    /// The client has given no sign of life for too long.
    pub(super) const SILENT: Self = Self(1 << 2);
    /// The client has taken nothing for too long.
    pub(super) const STUCK: Self = Self(1 << 3);
    /// The server is shutting down.
    pub(super) const LEAVE: Self = Self(1 << 4);

    pub(super) const fn include(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    pub(super) const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// What a task did since it was last asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Report {
    pub(super) heard: bool,
    pub(super) moved: bool,
    pub(super) blocked: bool,
}

impl Line {
    pub(super) fn heard(&self) {
        self.report.fetch_or(HEARD, Ordering::Relaxed);
    }

    pub(super) fn moved(&self) {
        self.report.fetch_or(MOVED, Ordering::Relaxed);
    }

    pub(super) fn blocked(&self, blocked: bool) {
        if blocked {
            self.report.fetch_or(BLOCKED, Ordering::Relaxed);
        } else {
            self.report.fetch_and(!BLOCKED, Ordering::Relaxed);
        }
    }

    /// What happened since the last time.
    pub(super) fn report(&self) -> Report {
        let report = self.report.fetch_and(BLOCKED, Ordering::Relaxed);
        Report { heard: report & HEARD != 0, moved: report & MOVED != 0, blocked: report & BLOCKED != 0 }
    }

    /// Tells the task something, and wakes it.
    pub(super) fn order(&self, orders: Orders) {
        if orders != Orders::NONE {
            self.orders.fetch_or(orders.0, Ordering::Release);
            self.waker.wake();
        }
    }

    /// What the task is to do now. If nothing, `waker` is woken when there is something.
    pub(super) fn orders(&self, waker: &Waker) -> Orders {
        self.waker.register(waker);
        // A look is cheaper than taking, and there is hardly ever something.
        if self.orders.load(Ordering::Acquire) == 0 {
            return Orders::NONE;
        }
        Orders(self.orders.swap(0, Ordering::AcqRel))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_given_once_but_blocked_lasts() {
        let line = Line::default();
        line.heard();
        line.moved();
        line.blocked(true);
        assert_eq!(line.report(), Report { heard: true, moved: true, blocked: true });
        assert_eq!(line.report(), Report { heard: false, moved: false, blocked: true });
        line.blocked(false);
        assert_eq!(line.report(), Report::default());
    }

    #[test]
    fn orders_add_up_until_they_are_taken() {
        let line = Line::default();
        let waker = Waker::noop();
        assert_eq!(line.orders(waker), Orders::NONE);
        line.order(Orders::HEARTBEAT);
        line.order(Orders::LEAVE);
        let orders = line.orders(waker);
        assert!(orders.include(Orders::HEARTBEAT) && orders.include(Orders::LEAVE) && !orders.include(Orders::SILENT));
        assert_eq!(line.orders(waker), Orders::NONE);
    }
}
