//! A long poll that holds on: it asks again for as long as the caller wants to wait, through server restarts and
//! broken connections.

use std::time::Duration;

use super::{Call, Clock, Random, RetryPolicy};
use crate::Result;

/// How long to wait, and in what pieces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct WaitOptions {
    /// How long to wait in all; `None`: until it is settled.
    pub until: Option<Duration>,
    /// How long one request is held open, at most. The default of 50 s stays below the 60 s after which common
    /// proxies cut a silent connection.
    pub poll: Duration,
}

impl Default for WaitOptions {
    fn default() -> Self {
        Self { until: None, poll: Duration::from_secs(50) }
    }
}

impl WaitOptions {
    /// Waits no longer than this.
    #[must_use]
    pub const fn until(mut self, until: Duration) -> Self {
        self.until = Some(until);
        self
    }

    /// Holds one request open no longer than this. Whole seconds, at least one; the server refuses more than it
    /// documents for the operation.
    #[must_use]
    pub const fn poll(mut self, poll: Duration) -> Self {
        self.poll = poll;
        self
    }
}

/// One request of a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Poll {
    /// How long the server is asked to hold the request, in seconds; at least 1.
    pub(crate) seconds: u64,
    /// When to give the request up.
    pub(crate) timeout: Duration,
}

impl Poll {
    /// One attempt only: the wait itself decides what comes after a failure.
    pub(crate) fn limit<T>(self, call: Call<T>) -> Call<T> {
        call.retries(0).timeout(self.timeout).deadline(self.timeout)
    }
}

/// What an answer may take beyond the time it was held, before it counts as lost.
const GRACE: Duration = Duration::from_secs(10);
/// A longer `Retry-After` is not obeyed: it may be a proxy's, and whoever waits would miss the verdict.
const LONGEST_WISH: Duration = Duration::from_secs(30);
/// With less than this left there is no point in asking again.
const SHORTEST: Duration = Duration::from_secs(1);

/// Asks until `settled`, until an error that waiting does not mend, or until the time is up; then the last answer
/// or error stands. No retry budget applies: a waiter costs the server nothing while it backs off.
///
/// Dropping the future ends the wait, and leaves nothing behind.
pub(crate) async fn reattach<T, Ask, Answer>(
    clock: &dyn Clock,
    random: &dyn Random,
    options: WaitOptions,
    settled: impl Fn(&T) -> bool,
    mut ask: Ask,
) -> Result<T>
where
    Ask: FnMut(Poll) -> Answer,
    Answer: IntoFuture<Output = Result<T>>,
{
    let policy = RetryPolicy::default();
    let end = options.until.map(|until| clock.elapsed().saturating_add(until));
    let remaining = || end.map_or(Duration::MAX, |end| end.saturating_sub(clock.elapsed()));

    let mut failures = 0;
    loop {
        let hold = options.poll.min(remaining());
        let poll = Poll { seconds: hold.as_secs().max(1), timeout: hold.saturating_add(GRACE).min(remaining()) };
        let asked = clock.elapsed();
        let outcome = ask(poll).await;
        match &outcome {
            Ok(answer) if settled(answer) => return outcome,
            Err(error) if !error.is_retryable() => return outcome,
            _ => {}
        }

        // A server that is shutting down answers early. Asking again at once would only hammer its successor.
        let early = clock.elapsed().saturating_sub(asked) < hold / 2;
        let delay = match &outcome {
            Ok(_) if !early => Duration::ZERO,
            Ok(_) => policy.backoff(failures, random),
            Err(error) => policy.delay(error, failures, random).min(LONGEST_WISH + policy.backoff(0, random)),
        };
        failures = if early { failures.saturating_add(1) } else { 0 };
        let left = remaining();
        if left <= SHORTEST {
            return outcome;
        }
        // Whatever the server wishes, there is time for one last question.
        let delay = delay.min(left - SHORTEST);
        if !delay.is_zero() {
            tracing::debug!(?delay, failures, "wait interrupted, will ask again");
            clock.sleep(delay).await;
        }
    }
}
