//! What a program says, to its end.

use std::time::Duration;

use tokio::process::ChildStdout;

use super::{Lines, Supervision};

/// How long the rest of the output of a program that is gone may take. What it started may hold its output open for ever.
pub const REST: Duration = Duration::from_millis(500);

/// A program's lines, and the hold on it.
#[derive(Debug)]
pub struct Output {
    lines: Lines<ChildStdout>,
    pub supervision: Supervision,
    is_gone: bool,
}

impl Output {
    #[must_use]
    pub fn new(stdout: ChildStdout, supervision: Supervision) -> Self {
        Self { lines: Lines::new(stdout), supervision, is_gone: false }
    }

    /// Whether the program has ended, as far as is known.
    #[must_use]
    pub const fn is_gone(&self) -> bool {
        self.is_gone
    }

    /// The next line; `None` at the end. Reads no further than it must, so a program that says more than anybody takes has
    /// to wait. Loses nothing when dropped before it completes.
    pub async fn next(&mut self) -> Option<String> {
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

    /// Ends the program, whose input must be closed by now. What it says meanwhile is read, for it might not end otherwise.
    pub async fn close(self) {
        let Self { mut lines, supervision, .. } = self;
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
