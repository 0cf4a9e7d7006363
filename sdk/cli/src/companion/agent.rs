//! The agent: any program, in a pseudo-terminal of its own.
//!
//! The pseudo-terminal is pty-process's. portable-pty would know Windows as well, but it has had no release since
//! February 2025 and brings a dozen packages; pty-process is kept up, asynchronous by itself, and stands on rustix, which
//! is here anyway. Raw modes, signals and process groups are Unix's own in any case.

use std::ffi::OsString;
use std::io;
use std::os::fd::AsFd as _;
use std::process::ExitStatus;
use std::time::Instant;

use pty_process::Pty;
use rustix::process::{Pid, Signal};
use rustix::termios::{OptionalActions, Termios, tcgetpgrp, tcsetattr};
use tokio::process::Child;

use super::{Size, group};

/// Credentials that open every agent of the server: not for the agent itself.
const NOT_FOR_AGENTS: [&str; 2] = ["FLIGHTDECK_COMPANION_TOKEN", "COMPANION_TOKEN"];

/// A running agent. Its process group is killed when this is dropped.
pub(super) struct Agent {
    pub(super) pty: Pty,
    pub(super) child: Child,
    /// The child leads it.
    pub(super) group: Pid,
    pub(super) started: Instant,
    is_over: bool,
}

impl Agent {
    /// Starts a program. `modes`: those of the person's terminal, if there is one.
    pub(super) fn start(command: &[OsString], size: Size, modes: Option<&Termios>) -> io::Result<Self> {
        let (pty, pts) = pty_process::open().map_err(io_error)?;
        pty.resize(of(size)).map_err(io_error)?;
        if let Some(modes) = modes {
            tcsetattr(&pts, OptionalActions::Now, modes)?;
        }
        let (program, arguments) = command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        let mut command = tokio::process::Command::new(program);
        command.args(arguments).kill_on_drop(true);
        for name in NOT_FOR_AGENTS {
            command.env_remove(name);
        }
        if std::env::var_os("TERM").is_none() {
            command.env("TERM", "xterm-256color");
        }
        let child = pty_process::Command::from(command).spawn(pts).map_err(io_error)?;
        let id = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        let group = id.ok_or_else(|| io::Error::other("the program has no process id"))?;
        Ok(Self { pty, child, group, started: Instant::now(), is_over: false })
    }

    pub(super) fn resize(&self, size: Size) {
        // It fails only when the terminal is gone.
        let _gone = self.pty.resize(of(size));
    }

    /// Sends a signal to the agent's group, and to whatever it runs in the foreground.
    pub(super) fn signal(&self, signal: Signal) {
        group::signal(self.group, signal);
        if let Some(foreground) = self.foreground() {
            group::signal(foreground, signal);
        }
    }

    /// The group that reads the terminal, if it is another one than the agent's.
    pub(super) fn foreground(&self) -> Option<Pid> {
        tcgetpgrp(self.pty.as_fd()).ok().filter(|foreground| *foreground != self.group)
    }

    /// Nobody of its group is left; the number may belong to others soon.
    pub(super) fn is_over(&mut self) {
        self.is_over = true;
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        if !self.is_over {
            self.signal(Signal::KILL);
        }
    }
}

/// The exit code of a program, as shells tell it.
pub(super) fn exit_code(status: ExitStatus) -> u8 {
    use std::os::unix::process::ExitStatusExt as _;
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code & 0xff).ok()).unwrap_or(1)
}

fn of(size: Size) -> pty_process::Size {
    pty_process::Size::new(size.rows, size.columns)
}

fn io_error(error: pty_process::Error) -> io::Error {
    match error {
        pty_process::Error::Io(error) => error,
        pty_process::Error::Rustix(error) => error.into(),
        other => io::Error::other(other.to_string()),
    }
}
