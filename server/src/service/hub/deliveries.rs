//! What one client has been sent and has not acknowledged: sent again after a while, a few times, with the same id.

use flightdeck_api::support::{Frame, Queue};
use uuid::Uuid;

/// How long a client has to acknowledge, in milliseconds.
const PATIENCE: i64 = 5_000;

/// How often something is sent in all.
const SENDS: u8 = 3;

/// One event, sent to one client because of one of its subscriptions.
#[derive(Debug)]
pub(super) struct Delivery<S> {
    pub(super) id: Uuid,
    pub(super) subscription: S,
    pub(super) seq: i64,
    frame: Frame,
    due: i64,
    sends: u8,
}

impl<S> Delivery<S> {
    /// When it was sent last.
    pub(super) const fn sent_at(&self) -> i64 {
        self.due - PATIENCE
    }
}

/// The deliveries of one client, the one that is due first in front: each is due the same time after it was sent.
#[derive(Debug)]
pub(super) struct Deliveries<S> {
    queue: Queue<Delivery<S>>,
    bytes: usize,
}

/// What is to be done about a delivery.
#[derive(Debug)]
pub(super) enum Due<S> {
    Again(Frame),
    /// It has been sent as often as it ever is.
    Over(Delivery<S>),
}

impl<S: Copy + PartialEq> Deliveries<S> {
    pub(super) const fn new() -> Self {
        Self { queue: Queue::new(), bytes: 0 }
    }

    /// Notes that an event has been sent now.
    pub(super) fn sent(&mut self, id: Uuid, subscription: S, seq: i64, frame: Frame, now: i64) {
        self.bytes += frame.len();
        self.queue.push(Delivery { id, subscription, seq, frame, due: now + PATIENCE, sends: 1 });
    }

    /// The client has it.
    pub(super) fn acknowledge(&mut self, id: Uuid) -> Option<Delivery<S>> {
        // Clients acknowledge in the order in which they got things, more or less.
        let index = self.queue.iter().position(|delivery| delivery.id == id)?;
        let delivery = self.queue.remove(index)?;
        self.bytes -= delivery.frame.len();
        Some(delivery)
    }

    /// The next delivery that is due.
    pub(super) fn next_due(&mut self, now: i64) -> Option<Due<S>> {
        if self.due()? > now {
            return None;
        }
        let mut delivery = self.queue.pop()?;
        if delivery.sends >= SENDS {
            self.bytes -= delivery.frame.len();
            return Some(Due::Over(delivery));
        }
        delivery.sends += 1;
        delivery.due = now + PATIENCE;
        let frame = delivery.frame.clone();
        self.queue.push(delivery);
        Some(Due::Again(frame))
    }

    /// When the next one is due.
    pub(super) fn due(&self) -> Option<i64> {
        self.queue.front().map(|delivery| delivery.due)
    }

    /// Forgets those of a subscription.
    pub(super) fn drop_those_of(&mut self, subscription: S) {
        self.queue.retain(|delivery| delivery.subscription != subscription);
        self.bytes = self.queue.iter().map(|delivery| delivery.frame.len()).sum();
    }

    /// The subscription goes on under another name.
    pub(super) fn rename(&mut self, from: S, to: S) {
        let deliveries = self.queue.iter_mut().filter(|delivery| delivery.subscription == from);
        deliveries.for_each(|delivery| delivery.subscription = to);
    }

    /// The places of those of a subscription, in no order.
    pub(super) fn seqs_of(&self, subscription: S) -> impl Iterator<Item = i64> + '_ {
        let deliveries = self.queue.iter().filter(move |delivery| delivery.subscription == subscription);
        deliveries.map(|delivery| delivery.seq)
    }

    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    /// Of the frames that are kept.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Gives back room that was not needed since the last time.
    pub(super) fn tidy(&mut self) {
        self.queue.tidy();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn again(due: Option<Due<u8>>) -> String {
        match due {
            Some(Due::Again(frame)) => frame.as_str().to_owned(),
            other => panic!("not again: {other:?}"),
        }
    }

    #[test]
    fn what_is_not_acknowledged_is_sent_three_times() {
        let mut deliveries = Deliveries::new();
        let id = Uuid::now_v7();
        deliveries.sent(id, 1, 7, Frame::from_static("x"), 1_000);
        assert!(deliveries.next_due(5_999).is_none());
        assert_eq!(again(deliveries.next_due(6_000)), "x");
        assert_eq!(deliveries.due(), Some(11_000));
        assert_eq!(again(deliveries.next_due(11_500)), "x");
        assert!(deliveries.next_due(16_499).is_none());
        assert!(matches!(deliveries.next_due(16_500), Some(Due::Over(delivery)) if delivery.seq == 7));
        assert!(deliveries.next_due(99_999).is_none());
        assert_eq!((deliveries.len(), deliveries.bytes()), (0, 0));
    }

    #[test]
    fn what_is_acknowledged_is_not_sent_again() {
        let mut deliveries = Deliveries::new();
        let ids: Vec<Uuid> = (0..3).map(|_| Uuid::now_v7()).collect();
        for (seq, id) in (1..).zip(&ids) {
            deliveries.sent(*id, 1, seq, Frame::from_static("xyz"), seq);
        }
        assert_eq!(deliveries.acknowledge(ids[1]).map(|delivery| delivery.seq), Some(2));
        assert!(deliveries.acknowledge(ids[1]).is_none() && deliveries.acknowledge(Uuid::now_v7()).is_none());
        assert_eq!(deliveries.seqs_of(1).collect::<Vec<_>>(), [1, 3]);
        assert_eq!((deliveries.len(), deliveries.bytes(), deliveries.due()), (2, 6, Some(5_001)));
        assert!(again(deliveries.next_due(5_002)).starts_with('x'));
        assert!(deliveries.next_due(5_002).is_none(), "the third is due a little later");
    }

    #[test]
    fn a_channel_that_is_left_is_left_alone() {
        let mut deliveries = Deliveries::new();
        let kept = Uuid::now_v7();
        deliveries.sent(Uuid::now_v7(), 1, 1, Frame::from_static("one"), 0);
        deliveries.sent(kept, 2, 1, Frame::from_static("two!"), 0);
        deliveries.drop_those_of(1);
        assert_eq!((deliveries.len(), deliveries.bytes()), (1, 4));
        deliveries.rename(2, 3);
        assert_eq!(deliveries.seqs_of(2).count(), 0);
        assert_eq!(deliveries.acknowledge(kept).map(|delivery| delivery.subscription), Some(3));
    }
}
