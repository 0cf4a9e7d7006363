//! How often who may do what.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use flightdeck_api::generated::errors::ErrorCode;
use flightdeck_api::support::ApiError;
use governor::clock::{Clock as GovernorClock, Reference};
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};

use crate::clock::Clock;
use crate::config::Config;

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// Events of a workspace.
    Event,
    /// Approvals that a workspace asks for.
    Approval,
    /// Requests of a device, or of a workspace in a device's place.
    Device,
    /// Pairing requests of a network address.
    Pairing,
}

type Limiter = RateLimiter<u128, DashMapStateStore<u128>, Time, NoOpMiddleware<Instant>>;

/// Counts requests against their limits, by our clock.
pub struct Limits {
    events: Vec<Limiter>,
    approvals: Vec<Limiter>,
    devices: Vec<Limiter>,
    pairings: Vec<Limiter>,
}

impl Limits {
    #[must_use]
    pub fn new(config: &Config, clock: &Arc<dyn Clock>) -> Self {
        let limiter = |quota: fn(NonZeroU32) -> Quota, rate: u32| {
            NonZeroU32::new(rate)
                .map(|rate| RateLimiter::new(quota(rate), DashMapStateStore::default(), Time(clock.clone())))
        };
        let minute = |rate| limiter(Quota::per_minute, rate);
        Self {
            events: minute(config.rate_events_per_minute)
                .into_iter()
                .chain(limiter(Quota::per_hour, config.rate_events_per_hour))
                .collect(),
            approvals: minute(config.rate_approvals_per_minute).into_iter().collect(),
            devices: minute(config.rate_device_requests_per_minute).into_iter().collect(),
            pairings: minute(config.rate_pairings_per_minute).into_iter().collect(),
        }
    }

    /// Counts one request of `who`.
    ///
    /// # Errors
    /// `rate_limited`, with the time after which the next one passes.
    pub fn count(&self, limit: Limit, who: u128) -> Result<(), ApiError> {
        for limiter in self.of(limit) {
            if let Err(refused) = limiter.check_key(&who) {
                let wait = refused.wait_time_from(limiter.clock().now());
                return Err(ApiError::new(ErrorCode::RateLimited).retry_after(wait));
            }
        }
        Ok(())
    }

    /// Forgets those who have been quiet for as long as their limit counts.
    pub fn forget_the_quiet(&self) {
        for limit in [Limit::Event, Limit::Approval, Limit::Device, Limit::Pairing] {
            for limiter in self.of(limit) {
                limiter.retain_recent();
                limiter.shrink_to_fit();
            }
        }
    }

    fn of(&self, limit: Limit) -> &[Limiter] {
        match limit {
            Limit::Event => &self.events,
            Limit::Approval => &self.approvals,
            Limit::Device => &self.devices,
            Limit::Pairing => &self.pairings,
        }
    }
}

impl std::fmt::Debug for Limits {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Limits")
    }
}

/// Our clock, as governor wants one.
#[derive(Clone)]
struct Time(Arc<dyn Clock>);

/// Monotonic time: a step of the wall clock neither frees nor blocks anybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Instant(Duration);

impl GovernorClock for Time {
    type Instant = Instant;

    fn now(&self) -> Instant {
        Instant(self.0.monotonic())
    }
}

impl Reference for Instant {
    fn duration_since(&self, earlier: Self) -> Nanos {
        self.0.saturating_sub(earlier.0).into()
    }

    fn saturating_sub(&self, duration: Nanos) -> Self {
        Self(self.0.saturating_sub(duration.into()))
    }
}

impl std::ops::Add<Nanos> for Instant {
    type Output = Self;

    fn add(self, duration: Nanos) -> Self {
        Self(self.0.saturating_add(duration.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    #[test]
    fn the_limit_holds_and_says_when_to_come_back() {
        let manual = ManualClock::at(1_000_000_000);
        let clock: Arc<dyn Clock> = Arc::new(manual.clone());
        let limits = Limits::new(&Config { rate_approvals_per_minute: 10, ..Config::default() }, &clock);
        for _ in 0..10 {
            limits.count(Limit::Approval, 1).expect("within the limit");
        }
        let refused = limits.count(Limit::Approval, 1).expect_err("the eleventh");
        assert_eq!(refused.code, ErrorCode::RateLimited);
        let wait = refused.retry_after.expect("a time");
        assert!(wait <= Duration::from_secs(6), "{wait:?}");
        limits.count(Limit::Approval, 2).expect("another workspace has its own");
        manual.advance(wait);
        limits.count(Limit::Approval, 1).expect("after the wait");
    }

    #[test]
    fn zero_means_no_limit() {
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(0));
        let config = Config { rate_events_per_minute: 0, rate_events_per_hour: 0, ..Config::default() };
        let limits = Limits::new(&config, &clock);
        for _ in 0..5_000 {
            limits.count(Limit::Event, 1).expect("no limit");
        }
    }
}
