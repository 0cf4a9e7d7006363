//! Waiting for a stream to grow, for those who then look at something else.

use std::sync::Arc;

use tokio::sync::watch;

use super::tail::{Tail, Tails};

/// Waits for a stream to grow.
#[derive(Debug)]
pub struct Watching {
    /// Present until dropped.
    tail: Option<Arc<Tail>>,
    moved: watch::Receiver<u64>,
    tails: Arc<Tails>,
}

impl Watching {
    pub(super) fn new(tails: Arc<Tails>, stream: &str) -> Self {
        let tail = tails.tail(stream);
        Self { moved: tail.watch(), tail: Some(tail), tails }
    }

    /// Completes when something may have been appended since the last call, or since the watching began.
    pub async fn appended(&mut self) {
        // The tail holds the sender, and this holds the tail.
        let _ = self.moved.changed().await;
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        if let Some(tail) = self.tail.take() {
            self.tails.release(tail);
        }
    }
}
