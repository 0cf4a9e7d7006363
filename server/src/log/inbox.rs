//! What waits for one reader: new events of all the streams that it follows, in order, within limits.

use std::sync::Arc;
use std::task::Waker;

use flightdeck_api::support::Queue;
use futures_util::task::AtomicWaker;
use parking_lot::Mutex;

use super::live::LiveEvent;

/// How much may wait for a reader.
#[derive(Debug, Clone, Copy)]
pub struct ReaderLimits {
    pub events: usize,
    pub bytes: usize,
}

/// An event that waits, and for which of the reader's subscriptions.
#[derive(Debug)]
pub(super) struct Delivery {
    pub(super) subscription: u64,
    pub(super) event: Arc<LiveEvent>,
}

/// What a reader finds.
pub(super) enum Found {
    Nothing,
    Delivery(Delivery),
    /// More came than may wait; what waited is gone, and nothing more will come.
    Overflow,
}

#[derive(Debug)]
pub(super) struct Inbox {
    queue: Mutex<Waiting>,
    waker: AtomicWaker,
    limits: ReaderLimits,
}

#[derive(Debug, Default)]
struct Waiting {
    deliveries: Queue<Delivery>,
    bytes: usize,
    overflowed: bool,
}

impl Inbox {
    pub(super) fn new(limits: ReaderLimits) -> Self {
        Self { queue: Mutex::default(), waker: AtomicWaker::new(), limits }
    }

    /// Adds events in order.
    pub(super) fn put<'e>(&self, subscription: u64, events: impl Iterator<Item = &'e Arc<LiveEvent>>) {
        let mut queue = self.queue.lock();
        if queue.overflowed {
            return;
        }
        let was_empty = queue.deliveries.is_empty();
        for event in events {
            queue.bytes += event.size();
            queue.deliveries.push(Delivery { subscription, event: event.clone() });
        }
        if queue.deliveries.len() > self.limits.events || queue.bytes > self.limits.bytes {
            *queue = Waiting { overflowed: true, ..Waiting::default() };
        }
        let wake = was_empty && (queue.overflowed || !queue.deliveries.is_empty());
        drop(queue);
        // A reader that has something waiting is awake already.
        if wake {
            self.waker.wake();
        }
    }

    pub(super) fn take(&self) -> Found {
        let mut queue = self.queue.lock();
        match queue.deliveries.pop() {
            Some(delivery) => {
                queue.bytes -= delivery.event.size();
                Found::Delivery(delivery)
            }
            None if queue.overflowed => Found::Overflow,
            None => Found::Nothing,
        }
    }

    /// Gives back room that was not needed since the last time.
    pub(super) fn tidy(&self) {
        self.queue.lock().deliveries.tidy();
    }

    /// Wakes `waker` at the next event. Look again after this: one may have come in between.
    pub(super) fn register(&self, waker: &Waker) {
        self.waker.register(waker);
    }
}
