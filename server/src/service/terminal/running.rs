//! A command that runs, as those see it who type, cancel or wait.

use std::collections::VecDeque;
use std::fmt;
use std::os::fd::OwnedFd;

use parking_lot::Mutex;
use rustix::event::{EventfdFlags, eventfd};
use rustix::io::Errno;
use tokio::sync::watch;

use super::{Ended, Exit, InputFull};

/// How much may be typed that the program has not read.
const INPUT: usize = 1 << 20;

/// A command that runs.
pub(super) struct Running {
    pub(super) pty: OwnedFd,
    /// Readable when there is something to do for who reads the output.
    pub(super) woken: OwnedFd,
    pub(super) exit: watch::Sender<Option<Exit>>,
    typed: Mutex<VecDeque<u8>>,
    ending: Mutex<Option<Ended>>,
}

impl fmt::Debug for Running {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What is typed may be a password.
        formatter.debug_struct("Running").field("ending", &self.ending).finish_non_exhaustive()
    }
}

impl Running {
    pub(super) fn new(pty: OwnedFd) -> std::io::Result<Self> {
        let woken = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self { pty, woken, exit: watch::Sender::new(None), typed: Mutex::default(), ending: Mutex::default() })
    }

    /// Types `keys`, all or none.
    pub(super) fn write(&self, keys: &[u8]) -> Result<(), InputFull> {
        let mut typed = self.typed.lock();
        if typed.len() + keys.len() > INPUT {
            return Err(InputFull);
        }
        typed.extend(keys);
        if !self.flush(&mut typed) {
            self.wake();
        }
        Ok(())
    }

    /// Whether there is something to type that the terminal had no room for.
    pub(super) fn has_typed(&self) -> bool {
        !self.typed.lock().is_empty()
    }

    /// Types that, as far as there is room by now.
    pub(super) fn type_on(&self) {
        self.flush(&mut self.typed.lock());
    }

    /// Whether everything is written.
    fn flush(&self, typed: &mut VecDeque<u8>) -> bool {
        while !typed.is_empty() {
            match rustix::io::write(&self.pty, typed.as_slices().0) {
                Ok(written) => _ = typed.drain(..written),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return false,
                // Nobody will read it.
                Err(_) => typed.clear(),
            }
        }
        // A long paste is not kept in memory.
        typed.shrink_to(64);
        true
    }

    /// Ends the command. Only the first reason counts.
    pub(super) fn end(&self, why: Ended) {
        self.ending.lock().get_or_insert(why);
        self.wake();
    }

    /// Why it is to end, if it is.
    pub(super) fn ending(&self) -> Option<Ended> {
        *self.ending.lock()
    }

    fn wake(&self) {
        // If it is full, it wakes too.
        let _ = rustix::io::write(&self.woken, &1_u64.to_ne_bytes());
    }
}
