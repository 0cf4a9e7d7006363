//! How fast a client may talk: a steady rate, with room for a burst.

use std::time::Duration;

use tokio::time::Instant;

/// A burst is this many seconds' worth of messages.
const BURST_SECONDS: u32 = 2;

/// Measures a client against its rate. What is too fast is not refused: it is read later.
///
/// By real time, like everything that is about the network and not about what is said.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// When everything said so far would have been said at the steady rate.
    even: Instant,
}

impl Pace {
    pub(super) fn from(now: Instant) -> Self {
        Self { even: now }
    }

    /// Counts a message; how long to wait before the next one is read.
    pub(super) fn count(&mut self, per_second: u32, now: Instant) -> Option<Duration> {
        let each = Duration::from_secs(1) / per_second.max(1);
        self.even = self.even.max(now) + each;
        let burst = each * (per_second * BURST_SECONDS).saturating_sub(1);
        let ahead = self.even.saturating_duration_since(now);
        ahead.checked_sub(burst).filter(|wait| !wait.is_zero())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_then_the_rate_holds() {
        let start = Instant::now();
        let mut pace = Pace::from(start);
        for count in 1..200 {
            assert_eq!(pace.count(100, start), None, "message {count} of the burst");
        }
        assert_eq!(pace.count(100, start), Some(Duration::from_millis(10)), "the burst is over");
        assert_eq!(pace.count(100, start), Some(Duration::from_millis(20)), "they add up");
        // Who waits as told may go on at the rate, for ever.
        let mut now = start + Duration::from_millis(20);
        for _ in 0..1_000 {
            let wait = pace.count(100, now).expect("each is one too many");
            assert!(wait <= Duration::from_millis(10), "{wait:?}");
            now += wait;
        }
    }

    #[test]
    fn quiet_gives_the_burst_back() {
        let start = Instant::now();
        let mut pace = Pace::from(start);
        while pace.count(100, start).is_none() {}
        let later = start + Duration::from_secs(60);
        assert_eq!((1..200).find(|_| pace.count(100, later).is_some()), None);
    }
}
