//! Both ends of a program: lines that it says, and lines that it is told.

use std::time::Duration;

use futures_util::FutureExt;
use tokio::io::AsyncWriteExt;
use tokio::process::{ChildStdin, ChildStdout};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use crate::service::agents::process::{CommandLine, Lines, Program, Supervision};
use crate::service::agents::{AgentError, Setup};

/// How many lines wait for a program that does not read.
const UNREAD: usize = 256;

/// How long the rest of the output of a program that is gone may take. What it started may hold its output open.
const REST: Duration = Duration::from_millis(500);

#[derive(Debug)]
pub(super) struct Ends {
    told: mpsc::Sender<String>,
    lines: Lines<ChildStdout>,
    pub(super) supervision: Supervision,
    is_gone: bool,
}

impl Ends {
    pub(super) fn start(command: &CommandLine, environment: &[&str], setup: &Setup) -> Result<Self, AgentError> {
        let Program { stdin, stdout, supervision } = setup.supervisor.start(command, &setup.cwd, environment)?;
        let (told, untold) = mpsc::channel(UNREAD);
        tokio::spawn(write(stdin, untold));
        Ok(Self { told, lines: Lines::new(stdout), supervision, is_gone: false })
    }

    /// Says a line, as soon as the program reads. One that is gone hears nothing: that is no error, its end will be heard.
    pub(super) fn tell(&self, line: String) -> Result<(), AgentError> {
        match self.told.try_send(line) {
            Ok(()) | Err(TrySendError::Closed(_)) => Ok(()),
            Err(TrySendError::Full(_)) => {
                Err(AgentError::Refused("The agent does not take any more what it is told.".to_owned()))
            }
        }
    }

    /// Whether nothing can be told any more.
    pub(super) fn is_deaf(&mut self) -> bool {
        self.is_gone || self.told.is_closed() || self.supervision.exited().now_or_never().is_some()
    }

    /// The next line; `None` at the end. Reads no further than it must, so a program that says more than anybody takes has
    /// to wait. Loses nothing when dropped before it completes.
    pub(super) async fn next(&mut self) -> Option<String> {
        if !self.is_gone {
            tokio::select! {
                biased;
                line = self.lines.next() => {
                    self.is_gone = line.is_none();
                    return line;
                }
                _ = self.supervision.exited() => self.is_gone = true,
            }
        }
        tokio::time::timeout(REST, self.lines.next()).await.ok().flatten()
    }

    /// Closes the program's input, and ends it. What it says meanwhile is read, for it might not end otherwise.
    pub(super) async fn close(self) {
        let Self { told, mut lines, supervision, .. } = self;
        drop(told);
        let listen = async {
            while lines.next().await.is_some() {}
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = supervision.close() => {}
            () = listen => {}
        }
    }
}

/// Writes what is told, and closes the input when nothing more will come.
async fn write(mut stdin: ChildStdin, mut untold: mpsc::Receiver<String>) {
    while let Some(mut line) = untold.recv().await {
        line.push('\n');
        if stdin.write_all(line.as_bytes()).await.is_err() {
            return;
        }
    }
}
