//! Ends an agent with everything that it has started: all processes of a group. First they are asked, then they are
//! killed.

use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};

/// How long those who were asked may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
/// How long those who were killed may take. Longer is a process that hangs in the system, or one that nobody reaps.
const DEATH: Duration = Duration::from_secs(1);
const LOOK: Duration = Duration::from_millis(10);

/// Sends a signal to a group. One that is gone has ended already, which is as good.
pub(super) fn signal(group: Pid, signal: Signal) {
    let _gone = kill_process_group(group, signal);
}

/// Whether nobody of a group is left.
pub(super) fn is_gone(group: Pid) -> bool {
    test_kill_process_group(group) == Err(rustix::io::Errno::SRCH)
}

/// What to do about a group that has to end, until it has.
#[derive(Debug)]
pub(super) struct Ending {
    group: Pid,
    kill_at: Instant,
    give_up_at: Instant,
    killed: bool,
}

impl Ending {
    /// Of a group that has been asked already.
    pub(super) fn asked(group: Pid, patience: Duration, now: Instant) -> Self {
        Self { group, kill_at: now + patience, give_up_at: now + patience + DEATH, killed: false }
    }

    /// Asks a group to end.
    pub(super) fn ask(group: Pid, patience: Duration, now: Instant) -> Self {
        signal(group, Signal::TERM);
        Self::asked(group, patience, now)
    }

    /// Answers whether it is over; if not, how long to wait before the next look.
    pub(super) fn look(&mut self, now: Instant) -> Option<Duration> {
        if is_gone(self.group) || now >= self.give_up_at {
            return None;
        }
        if now >= self.kill_at && !self.killed {
            self.killed = true;
            signal(self.group, Signal::KILL);
        }
        Some(LOOK)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::CommandExt as _;
    use std::process::{Command, Stdio};

    use super::*;

    fn end(script: &str, patience: Duration) -> Duration {
        let mut command = Command::new("sh");
        command.args(["-c", script]).process_group(0).stdout(Stdio::piped());
        let mut child = command.spawn().expect("starts");
        // It has set its traps.
        let mut output = child.stdout.take().expect("is piped");
        std::io::Read::read_exact(&mut output, &mut [0]).expect("says that it is ready");
        let group = Pid::from_child(&child);
        let reaper = std::thread::spawn(move || child.wait());
        let start = Instant::now();
        let mut ending = Ending::ask(group, patience, start);
        while let Some(pause) = ending.look(Instant::now()) {
            std::thread::sleep(pause);
        }
        reaper.join().expect("no panic").expect("was there");
        let took = start.elapsed();
        assert!(!lives(group));
        took
    }

    /// Whether anybody of a group is left, apart from those who are dead and wait for whoever runs as process 1.
    fn lives(group: Pid) -> bool {
        let listed = Command::new("ps").args(["-A", "-o", "pgid=,stat="]).output().expect("runs");
        let listed = String::from_utf8(listed.stdout).expect("is text");
        let group = group.as_raw_nonzero().to_string();
        let processes = listed.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        processes.into_iter().any(|process| process.first() == Some(&&*group) && !process[1].starts_with('Z'))
    }

    #[test]
    fn a_group_that_listens_is_asked_and_one_that_does_not_is_killed() {
        assert!(end("sleep 100 & echo; wait", Duration::from_secs(60)) < Duration::from_secs(30));
        let patience = Duration::from_millis(300);
        assert!(end("trap '' TERM; (trap '' TERM; sleep 100) & echo; wait; sleep 100", patience) >= patience);
    }
}
