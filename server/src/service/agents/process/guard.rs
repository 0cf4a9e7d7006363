//! What ends agents when their server is gone.
//!
//! The guard is the server's own program with another task. It holds one end of a pipe, whose other end the server holds:
//! when that closes, however the server ended, it ends every process that carries the server's mark, and then itself.

use std::collections::HashSet;
use std::io::Read;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use parking_lot::Mutex;
use uuid::Uuid;

use super::family::Family;

/// The first argument of the server's program as a guard; the second is the server's mark.
pub const GUARD_ARGUMENT: &str = "guard-agents";

/// A server's guard, which starts when there is something to guard.
#[derive(Debug)]
pub(super) struct Guard {
    program: Option<PathBuf>,
    instance: Uuid,
    child: Mutex<Option<Child>>,
}

impl Guard {
    pub(super) const fn new(program: Option<PathBuf>, instance: Uuid) -> Self {
        Self { program, instance, child: Mutex::new(None) }
    }

    /// Makes sure that it is there.
    pub(super) fn wake(&self) {
        let Some(program) = &self.program else { return };
        let mut child = self.child.lock();
        if child.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None))) {
            return;
        }
        let mut command = Command::new(program);
        command.args([GUARD_ARGUMENT, &self.instance.to_string()]).env_clear();
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        // A Ctrl-C in the server's terminal is not for the guard.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        match command.spawn() {
            Ok(started) => *child = Some(started),
            Err(error) => {
                tracing::warn!(%error, "can't start the guard; if this server is killed, its agents go on without it");
            }
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.get_mut().take() {
            // Its pipe closes, and so it ends; nobody should find it as a zombie.
            drop(child.stdin.take());
            let _ = child.wait();
        }
    }
}

/// Guards the server `instance`: returns when that is gone and its agents are ended.
pub fn guard(instance: &str) {
    let mut rest = Vec::new();
    let _ = std::io::stdin().read_to_end(&mut rest);
    // An empty mark would be everybody's.
    if Uuid::parse_str(instance).is_ok() {
        Family::all_of(instance).end(&HashSet::new(), &HashSet::new());
    }
}
