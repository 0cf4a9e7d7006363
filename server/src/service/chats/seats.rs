//! How many agents run at once. Where all seats are taken, an agent that waits for its next message gives way.

use std::sync::Arc;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// The seats of this server.
#[derive(Debug)]
pub(super) struct Seats {
    free: Arc<Semaphore>,
    /// Rings one idle agent when somebody has none.
    wanted: Notify,
}

/// A seat that is taken; it is free again when this is dropped.
#[derive(Debug)]
pub(super) struct Seat(#[expect(dead_code, reason = "held for its drop")] OwnedSemaphorePermit);

impl Seats {
    pub(super) fn new(most: usize) -> Self {
        Self { free: Arc::new(Semaphore::new(most)), wanted: Notify::new() }
    }

    /// Waits for a seat.
    pub(super) async fn take(&self) -> Seat {
        if self.free.available_permits() == 0 {
            self.wanted.notify_one();
        }
        match self.free.clone().acquire_owned().await {
            Ok(permit) => Seat(permit),
            Err(_) => unreachable!("it is never closed"),
        }
    }

    /// Completes when somebody wants a seat.
    pub(super) async fn wanted(&self) {
        self.wanted.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_idle_agent_gives_way() {
        let seats = Seats::new(1);
        let idle = seats.take().await;
        let (taken, ()) = tokio::join!(seats.take(), async {
            seats.wanted().await;
            drop(idle);
        });
        drop(taken);
    }
}
