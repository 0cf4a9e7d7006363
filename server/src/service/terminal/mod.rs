//! Terminals: commands that run on a real pseudo-terminal, and whoever watches them and types.
//!
//! A [`Terminal`] outlives its viewers and persists over several commands. What may run is a [`CommandPolicy`]'s matter; how a
//! command reaches the terminal and a viewer's socket, who may do so and in which repository, does not belong here.

mod handle;
mod policy;
mod pty;
mod reader;
mod registry;
mod running;
mod screen;
mod seat;
mod size;
mod stage;
#[cfg(test)]
mod tests;
mod viewer;
mod warden;

use std::fmt;
use std::time::Duration;

pub use handle::{Run, RunError, Terminal};
pub use policy::{BadEntry, Command, CommandPolicy, Refused};
pub use registry::Terminals;
pub use size::{BadSize, MAX_COLS, MAX_ROWS, Size};
pub use viewer::{InputFull, Output, Viewer};

/// How long a command may run if nobody says so.
pub const DEFAULT_TIME: Duration = Duration::from_secs(30 * 60);

/// How long a command may run at most, whatever is asked for.
pub const MAX_TIME: Duration = Duration::from_secs(24 * 60 * 60);

/// How much a command may print.
pub const MAX_OUTPUT: u64 = 1 << 30;

/// How many processes a command may have at once.
pub const MAX_PROCESSES: usize = 512;

/// What a command may use; it is ended when it uses more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    pub time: Duration,
    /// In bytes.
    pub output: u64,
    pub processes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { time: DEFAULT_TIME, output: MAX_OUTPUT, processes: MAX_PROCESSES }
    }
}

impl Limits {
    /// The usual ones, but for the time: that is as asked for, within [`MAX_TIME`].
    #[must_use]
    pub fn within(time: Option<Duration>) -> Self {
        Self { time: time.unwrap_or(DEFAULT_TIME).min(MAX_TIME), ..Self::default() }
    }
}

/// What becomes of a command that nobody watches any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnDisconnect {
    /// It goes on.
    #[default]
    Keep,
    /// It is ended when it had no viewer for so long.
    Kill { after: Duration },
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exit {
    /// The program's exit code; 128 and the signal's number if a signal ended it.
    pub code: i32,
    pub duration: Duration,
    pub why: Ended,
}

/// Why a command ended. Its text can be shown to users.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// The program did so.
    ByItself,
    Cancelled,
    /// It took longer than [`Limits::time`].
    TimedOut,
    /// It printed more than [`Limits::output`].
    TooMuchOutput,
    /// It had more than [`Limits::processes`].
    TooManyProcesses,
    /// See [`OnDisconnect::Kill`].
    Unwatched,
    /// Its terminal was closed.
    Closed,
}

impl fmt::Display for Ended {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::ByItself => "The command ended.",
            Self::Cancelled => "The command was cancelled.",
            Self::TimedOut => "The command took longer than it may and was ended; run it with a longer time limit.",
            Self::TooMuchOutput => {
                "The command printed more than it may and was ended; let it write to a file instead."
            }
            Self::TooManyProcesses => "The command started more processes than it may and was ended.",
            Self::Unwatched => "Nobody watched the command any more, so it was ended.",
            Self::Closed => "The command's terminal was closed, so it was ended.",
        })
    }
}
