//! Who waits for the next event of which stream.

use std::sync::Arc;

use dashmap::DashMap;
use tokio::sync::watch;

use super::{CommitListener, Committed};

/// The streams that somebody follows, with the last `seq` that was committed while they do.
#[derive(Debug, Default)]
pub(super) struct Follows {
    streams: DashMap<String, watch::Sender<i64>>,
}

impl Follows {
    pub(super) fn follow(self: &Arc<Self>, stream: &str) -> Following {
        let head = self.streams.entry(stream.to_owned()).or_insert_with(|| watch::Sender::new(0)).subscribe();
        Following { stream: stream.to_owned(), head: Some(head), follows: self.clone() }
    }
}

#[cfg(test)]
impl Follows {
    pub(super) fn is_empty(&self) -> bool {
        self.streams.is_empty()
    }
}

impl CommitListener for Follows {
    fn committed(&self, events: &[Committed]) {
        if self.streams.is_empty() {
            return;
        }
        for event in events {
            if let Some(head) = self.streams.get(&event.event.stream) {
                head.send_replace(event.seq);
            }
        }
    }
}

/// Waits for a stream to grow.
#[derive(Debug)]
pub struct Following {
    stream: String,
    /// Present until dropped.
    head: Option<watch::Receiver<i64>>,
    follows: Arc<Follows>,
}

impl Following {
    /// Completes when something has been appended since the last call, or since the following began.
    pub async fn appended(&mut self) {
        let alive = match &mut self.head {
            Some(head) => head.changed().await.is_ok(),
            None => false,
        };
        if !alive {
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        self.head = None;
        // Checked under the entry's lock, so a follower that comes at this moment is not forgotten.
        self.follows.streams.remove_if(&self.stream, |_, head| head.receiver_count() == 0);
    }
}
