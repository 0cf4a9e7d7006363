//! Programs of agents, supervised: each in a process group of its own, with the environment that it may have, and ended
//! together with everything that it started.
//!
//! What a program starts is known by a mark in its environment, which its children inherit, by descent, and by its group.
//! Only a process that has left its group, lost its parent and cleared its environment is not found. A guard, a process of
//! its own, does the same when the server is gone without having had the time to.

mod family;
mod guard;
mod lines;
mod output;
mod program;

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use uuid::Uuid;

pub use guard::{GUARD_ARGUMENT, guard};
pub use lines::Lines;
pub use output::{Output, REST};
pub use program::{CommandLine, Program, Supervision};

pub(in crate::service) use family::{Family, TERMINAL_MARK, signal_group};

use guard::Guard;
use parking_lot::{Mutex, MutexGuard};
use rustix::process::Pid;

/// Variables that every program gets, if the server has them. Names that end in `*` stand for all that begin like that.
const ENVIRONMENT: [&str; 14] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "LC_*",
    "TERM",
    "TMPDIR",
    "TZ",
    "XDG_*",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "NODE_EXTRA_CA_CERTS",
];

/// A new pseudo-terminal can't be marked at once as not to be inherited. Until it is, no program may start: it would hold the
/// terminal of another.
static STARTING: Mutex<()> = Mutex::new(());

/// To be held while a pseudo-terminal is opened, or a program starts.
pub(in crate::service) fn starting() -> MutexGuard<'static, ()> {
    STARTING.lock()
}

/// Starts programs. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Supervisor(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    /// Names this server's programs.
    instance: Uuid,
    /// The names, besides [`ENVIRONMENT`], that an operator lets through.
    environment: Vec<String>,
    guard: Guard,
}

impl Supervisor {
    /// `guard` is the server's own program, which guards its agents when run with [`GUARD_ARGUMENT`]; without it nothing
    /// ends them when this process is killed.
    #[must_use]
    pub fn new(environment: Vec<String>, guard: Option<PathBuf>) -> Self {
        let instance = Uuid::new_v4();
        Self(Arc::new(Parts { instance, environment, guard: Guard::new(guard, instance) }))
    }

    /// A family of processes that does not exist yet.
    pub(in crate::service) fn family(&self) -> Family {
        self.0.guard.wake();
        Family::new(self.0.instance)
    }

    /// The leader of a family's group has begun.
    pub(in crate::service) fn began(&self, leader: Pid) {
        self.0.guard.began(leader);
    }

    /// It has ended: its number may be another process's.
    pub(in crate::service) fn ended(&self, leader: Pid) {
        self.0.guard.ended(leader);
    }

    /// What a program may know of the server's environment; `names` are those that its kind needs.
    fn environment(&self, names: &[&str]) -> Vec<(OsString, OsString)> {
        let allowed = |name: &str| {
            let own = self.0.environment.iter().map(String::as_str);
            ENVIRONMENT.iter().copied().chain(names.iter().copied()).chain(own).any(|pattern| {
                pattern.strip_suffix('*').map_or(pattern == name, |beginning| name.starts_with(beginning))
            })
        };
        std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(allowed)).collect()
    }
}
