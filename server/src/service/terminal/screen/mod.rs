//! What a terminal shows, kept by an emulator, so that whoever comes later sees it too.
//!
//! The emulator reads what viewers read. It is never drawn: a [`Screen::snapshot`] is what makes a viewer's own emulator show the
//! same. Links (OSC 8) and images are not kept. Whatever a program prints, its memory is bounded.

mod emulator;
mod paint;
mod parts;
mod pen;
mod restore;
#[cfg(test)]
mod tests;

use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;

use super::Size;
use emulator::Emulator;
use parts::Parts;

/// How many lines that have scrolled off are kept, on a terminal of usual width.
pub(super) const SCROLLBACK: usize = 2_000;

/// How many cells of such lines are kept: the wider the terminal, the fewer lines.
const SCROLLBACK_CELLS: usize = 400_000;

/// How much of a snapshot may be lines that have scrolled off, in bytes.
pub(super) const SNAPSHOT_SCROLLBACK: usize = 512 << 10;

/// The same for a viewer who was too slow, and would be again.
const RESYNC_SCROLLBACK: usize = 64 << 10;

/// A screen.
pub(super) struct Screen {
    emulator: Emulator,
    parts: Parts,
    size: Size,
}

impl std::fmt::Debug for Screen {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // What is on it may be secret.
        formatter.debug_struct("Screen").field("size", &self.size).finish_non_exhaustive()
    }
}

impl Screen {
    pub(super) fn new(size: Size) -> Self {
        Self { emulator: Emulator::new(size), parts: Parts::default(), size }
    }

    pub(super) const fn size(&self) -> Size {
        self.size
    }

    /// Shows what was printed.
    pub(super) fn feed(&mut self, printed: &[u8]) {
        let Self { emulator, parts, .. } = self;
        let fed = catch_unwind(AssertUnwindSafe(|| parts.read(printed, |part| emulator.feed(part))));
        if fed.is_err() {
            // What one program printed must not end the terminal. Who watches has seen the bytes themselves.
            tracing::error!("the emulator failed at a program's output; its screen is empty now");
            *self = Self::new(self.size);
        }
    }

    /// What a program asked of its terminal since the last time, answered.
    pub(super) fn answers(&self) -> Vec<u8> {
        self.emulator.answers()
    }

    pub(super) fn resize(&mut self, size: Size) {
        self.emulator.resize(size);
        self.size = size;
    }

    /// What makes a terminal of the same size show the same, whatever it shows now.
    pub(super) fn snapshot(&mut self) -> Bytes {
        self.restored(SNAPSHOT_SCROLLBACK)
    }

    /// The same, with fewer of the lines that have scrolled off.
    pub(super) fn resync(&mut self) -> Bytes {
        self.restored(RESYNC_SCROLLBACK)
    }

    fn restored(&mut self, scrollback: usize) -> Bytes {
        let mut bytes = restore::restore(&mut self.emulator, scrollback);
        bytes.extend_from_slice(self.parts.unfinished());
        bytes.into()
    }

    /// What a program should find before it starts: the screen as it is, but none of the modes that another one left, and the
    /// cursor on a line of its own. Empty if all is well.
    pub(super) fn tidied(&mut self) -> Bytes {
        let mut bytes = Vec::new();
        if !self.parts.unfinished().is_empty() {
            // Ends a sequence that was begun.
            bytes.push(0x18);
        }
        bytes.extend(restore::tidy(&mut self.emulator));
        bytes.into()
    }
}
