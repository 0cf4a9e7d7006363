//! One who watches a terminal and types.

use bytes::Bytes;
use thiserror::Error;

use super::{Exit, Size};

/// What a viewer is told, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
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

/// The terminal takes no more keystrokes until its program reads some.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the program does not read what is typed; wait until it does, or cancel it")]
pub struct InputFull;

/// One who watches a terminal and types. Dropped, it has left; the terminal stays.
#[derive(Debug)]
pub struct Viewer {}

impl Viewer {
    /// What comes next; `None` when the terminal is closed. To be asked when there is room for it: what is not asked for holds
    /// the command up for a moment, and is then replaced by a snapshot. Loses nothing when dropped before it completes.
    pub async fn next(&mut self) -> Option<Output> {
        std::future::pending().await
    }

    /// Keystrokes, which are dropped if no command runs. The terminal takes this viewer's size.
    ///
    /// # Errors
    /// If too much is waiting to be read by the program; nothing of `keys` is typed then.
    pub fn write(&self, _keys: &[u8]) -> Result<(), InputFull> {
        Ok(())
    }

    /// This viewer has this size, and so has the terminal.
    pub fn resize(&mut self, _size: Size) {}
}
