//! The machine under the benchmark: which core does what, how many files may be open, what a process has used.
//!
//! It is changed by `taskset` and `prlimit` where they are installed; where they are not, the report says what that
//! means for the figures.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// Open files that the largest benchmark needs, with room to spare.
const FILES: u64 = 12_000;

/// What could be arranged.
#[derive(Debug)]
pub(crate) struct Machine {
    /// How to start something on the server's core.
    pin: Option<(PathBuf, usize)>,
    /// What a reader of the figures has to know.
    pub(crate) notes: Vec<String>,
}

impl Machine {
    /// Moves this process to the last core, keeps the first for the server, and allows enough open files.
    pub(crate) fn prepare() -> Self {
        let mut notes = Vec::new();
        if cfg!(debug_assertions) {
            notes.push("this is a debug build: the figures are worth nothing; use --release".to_owned());
        }
        let pin = match pin_self() {
            Ok((taskset, server, own)) => {
                notes.push(format!("server on core {server}, load generator on core {own}"));
                Some((taskset, server))
            }
            Err(why) => {
                notes.push(format!("nothing is pinned, so server and load generator share the cores: {why}"));
                None
            }
        };
        if let Err(why) = allow_files() {
            notes.push(format!("large benchmarks may fail: {why}"));
        }
        Self { pin, notes }
    }

    /// A command that runs `program` on the server's core.
    pub(crate) fn command(&self, program: &Path) -> tokio::process::Command {
        match &self.pin {
            Some((taskset, core)) => {
                let mut command = tokio::process::Command::new(taskset);
                command.arg("-c").arg(core.to_string()).arg(program);
                command
            }
            None => tokio::process::Command::new(program),
        }
    }
}

fn pin_self() -> Result<(PathBuf, usize, usize), String> {
    let taskset = find("taskset").ok_or("`taskset` (of util-linux) is not installed")?;
    let cores = allowed_cores();
    let (Some(first), Some(last)) = (cores.first(), cores.last()) else {
        return Err("this system does not say which cores it has".to_owned());
    };
    if first == last {
        return Err("there is one core only".to_owned());
    }
    quietly(Command::new(&taskset).args(["-a", "-c", "-p", &last.to_string(), &std::process::id().to_string()]))?;
    Ok((taskset, *first, *last))
}

/// Raises the soft limit, which children inherit.
fn allow_files() -> Result<(), String> {
    let Some((soft, hard)) = file_limits() else { return Ok(()) };
    if soft >= FILES {
        return Ok(());
    }
    if hard < FILES {
        return Err(format!("{FILES} open files are needed and {hard} allowed; raise the hard limit (`ulimit -Hn`)"));
    }
    let prlimit = find("prlimit")
        .ok_or_else(|| format!("{FILES} open files are needed and {soft} allowed; run `ulimit -n {FILES}` first"))?;
    quietly(Command::new(prlimit).args([format!("--pid={}", std::process::id()), format!("--nofile={FILES}:{hard}")]))
}

fn quietly(command: &mut Command) -> Result<(), String> {
    let ended = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    match ended {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{command:?} ended with {status}")),
        Err(error) => Err(format!("{command:?} does not start: {error}")),
    }
}

/// A program on the `PATH`.
fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|program| program.is_file())
}

/// From `Cpus_allowed_list: 0-3,8`.
fn allowed_cores() -> Vec<usize> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap_or_default().trim();
    let mut cores = Vec::new();
    for range in list.split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        if let (Ok(first), Ok(last)) = (first.parse::<usize>(), last.parse::<usize>()) {
            cores.extend(first..=last);
        }
    }
    cores
}

fn file_limits() -> Option<(u64, u64)> {
    let limits = std::fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    let mut numbers = line.split_whitespace().map(|word| word.parse().unwrap_or(u64::MAX));
    Some((numbers.next()?, numbers.next()?))
}

/// The system's load averages over 1, 5 and 15 minutes, as text.
pub(crate) fn load_average() -> Option<String> {
    let text = std::fs::read_to_string("/proc/loadavg").ok()?;
    Some(text.split_whitespace().take(3).collect::<Vec<_>>().join(" "))
}

/// The time that a process's threads have spent on a core.
pub(crate) fn processor_time(process: u32) -> Option<Duration> {
    let mut nanoseconds = 0;
    for task in std::fs::read_dir(format!("/proc/{process}/task")).ok()? {
        let text = std::fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
        nanoseconds += text.split_whitespace().next()?.parse::<u64>().ok()?;
    }
    Some(Duration::from_nanos(nanoseconds))
}

/// What a process holds in memory, in KiB.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Memory {
    pub(crate) resident: f64,
    /// Without files that are mapped.
    pub(crate) anonymous: f64,
}

/// What a process holds in memory now.
pub(crate) fn memory(process: u32) -> Option<Memory> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let field = |name: &str| -> Option<f64> {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse().ok()
    };
    Some(Memory { resident: field("VmRSS:")?, anonymous: field("RssAnon:")? })
}
