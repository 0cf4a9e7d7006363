//! When a failed attempt is followed by another, and after how long. Pure decisions; the loop is in `execute.rs`.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::random::{self, Random};
use crate::Error;

/// How often, and how far apart, a call is repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetryPolicy {
    /// Attempts after the first.
    pub retries: u32,
    /// The longest wait before the first repetition; it doubles with each.
    pub base: Duration,
    /// No wait is longer, unless the server asks for more.
    pub cap: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { retries: 4, base: Duration::from_millis(100), cap: Duration::from_secs(5) }
    }
}

impl RetryPolicy {
    /// How long to wait before repetition number `repetition`, which counts from 0.
    ///
    /// Full jitter: anything from nothing to the current maximum, so that clients which failed together do not come
    /// back together.
    pub fn backoff(&self, repetition: u32, random: &dyn Random) -> Duration {
        let longest = self.base.saturating_mul(2_u32.saturating_pow(repetition)).min(self.cap);
        longest.mul_f64(random::fraction(random))
    }

    /// The wait that a failure asks for: the server's wish where it has one, and jitter on top of it.
    pub(crate) fn delay(&self, error: &Error, repetition: u32, random: &dyn Random) -> Duration {
        match error.retry_after() {
            Some(wish) => wish.saturating_add(self.backoff(0, random)),
            None => self.backoff(repetition, random),
        }
    }
}

/// Whether a failed attempt may be repeated at all.
///
/// `repeatable`: sending the request twice has the effect of sending it once, by its method, by the
/// protocol's promise or by its key. A request that is not is repeated only when it surely did not take effect: no connection was made, or the server turned it
/// away before doing anything (429, 503).
pub(crate) fn may_repeat(error: &Error, repeatable: bool) -> bool {
    match error {
        Error::Connection { maybe_delivered, .. } => repeatable || !maybe_delivered,
        Error::Timeout { .. } => repeatable,
        Error::Api(refusal) => refusal.is_retryable() && (repeatable || matches!(refusal.status, 429 | 503)),
        _ => false,
    }
}

/// A shared allowance for repetitions. When everything fails, it runs out and calls fail at once, instead of
/// multiplying the load on a server that is already in trouble.
#[derive(Debug)]
pub(crate) struct RetryBudget {
    tokens: AtomicU32,
    capacity: u32,
}

impl RetryBudget {
    pub(crate) const fn new(capacity: u32) -> Self {
        Self { tokens: AtomicU32::new(capacity), capacity }
    }

    /// Pays for one repetition. `false`: the budget is used up.
    pub(crate) fn take(&self) -> bool {
        self.tokens.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |tokens| tokens.checked_sub(1)).is_ok()
    }

    /// A call succeeded: one repetition more is allowed again.
    pub(crate) fn refund(&self) {
        let _full = self.tokens.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |tokens| {
            (tokens < self.capacity).then_some(tokens + 1)
        });
    }
}
