//! What a caller may choose about a session.

use std::time::Duration;

use super::queue::QueueLimits;

/// When a lost connection is made again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReconnectPolicy {
    /// The longest wait before the first attempt; it doubles with each that fails. Default: 1 s.
    pub base: Duration,
    /// No wait is longer, unless the server asks for more. Default: 30 s.
    pub cap: Duration,
    /// A connection that stood this long counts as a success, and the waits begin anew. Default: 10 s.
    pub stable: Duration,
    /// How many attempts may follow one that failed, until one leads to a connection that lasts. Default: any number.
    pub attempts: Option<u32>,
}

impl Default for ReconnectPolicy {
    fn default() -> Self {
        Self {
            base: Duration::from_secs(1),
            cap: Duration::from_secs(30),
            stable: Duration::from_secs(10),
            attempts: None,
        }
    }
}

impl ReconnectPolicy {
    /// Ends the session when this many attempts have followed one that failed.
    #[must_use]
    pub const fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = Some(attempts);
        self
    }

    /// The longest wait before the first attempt, and the longest at all.
    #[must_use]
    pub const fn waits(mut self, base: Duration, cap: Duration) -> Self {
        self.base = base;
        self.cap = cap;
        self
    }
}

/// What the machine keeps to.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) queue: QueueLimits,
    pub(super) reconnect: ReconnectPolicy,
    /// For one attempt to connect, with the credentials that it needs.
    pub(super) connect_timeout: Duration,
    pub(super) keep_alive: Option<KeepAlive>,
    /// Whether a credential that the caller showed in a message is shown again on the next connection. Not where
    /// credentials come from a provider, which has a newer one.
    pub(super) remember_credential: bool,
}

/// A message that is sent again and again while the connection is open.
#[derive(Debug, Clone)]
pub(super) struct KeepAlive {
    pub(super) every: Duration,
    pub(super) text: String,
}
