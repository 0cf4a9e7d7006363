//! A queue of one connection: there may be thousands, which mostly wait, and now and then each gets a burst.
//!
//! It keeps the room of a burst for the next one, so that a busy connection costs no allocation, and gives it back when
//! there has been none for a while: connections live for long.

use std::collections::VecDeque;
use std::ops::{Deref, DerefMut};

/// Room that is not worth giving back.
const KEPT: usize = 16;

/// A queue. Empty, it takes no memory of its own.
#[derive(Debug)]
pub struct Queue<T> {
    items: VecDeque<T>,
    /// The most that it held since it was tidied.
    most: usize,
}

impl<T> Queue<T> {
    /// An empty one.
    #[must_use]
    pub const fn new() -> Self {
        Self { items: VecDeque::new(), most: 0 }
    }

    /// Puts something behind the others.
    pub fn push(&mut self, item: T) {
        self.items.push_back(item);
        self.most = self.most.max(self.items.len());
    }

    /// Takes the first out.
    pub fn pop(&mut self) -> Option<T> {
        self.items.pop_front()
    }

    /// Gives back room that was not needed since the last time. Comes with each heartbeat.
    pub fn tidy(&mut self) {
        if self.items.is_empty() && self.most <= KEPT && self.items.capacity() > KEPT {
            self.items = VecDeque::new();
        }
        self.most = self.items.len();
    }
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Deref for Queue<T> {
    type Target = VecDeque<T>;

    fn deref(&self) -> &VecDeque<T> {
        &self.items
    }
}

impl<T> DerefMut for Queue<T> {
    fn deref_mut(&mut self) -> &mut VecDeque<T> {
        &mut self.items
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn burst(queue: &mut Queue<usize>, count: usize) {
        (0..count).for_each(|item| queue.push(item));
        (0..count).for_each(|item| assert_eq!(queue.pop(), Some(item)));
    }

    #[test]
    fn bursts_keep_their_room_and_the_last_one_gives_it_back() {
        let mut queue = Queue::new();
        for _ in 0..3 {
            burst(&mut queue, KEPT * 4);
            assert!(queue.capacity() >= KEPT * 4, "there may be another");
            queue.tidy();
        }
        assert!(queue.capacity() >= KEPT * 4, "there was one since the last heartbeat");
        burst(&mut queue, 1);
        queue.tidy();
        assert_eq!(queue.capacity(), 0);
        burst(&mut queue, 1);
        let kept = queue.capacity();
        queue.tidy();
        queue.tidy();
        assert_eq!(queue.capacity(), kept, "a few places are kept");
    }

    #[test]
    fn what_waits_stays() {
        let mut queue = Queue::new();
        (0..KEPT * 4).for_each(|item| queue.push(item));
        queue.tidy();
        queue.tidy();
        assert_eq!((queue.len(), queue.pop()), (KEPT * 4, Some(0)));
    }
}
