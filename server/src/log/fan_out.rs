//! Hands what is committed to the tails, in a task of its own: a stream with a thousand followers must not hold up the
//! writer.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::tail::Tails;
use super::{CommitListener, Committed};
use crate::store::events::NewEvent;

/// Batches that may wait. When they do not fit, the writer hands the next one over itself, and so slows down.
const QUEUE: usize = 256;

#[derive(Debug, Clone)]
pub(super) struct FanOut {
    tails: Arc<Tails>,
    batches: mpsc::Sender<Batch>,
}

enum Batch {
    Committed(Vec<Committed>),
    /// Has no place, but comes after what was committed before it.
    Announced(NewEvent),
}

impl FanOut {
    /// Starts the task; it ends with this.
    pub(super) fn start(tails: Arc<Tails>) -> Self {
        let (batches, mut waiting) = mpsc::channel(QUEUE);
        let receiver = tails.clone();
        tokio::spawn(async move {
            while let Some(batch) = waiting.recv().await {
                match batch {
                    Batch::Committed(events) => receiver.deliver(&events),
                    Batch::Announced(event) => receiver.announce(event),
                }
            }
        });
        Self { tails, batches }
    }

    /// Sends an event that is not kept to those who follow its stream, after everything that was committed before. It is
    /// lost if too much waits, and not made if nobody follows.
    pub(super) fn announce(&self, stream: &str, event: impl FnOnce() -> NewEvent) {
        if self.tails.is_followed(stream) {
            let _ = self.batches.try_send(Batch::Announced(event()));
        }
    }
}

impl CommitListener for FanOut {
    fn committed(&self, events: &[Committed]) {
        if !self.tails.concerns(events) {
            return;
        }
        // Out of turn it may come before batches that wait; a tail then finds a hole and reads it from the database.
        if self.batches.try_send(Batch::Committed(events.to_vec())).is_err() {
            self.tails.deliver(events);
        }
    }

    fn missed(&self) {
        self.tails.catch_up();
    }
}
