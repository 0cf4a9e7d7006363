//! How long a long poll waits: until its time is up, or until the server shuts down and its clients must ask again.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::clock::Clock;

/// Makes [`Deadline`]s.
#[derive(Clone)]
pub struct Patience {
    clock: Arc<dyn Clock>,
    shutdown: CancellationToken,
}

impl Patience {
    #[must_use]
    pub const fn new(clock: Arc<dyn Clock>, shutdown: CancellationToken) -> Self {
        Self { clock, shutdown }
    }

    /// The end of a wait that begins now.
    #[must_use]
    pub fn of(&self, seconds: u64) -> Deadline {
        let wait = i64::try_from(seconds.saturating_mul(1_000)).unwrap_or(i64::MAX);
        Deadline { patience: self.clone(), at: self.clock.now().saturating_add(wait) }
    }
}

/// The end of a wait.
pub struct Deadline {
    patience: Patience,
    at: i64,
}

impl Deadline {
    /// Whether the wait is over.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.patience.clock.now() >= self.at || self.patience.shutdown.is_cancelled()
    }

    /// Completes when the wait is over.
    pub async fn passed(&self) {
        tokio::select! {
            () = self.patience.clock.sleep_until(self.at) => {}
            () = self.patience.shutdown.cancelled() => {}
        }
    }
}
