//! A process beside the companion that does one thing: when the companion dies without having ended its agent, as
//! `kill -9` does it, the keeper ends the agent. The companion tells it by a pipe whose end comes with its own.

use std::io::{BufRead, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Pid;

use super::group::Ending;

/// The word of the command line.
const WORD: &str = "companion-keeper";

/// How long an agent may take. Nobody waits for it any more.
const PATIENCE: Duration = Duration::from_secs(2);

/// The companion's end.
#[derive(Debug)]
pub(super) struct Keeper {
    process: Child,
    /// There until the end.
    pipe: Option<ChildStdin>,
}

impl Keeper {
    pub(super) fn start() -> std::io::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(WORD).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut process = command.spawn()?;
        let pipe = process.stdin.take();
        Ok(Self { process, pipe })
    }

    /// From now on this group is to be ended; or none.
    pub(super) fn keep(&mut self, group: Option<Pid>) {
        let number = group.map_or(0, |group| group.as_raw_nonzero().get());
        if let Some(pipe) = &mut self.pipe {
            // Without a keeper there is still the companion.
            let _gone = pipe.write_all(format!("{number}\n").as_bytes());
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.pipe = None;
        let _reaped = self.process.wait();
    }
}

/// What the process does.
pub(crate) fn run(pipe: impl BufRead) {
    // What ends the companion's terminal, or is typed there, is not for the keeper.
    let _leads_already = rustix::process::setsid();
    let mut group = None;
    for line in pipe.lines().map_while(Result::ok) {
        group = line.parse().ok().and_then(Pid::from_raw);
    }
    let Some(group) = group else { return };
    let mut ending = Ending::ask(group, PATIENCE, Instant::now());
    while let Some(pause) = ending.look(Instant::now()) {
        std::thread::sleep(pause);
    }
}
