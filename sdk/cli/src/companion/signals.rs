//! What the system tells the companion by signals.

use std::io;

use rustix::process::Signal;
use tokio::signal::unix::{self, SignalKind};

/// What somebody wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// The agent should know how large the terminal is now.
    Size,
    /// The companion should stop for a while.
    Pause,
    /// The agent should get this signal, and everything should end.
    End(Signal),
}

pub(super) struct Signals {
    size: unix::Signal,
    pause: unix::Signal,
    terminate: unix::Signal,
    interrupt: unix::Signal,
    hangup: unix::Signal,
    quit: unix::Signal,
}

impl Signals {
    pub(super) fn listen() -> io::Result<Self> {
        Ok(Self {
            size: unix::signal(SignalKind::window_change())?,
            pause: unix::signal(SignalKind::from_raw(Signal::TSTP.as_raw()))?,
            terminate: unix::signal(SignalKind::terminate())?,
            interrupt: unix::signal(SignalKind::interrupt())?,
            hangup: unix::signal(SignalKind::hangup())?,
            quit: unix::signal(SignalKind::quit())?,
        })
    }

    /// The next wish. Nothing is lost when the future is dropped.
    pub(super) async fn next(&mut self) -> Wanted {
        tokio::select! {
            _ = self.size.recv() => Wanted::Size,
            _ = self.pause.recv() => Wanted::Pause,
            _ = self.terminate.recv() => Wanted::End(Signal::TERM),
            _ = self.interrupt.recv() => Wanted::End(Signal::INT),
            _ = self.hangup.recv() => Wanted::End(Signal::HUP),
            _ = self.quit.recv() => Wanted::End(Signal::QUIT),
        }
    }
}
