//! One timer for all that a client waits for.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::clock::Clock;

/// A timer that can be set to an earlier time. Unset, it takes no memory and never rings.
///
/// Its times are milliseconds of the monotonic clock: a step of the wall clock changes nothing.
#[derive(Default)]
pub(super) struct Alarm(Option<(i64, BoxFuture<'static, ()>)>);

impl Alarm {
    /// Rings at `at`, unless it rings earlier.
    pub(super) fn set(&mut self, clock: &Arc<dyn Clock>, at: i64) {
        if self.0.as_ref().is_none_or(|(earlier, _)| at < *earlier) {
            let clock = clock.clone();
            let until = clock.now() + (at - monotonic(&clock));
            self.0 = Some((at, async move { clock.sleep_until(until).await }.boxed()));
        }
    }

    /// Completes when it rings; then it is unset. Loses nothing when dropped before.
    pub(super) async fn ring(&mut self) {
        match &mut self.0 {
            Some((_, timer)) => timer.await,
            None => std::future::pending().await,
        }
        self.0 = None;
    }
}

/// Milliseconds since some fixed moment.
pub(super) fn monotonic(clock: &Arc<dyn Clock>) -> i64 {
    i64::try_from(clock.monotonic().as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::ManualClock;

    #[tokio::test]
    async fn it_rings_at_the_earliest_time_and_once() {
        let manual = ManualClock::at(1_000);
        let clock: Arc<dyn Clock> = Arc::new(manual.clone());
        let mut alarm = Alarm::default();
        assert!(alarm.ring().now_or_never().is_none());
        for at in [3_000, 2_000, 4_000] {
            alarm.set(&clock, at);
        }
        assert!(alarm.ring().now_or_never().is_none());
        manual.advance(Duration::from_secs(1));
        assert!(alarm.ring().now_or_never().is_some());
        manual.advance(Duration::from_secs(9));
        assert!(alarm.ring().now_or_never().is_none(), "it is unset");
    }
}
