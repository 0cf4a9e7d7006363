//! A terminal, which persists over viewers and commands.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use thiserror::Error;
use tokio::sync::watch;

use super::{Command, Exit, Limits, OnDisconnect, Size, Viewer};
use crate::clock::Clock;
use crate::service::agents::process::Supervisor;

/// A terminal. Cheap to clone; the last one dropped closes it.
#[derive(Debug, Clone)]
pub struct Terminal {}

/// A command that was started. It goes on when this is dropped.
#[derive(Debug, Clone)]
pub struct Run {
    exit: watch::Receiver<Option<Exit>>,
}

/// Why a command did not start. Its text can be shown to users.
#[derive(Debug, Error)]
pub enum RunError {
    #[error("a command runs in this terminal already; wait for its end, or cancel it")]
    Busy,
    #[error("the terminal is closed; open another session")]
    Closed,
    #[error("there is no program `{0}` on the server's machine; install it there")]
    NotFound(String),
    #[error("`{program}` could not be started: {problem}")]
    NotStarted { program: String, problem: io::Error },
}

impl Terminal {
    /// A terminal with nothing on it.
    #[must_use]
    pub fn start(_supervisor: Supervisor, _clock: Arc<dyn Clock>, _on_disconnect: OnDisconnect) -> Self {
        Self {}
    }

    /// Starts a command in the folder `cwd`, on the screen as it is. To be called on a runtime.
    ///
    /// # Errors
    /// If one runs already, or it can't be started.
    pub async fn run(&self, command: &Command, _cwd: OwnedFd, _limits: Limits) -> Result<Run, RunError> {
        Err(RunError::NotFound(command.program().to_owned()))
    }

    /// Somebody who watches from now on; `size` is what fits on their screen. The terminal takes it only if nobody else is there
    /// and nothing runs: otherwise its size moves when somebody types or resizes.
    #[must_use]
    pub fn attach(&self, _size: Option<Size>) -> Viewer {
        Viewer {}
    }

    /// Ends the command and all that it started; whether there is one. Its [`Exit`] tells when that is done.
    pub fn cancel(&self) -> bool {
        false
    }

    /// Whether a command runs.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        false
    }

    /// Ends the command, and lets the viewers go. Completes when nothing of it is left.
    pub async fn close(&self) {}
}

impl Run {
    /// Waits until the command has ended, with all that it started. Can be dropped before it completes.
    pub async fn exited(&mut self) -> Exit {
        match self.exit.wait_for(Option::is_some).await.map(|exit| *exit) {
            Ok(Some(exit)) => exit,
            _ => std::future::pending().await,
        }
    }
}
