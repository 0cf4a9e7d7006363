//! One who watches a terminal and types.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use thiserror::Error;

use super::seat::{Found, Seat};
use super::stage::Stage;
use super::{Exit, Size};

/// What a viewer is told, in order.
#[derive(Clone, PartialEq, Eq)]
pub enum Output {
    /// What makes a terminal of this size show what this one shows: it clears whatever was there. Comes first, and again
    /// instead of output that the viewer was too slow for.
    Snapshot { size: Size, bytes: Bytes },
    /// What the command printed next, byte by byte.
    Bytes(Bytes),
    /// The terminal has another size from here on.
    Resized(Size),
    /// The command ended. All that it printed came before.
    Exit(Exit),
}

impl fmt::Debug for Output {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What a program prints may be secret.
        match self {
            Self::Snapshot { size, bytes } => write!(formatter, "Snapshot({size:?}, {} bytes)", bytes.len()),
            Self::Bytes(bytes) => write!(formatter, "Bytes({} bytes)", bytes.len()),
            Self::Resized(size) => write!(formatter, "Resized({size:?})"),
            Self::Exit(exit) => write!(formatter, "Exit({exit:?})"),
        }
    }
}

/// The terminal takes no more keystrokes until its program reads some.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the program does not read what is typed; wait until it does, or cancel it")]
pub struct InputFull;

/// One who watches a terminal and types. Dropped, it has left; the terminal stays.
#[derive(Debug)]
pub struct Viewer {
    stage: Arc<Stage>,
    seat: Arc<Seat>,
}

impl Viewer {
    pub(super) fn new(stage: Arc<Stage>, size: Option<Size>) -> Self {
        let seat = stage.sit_down(size);
        Self { stage, seat }
    }

    /// What comes next; `None` when the terminal is closed. To be asked when there is room for it: what is not asked for holds
    /// the command up for a moment, and is then replaced by a snapshot. Loses nothing when dropped before it completes.
    pub async fn next(&mut self) -> Option<Output> {
        loop {
            match self.seat.take() {
                Found::Output(output) => {
                    self.stage.took();
                    return Some(output);
                }
                Found::Missed(missed) => return Some(self.stage.catch_up(&self.seat, missed)),
                Found::End => return None,
                // What came since the look has left a permit.
                Found::Nothing => self.seat.news.notified().await,
            }
        }
    }

    /// Keystrokes, which are dropped if no command runs. The terminal takes this viewer's size.
    ///
    /// # Errors
    /// If too much is waiting to be read by the program; nothing of `keys` is typed then.
    pub fn write(&self, keys: &[u8]) -> Result<(), InputFull> {
        let Some(running) = self.stage.running() else { return Ok(()) };
        if let Some(size) = self.seat.size() {
            self.stage.resize(size);
        }
        running.write(keys)
    }

    /// This viewer has this size, and so has the terminal.
    pub fn resize(&mut self, size: Size) {
        self.seat.set_size(size);
        self.stage.resize(size);
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        self.stage.stand_up(&self.seat);
    }
}
