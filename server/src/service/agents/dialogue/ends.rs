//! Both ends of a program: lines that it says, and lines that it is told.

use futures_util::FutureExt;
use tokio::io::AsyncWriteExt;
use tokio::process::ChildStdin;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use crate::service::agents::process::{CommandLine, Output, Program, Supervision};
use crate::service::agents::{AgentError, Setup};

/// How many lines wait for a program that does not read.
const UNREAD: usize = 256;

#[derive(Debug)]
pub(super) struct Ends {
    told: mpsc::Sender<String>,
    output: Output,
}

impl Ends {
    pub(super) fn start(command: &CommandLine, environment: &[&str], setup: &Setup) -> Result<Self, AgentError> {
        let Program { stdin, stdout, supervision } = setup.supervisor.start(command, &setup.cwd, environment)?;
        let (told, untold) = mpsc::channel(UNREAD);
        tokio::spawn(write(stdin, untold));
        Ok(Self { told, output: Output::new(stdout, supervision) })
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
        self.output.is_gone() || self.told.is_closed() || self.supervision().exited().now_or_never().is_some()
    }

    /// The next line; see [`Output::next`].
    pub(super) async fn next(&mut self) -> Option<String> {
        self.output.next().await
    }

    pub(super) const fn supervision(&mut self) -> &mut Supervision {
        &mut self.output.supervision
    }

    /// Closes the program's input, and ends it.
    pub(super) async fn close(self) {
        let Self { told, output } = self;
        drop(told);
        output.close().await;
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
