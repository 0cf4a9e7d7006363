//! A program and everything that it started, wherever that went.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use sysinfo::{ProcessRefreshKind, ProcessesToUpdate, System, UpdateKind};
use uuid::Uuid;

/// The variable that marks a program and its children: `<server>/<family>`. It is no setting's name: a server may be
/// started by an agent. `flightdeck hook` knows by it that a server asks already.
pub(super) const MARK: &str = "FLIGHTDECK_AGENT_PROCESS";

/// The same for a command of a terminal. Agents that a person starts there have hooks that must ask.
pub(in crate::service) const TERMINAL_MARK: &str = "FLIGHTDECK_TERMINAL_PROCESS";

/// How often it is looked whether somebody is left; a fork may be faster than a look.
const ROUNDS: u32 = 50;

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(20);

/// The processes of one program, or of all of a server's.
#[derive(Debug, Clone)]
pub(in crate::service) struct Family {
    mark: String,
}

impl Family {
    pub(super) fn new(instance: Uuid) -> Self {
        Self { mark: format!("{instance}/{}", Uuid::new_v4()) }
    }

    /// All families of a server.
    pub(super) fn all_of(instance: &str) -> Self {
        Self { mark: format!("{instance}/") }
    }

    /// What its processes have as [`MARK`] or [`TERMINAL_MARK`].
    pub(in crate::service) fn mark(&self) -> &str {
        &self.mark
    }

    /// Its processes that live.
    pub(in crate::service) fn members(&self) -> HashSet<u32> {
        let mut system = System::new();
        let what = ProcessRefreshKind::nothing().with_environ(UpdateKind::Always).without_tasks();
        system.refresh_processes_specifics(ProcessesToUpdate::All, true, what);
        let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
        let mut members = HashSet::new();
        let mut found = Vec::new();
        for (pid, process) in system.processes() {
            if let Some(parent) = process.parent() {
                children.entry(parent.as_u32()).or_default().push(pid.as_u32());
            }
            let ended = matches!(process.status(), sysinfo::ProcessStatus::Zombie | sysinfo::ProcessStatus::Dead);
            if !ended && process.environ().iter().any(|variable| self.is_marked(variable)) {
                found.push(pid.as_u32());
            }
        }
        while let Some(pid) = found.pop() {
            if members.insert(pid) {
                found.extend(children.get(&pid).into_iter().flatten());
            }
        }
        members.remove(&std::process::id());
        members
    }

    fn is_marked(&self, variable: &OsStr) -> bool {
        let variable = variable.to_str().and_then(|text| text.split_once('='));
        variable.is_some_and(|(name, mark)| [MARK, TERMINAL_MARK].contains(&name) && mark.starts_with(&self.mark))
    }

    /// Ends its processes, but for those in `spared`, and waits until they are gone; `known` are some that it had a moment ago,
    /// and `groups` the leaders of its groups. Blocks for as long as that takes, a second at most.
    pub(in crate::service) fn end(&self, spared: &HashSet<u32>, known: &HashSet<u32>, groups: &[Pid]) {
        // Who has neither mark nor parent any more is found only by what was known before.
        for pid in known.difference(spared) {
            signal(*pid, Signal::KILL);
        }
        for round in 0..ROUNDS {
            let mut living = self.members();
            living.retain(|pid| !spared.contains(pid));
            if round == 0 {
                // Not before: who loses its parent may not be found any more.
                groups.iter().for_each(|leader| signal_group(*leader, Signal::KILL));
            }
            if living.is_empty() {
                return;
            }
            for pid in living {
                signal(pid, Signal::KILL);
            }
            std::thread::sleep(PAUSE);
        }
        tracing::warn!("some processes of an agent or a command could not be ended");
    }
}

/// Signals a process that leads a group, and the group.
pub(in crate::service) fn signal_group(leader: Pid, signal: Signal) {
    // It may be gone by now.
    let _ = kill_process_group(leader, signal);
}

fn signal(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        // It may be gone by now.
        let _ = kill_process(pid, signal);
    }
}
