//! Hands what is committed to the tails, in a task of its own: a stream with a thousand followers must not hold up the
//! writer.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::tail::Tails;
use super::{CommitListener, Committed};

/// Batches that may wait. When they do not fit, the writer hands the next one over itself, and so slows down.
const QUEUE: usize = 256;

pub(super) struct FanOut {
    tails: Arc<Tails>,
    batches: mpsc::Sender<Vec<Committed>>,
}

impl FanOut {
    /// Starts the task; it ends with this.
    pub(super) fn start(tails: Arc<Tails>) -> Self {
        let (batches, mut waiting) = mpsc::channel::<Vec<Committed>>(QUEUE);
        let receiver = tails.clone();
        tokio::spawn(async move {
            while let Some(batch) = waiting.recv().await {
                receiver.deliver(&batch);
            }
        });
        Self { tails, batches }
    }
}

impl CommitListener for FanOut {
    fn committed(&self, events: &[Committed]) {
        if !self.tails.concerns(events) {
            return;
        }
        // Out of turn it may come before batches that wait; a tail then finds a hole and reads it from the database.
        if self.batches.try_send(events.to_vec()).is_err() {
            self.tails.deliver(events);
        }
    }

    fn missed(&self) {
        self.tails.catch_up();
    }
}
