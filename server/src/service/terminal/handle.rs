//! A terminal, which persists over viewers and commands.

use std::collections::HashSet;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use thiserror::Error;
use tokio::sync::{Mutex, watch};

use super::reader::Reader;
use super::running::Running;
use super::stage::Stage;
use super::{Command, Ended, Exit, Limits, OnDisconnect, Size, Viewer, pty, warden};
use crate::clock::Clock;
use crate::service::agents::process::{Supervisor, TERMINAL_MARK};

/// A terminal. Cheap to clone; the last one dropped closes it.
#[derive(Debug, Clone)]
pub struct Terminal(Arc<Owner>);

#[derive(Debug)]
struct Owner {
    stage: Arc<Stage>,
    /// Held while a command starts.
    starting: Arc<Mutex<()>>,
}

/// A command that was started. It goes on when this is dropped.
#[derive(Debug, Clone)]
pub struct Run {
    exit: watch::Receiver<Option<Exit>>,
}

/// Why a command did not start. Its text can be shown to users.
#[derive(Debug, Error)]
pub enum RunError {
    #[error("a command runs in this terminal already; wait for its end, or end it there")]
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
    pub fn start(supervisor: Supervisor, clock: Arc<dyn Clock>, on_disconnect: OnDisconnect) -> Self {
        let stage = Arc::new(Stage::new(supervisor, clock, on_disconnect));
        Self(Arc::new(Owner { stage, starting: Arc::default() }))
    }

    /// Starts a command in the folder `cwd`, on the screen as it is. To be called on a runtime.
    ///
    /// # Errors
    /// If one runs already, or it can't be started.
    pub async fn run(&self, command: &Command, cwd: OwnedFd, limits: Limits) -> Result<Run, RunError> {
        let starting = self.0.starting.clone().try_lock_owned().map_err(|_| RunError::Busy)?;
        let (stage, command) = (self.0.stage.clone(), command.clone());
        let program = command.program().to_owned();
        // It goes through with it even if nobody waits any more.
        let begun = tokio::task::spawn_blocking(move || {
            let _starting = starting;
            begin(&stage, &command, cwd.as_fd(), limits)
        });
        begun.await.unwrap_or_else(|error| Err(RunError::NotStarted { program, problem: io::Error::other(error) }))
    }

    /// Somebody who watches from now on; `size` is what fits on their screen. The terminal takes it only if nobody else is there
    /// and nothing runs: otherwise its size moves when somebody types or resizes.
    #[must_use]
    pub fn attach(&self, size: Option<Size>) -> Viewer {
        Viewer::new(self.0.stage.clone(), size)
    }

    /// Ends the command and all that it started; whether there is one. Its [`Exit`] tells when that is done.
    pub fn cancel(&self) -> bool {
        self.0.stage.end(Ended::Cancelled)
    }

    /// Whether a command runs.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.0.stage.running().is_some()
    }

    /// Ends the command, and lets the viewers go. Completes when nothing of it is left.
    pub async fn close(&self) {
        let Owner { stage, starting } = &*self.0;
        stage.close();
        drop(starting.lock().await);
        if let Some(running) = stage.running() {
            stage.end(Ended::Closed);
            let _ = running.exit.subscribe().wait_for(Option::is_some).await;
        }
        stage.let_viewers_go();
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.stage.close();
        self.stage.end(Ended::Closed);
        self.stage.let_viewers_go();
    }
}

/// Starts a command. Blocks for the moment that takes.
fn begin(stage: &Arc<Stage>, command: &Command, cwd: BorrowedFd<'_>, limits: Limits) -> Result<Run, RunError> {
    if stage.is_closed() {
        return Err(RunError::Closed);
    }
    if stage.running().is_some() {
        return Err(RunError::Busy);
    }
    let not_started = |problem: io::Error| RunError::NotStarted { program: command.program().to_owned(), problem };
    // Everything that can fail comes before the program, which nobody would look after.
    let (hand_over, waiting) = std::sync::mpsc::channel::<Reader>();
    let read = move || {
        if let Ok(reader) = waiting.recv() {
            reader.read();
        }
    };
    std::thread::Builder::new().name("terminal".to_owned()).spawn(read).map_err(not_started)?;
    let family = stage.supervisor.family();
    stage.tidy();
    let size = stage.size();
    let began = stage.clock.monotonic();
    let (mut started, pty) = pty::start(command, cwd, size, (TERMINAL_MARK, family.mark()))?;
    let leader = started.leader;
    stage.supervisor.began(leader);
    let running = Running::new(pty).inspect_err(|_| {
        family.end(&HashSet::new(), &HashSet::new(), &[leader]);
        let _ = started.child.wait();
        stage.supervisor.ended(leader);
    });
    let running = Arc::new(running.map_err(not_started)?);
    stage.set_running(Some(running.clone()));
    // Somebody may have resized the terminal meanwhile.
    let _ = pty::resize(running.pty.as_fd(), stage.size());
    if stage.is_closed() {
        running.end(Ended::Closed);
    }
    let run = Run { exit: running.exit.subscribe() };
    tokio::spawn(warden::watch(stage.clone(), running.clone(), family.clone(), limits));
    // It waits for just this.
    let _ = hand_over.send(Reader { stage: stage.clone(), running, started, family, limits, began });
    Ok(run)
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
