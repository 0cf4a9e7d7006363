//! The signs of life of an open connection: when the next is due, and when there have been none for too long.

use std::time::Duration;

use super::protocol::SocketLimits;

/// Times are those of the machine.
#[derive(Debug, Clone, Copy)]
pub(super) struct Vitals {
    opened: Duration,
    heard: Duration,
    heartbeat: Duration,
    ping_at: Duration,
    /// `Duration::MAX`: never.
    keep_alive_at: Duration,
    keep_alive: Duration,
}

/// What a look at the clock shows.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Pulse {
    /// It counts as dead.
    pub(super) silent: bool,
    pub(super) ping: bool,
    pub(super) keep_alive: bool,
}

impl Vitals {
    /// Of a connection that has just opened. `jitter`, from 0 to 1, spreads the first pings of connections that began
    /// together.
    pub(super) fn new(limits: &SocketLimits, keep_alive: Option<Duration>, now: Duration, jitter: f64) -> Self {
        Self {
            opened: now,
            heard: now,
            heartbeat: limits.heartbeat,
            ping_at: now.saturating_add(limits.heartbeat.mul_f64(0.5 + jitter / 2.0)),
            keep_alive_at: if keep_alive.is_some() { now } else { Duration::MAX },
            keep_alive: keep_alive.unwrap_or(Duration::MAX),
        }
    }

    /// A frame came.
    pub(super) const fn hear(&mut self, now: Duration) {
        self.heard = now;
    }

    /// After this long without any frame the connection counts as dead: two signs of life of the server are missing.
    pub(super) fn silence(&self) -> Duration {
        self.heartbeat.mul_f64(2.5)
    }

    pub(super) fn wake_at(&self) -> Duration {
        self.ping_at.min(self.keep_alive_at).min(self.heard.saturating_add(self.silence()))
    }

    /// How long it has been open.
    pub(super) const fn age(&self, now: Duration) -> Duration {
        now.saturating_sub(self.opened)
    }

    pub(super) fn check(&mut self, now: Duration) -> Pulse {
        let pulse = Pulse {
            silent: now >= self.heard.saturating_add(self.silence()),
            ping: now >= self.ping_at,
            keep_alive: now >= self.keep_alive_at,
        };
        if pulse.ping {
            // Also while the server talks: it wants to hear something from time to time.
            self.ping_at = now.saturating_add(self.heartbeat);
        }
        if pulse.keep_alive {
            self.keep_alive_at = now.saturating_add(self.keep_alive);
        }
        pulse
    }
}
