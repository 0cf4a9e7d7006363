//! What ends agents when their server is gone.
//!
//! The guard is the server's own program with another task. It holds one end of a pipe, whose other end the server holds:
//! when that closes, however the server ended, it ends every process that carries the server's mark or belongs to the group of a
//! program that it was told of, and then itself.

use std::collections::HashSet;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use parking_lot::Mutex;
use rustix::process::Pid;
use uuid::Uuid;

use super::family::Family;

/// The first argument of the server's program as a guard; the second is the server's mark.
pub const GUARD_ARGUMENT: &str = "guard-agents";

/// A server's guard, which starts when there is something to guard.
#[derive(Debug)]
pub(super) struct Guard {
    program: Option<PathBuf>,
    instance: Uuid,
    watch: Mutex<Watch>,
}

#[derive(Debug, Default)]
struct Watch {
    child: Option<Child>,
    /// The programs that run, which lead groups.
    leaders: HashSet<Pid>,
}

impl Guard {
    pub(super) fn new(program: Option<PathBuf>, instance: Uuid) -> Self {
        Self { program, instance, watch: Mutex::default() }
    }

    /// Makes sure that it is there.
    pub(super) fn wake(&self) {
        let Some(program) = &self.program else { return };
        let mut watch = self.watch.lock();
        if watch.child.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None))) {
            return;
        }
        let mut command = Command::new(program);
        command.args([GUARD_ARGUMENT, &self.instance.to_string()]).env_clear();
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        // A Ctrl-C in the server's terminal is not for the guard.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let started = {
            let _starting = super::starting();
            command.spawn()
        };
        match started {
            Ok(started) => {
                watch.child = Some(started);
                // One that ended knew of them.
                for leader in watch.leaders.clone() {
                    watch.tell('+', leader);
                }
            }
            Err(error) => {
                tracing::warn!(%error, "can't start the guard; if this server is killed, its agents go on without it");
            }
        }
    }

    /// A program has begun.
    pub(super) fn began(&self, leader: Pid) {
        let mut watch = self.watch.lock();
        watch.leaders.insert(leader);
        watch.tell('+', leader);
    }

    /// It has ended: its number may be another process's.
    pub(super) fn ended(&self, leader: Pid) {
        let mut watch = self.watch.lock();
        if watch.leaders.remove(&leader) {
            watch.tell('-', leader);
        }
    }
}

impl Watch {
    fn tell(&mut self, sign: char, leader: Pid) {
        if let Some(stdin) = self.child.as_mut().and_then(|child| child.stdin.as_mut()) {
            // If it is gone, the next one is told all of it.
            let _ = writeln!(stdin, "{sign}{leader}", leader = leader.as_raw_pid());
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(mut child) = self.watch.get_mut().child.take() {
            // Its pipe closes, and so it ends; nobody should find it as a zombie.
            drop(child.stdin.take());
            let _ = child.wait();
        }
    }
}

/// Guards the server `instance`: returns when that is gone and its agents are ended.
pub fn guard(instance: &str) {
    let mut groups = HashSet::new();
    for line in std::io::stdin().lines().map_while(Result::ok) {
        let Some((sign, leader)) = line.split_at_checked(1) else { continue };
        let Some(leader) = leader.parse().ok().filter(|leader| *leader > 1).and_then(Pid::from_raw) else { continue };
        match sign {
            "+" => _ = groups.insert(leader),
            _ => _ = groups.remove(&leader),
        }
    }
    // An empty mark would be everybody's.
    if Uuid::parse_str(instance).is_ok() {
        let groups: Vec<_> = groups.into_iter().collect();
        Family::all_of(instance).end(&HashSet::new(), &HashSet::new(), &groups);
    }
}
