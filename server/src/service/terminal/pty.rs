//! A program on a pseudo-terminal of its own.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::process::Child;

use pty_process::blocking as pty;
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::process::{Pid, PidfdFlags, Resource, Rlimit, pidfd_open, prlimit};
use rustix::termios::{Winsize, tcsetwinsize};

use tokio::signal::unix::SignalKind;

use super::{Command, RunError, Size};
use crate::service::agents::process;

/// Variables that a command gets, if the server has them. Names that end in `*` stand for all that begin like that.
const ENVIRONMENT: [&str; 5] = ["PATH", "HOME", "USER", "LANG", "LC_*"];

/// And those that tell it of its terminal.
const TERMINAL: [(&str, &str); 2] = [("TERM", "xterm-256color"), ("COLORTERM", "truecolor")];

/// A program that runs, which leads a session and so a group.
#[derive(Debug)]
pub(super) struct Started {
    pub(super) child: Child,
    pub(super) leader: Pid,
    /// Readable when the program has exited.
    pub(super) exited: OwnedFd,
}

/// Lets commands be interrupted though this process was started to ignore that, by `nohup` or in the background of a script:
/// what is ignored stays so in every program that is started, while what is handled becomes as usual. Must be called on a
/// runtime. This process goes on as before.
pub(super) fn heed_signals() {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    for kind in [SignalKind::hangup(), SignalKind::interrupt(), SignalKind::quit()] {
        if ignored >> (kind.as_raw_value() - 1) & 1 == 1 {
            // It stays handled when this is dropped.
            let _ = tokio::signal::unix::signal(kind);
        }
    }
}

/// Starts a command in the folder `cwd`, with a variable more in its environment; returns it and the terminal's other end, which
/// never blocks.
pub(super) fn start(
    command: &Command,
    cwd: BorrowedFd<'_>,
    size: Size,
    mark: (&str, &str),
) -> Result<(Started, OwnedFd), RunError> {
    let path = std::env::var_os("PATH");
    let program = command.locate(path.as_deref(), cwd);
    let program = program.ok_or_else(|| RunError::NotFound(command.program().to_owned()))?;
    let not_started = |problem: io::Error| RunError::NotStarted { program: command.program().to_owned(), problem };
    let starting = process::starting();
    let (pty, pts) = pty::open().map_err(|error| not_started(problem(error)))?;
    let pty = OwnedFd::from(pty);
    resize(pty.as_fd(), size).map_err(not_started)?;
    let flags = fcntl_getfl(&pty).map_err(|error| not_started(error.into()))?;
    fcntl_setfl(&pty, flags | OFlags::NONBLOCK).map_err(|error| not_started(error.into()))?;
    let child = pty::Command::new(program)
        .arg0(command.program())
        .args(&command.argv()[1..])
        // The folder itself, whatever its path leads to by now.
        .current_dir(format!("/proc/self/fd/{}", cwd.as_raw_fd()))
        .env_clear()
        .envs(environment(std::env::vars_os()))
        .env(mark.0, mark.1)
        .spawn(pts);
    drop(starting);
    let mut child = child.map_err(|error| not_started(problem(error)))?;
    match i32::try_from(child.id()).ok().and_then(Pid::from_raw).map(|leader| (leader, held(leader))) {
        Some((leader, Ok(exited))) => Ok((Started { child, leader, exited }, pty)),
        failed => {
            let _ = child.kill();
            let _ = child.wait();
            let problem = failed.and_then(|(_, held)| held.err()).unwrap_or_else(|| io::Error::other("it has no id"));
            Err(not_started(problem))
        }
    }
}

fn problem(error: pty_process::Error) -> io::Error {
    match error {
        pty_process::Error::Io(error) => error,
        pty_process::Error::Rustix(error) => error.into(),
        other => io::Error::other(other.to_string()),
    }
}

/// What tells of a program's end. Its memory is written to no file: it may have secrets.
fn held(leader: Pid) -> io::Result<OwnedFd> {
    // It may have ended by now.
    let _ = prlimit(Some(leader), Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    Ok(pidfd_open(leader, PidfdFlags::empty())?)
}

/// Gives a terminal another size, and tells the program.
pub(super) fn resize(pty: BorrowedFd<'_>, size: Size) -> io::Result<()> {
    let size = Winsize { ws_row: size.rows(), ws_col: size.cols(), ws_xpixel: 0, ws_ypixel: 0 };
    Ok(tcsetwinsize(pty, size)?)
}

/// What a command may know of an environment.
fn environment(variables: impl Iterator<Item = (OsString, OsString)>) -> impl Iterator<Item = (OsString, OsString)> {
    let allowed = |name: &str| {
        ENVIRONMENT
            .iter()
            .any(|pattern| pattern.strip_suffix('*').map_or(*pattern == name, |beginning| name.starts_with(beginning)))
    };
    let terminal = TERMINAL.map(|(name, value)| (name.into(), value.into()));
    variables.filter(move |(name, _)| name.to_str().is_some_and(allowed)).chain(terminal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_knows_little_of_the_environment() {
        let server = [
            ("PATH", "/bin"),
            ("HOME", "/root"),
            ("LC_ALL", "C"),
            ("TERM", "dumb"),
            ("JWT_SECRET", "canary"),
            ("DATABASE_URL", "canary"),
            ("PATHS", "canary"),
            ("LD_PRELOAD", "canary"),
            ("FLIGHTDECK_AGENT_PROCESS", "canary"),
        ];
        let known: Vec<_> = environment(server.map(|(name, value)| (name.into(), value.into())).into_iter()).collect();
        let expected = [
            ("PATH", "/bin"),
            ("HOME", "/root"),
            ("LC_ALL", "C"),
            ("TERM", "xterm-256color"),
            ("COLORTERM", "truecolor"),
        ];
        assert_eq!(known, expected.map(|(name, value)| (OsString::from(name), OsString::from(value))));
    }
}
