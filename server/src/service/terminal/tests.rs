//! Terminals with real programs on real pseudo-terminals.

mod flood;
mod lives;
mod typing;

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::{Mode, OFlags};

use super::*;
use crate::clock::{Clock, SystemClock};
use crate::service::agents::process::Supervisor;

/// How long anything may take that is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

fn terminal() -> Terminal {
    terminal_with(Arc::new(SystemClock), OnDisconnect::Keep)
}

fn terminal_with(clock: Arc<dyn Clock>, on_disconnect: OnDisconnect) -> Terminal {
    Terminal::start(Supervisor::new(Vec::new(), None), clock, on_disconnect)
}

/// A command, allowed by a policy that allows just that.
fn command(text: &str) -> Command {
    CommandPolicy::new(vec![text.to_owned()]).expect("a command").prepare(text).expect("it is allowed")
}

/// A script for a shell, which a policy allows.
fn script(text: &str) -> Command {
    command(&format!("sh -c {}", shlex::try_quote(text).expect("it has no NUL")))
}

fn folder(path: &str) -> OwnedFd {
    rustix::fs::open(path, OFlags::DIRECTORY | OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).expect("it is a folder")
}

async fn run(terminal: &Terminal, command: &Command) -> Run {
    terminal.run(command, folder("/"), Limits::default()).await.expect("it starts")
}

async fn exit(run: &mut Run) -> Exit {
    tokio::time::timeout(PATIENCE, run.exited()).await.expect("the command ends in time")
}

async fn next(viewer: &mut Viewer) -> Output {
    tokio::time::timeout(PATIENCE, viewer.next()).await.expect("something comes in time").expect("the terminal is open")
}

/// Takes the snapshot that comes first.
async fn snapshot(viewer: &mut Viewer) -> bytes::Bytes {
    match next(viewer).await {
        Output::Snapshot { bytes, .. } => bytes,
        other => panic!("a snapshot comes first, not {other:?}"),
    }
}

/// What a viewer sees, from after its snapshot to the end of the command. Fails if anything was left out.
async fn rest(viewer: &mut Viewer) -> (Vec<u8>, Exit) {
    let mut printed = Vec::new();
    loop {
        match next(viewer).await {
            Output::Bytes(bytes) => printed.extend_from_slice(&bytes),
            Output::Exit(exit) => return (printed, exit),
            Output::Resized(_) => {}
            Output::Snapshot { .. } => panic!("the viewer kept up"),
        }
    }
}

/// Waits until the output has a text.
async fn until(viewer: &mut Viewer, text: &str) -> String {
    let mut printed = String::new();
    while !printed.contains(text) {
        match next(viewer).await {
            Output::Bytes(bytes) | Output::Snapshot { bytes, .. } => printed.push_str(&String::from_utf8_lossy(&bytes)),
            Output::Resized(_) => {}
            Output::Exit(exit) => panic!("{text:?} comes before the end ({exit:?}), not only {printed:?}"),
        }
    }
    printed
}

/// Runs a command to its end; what it printed.
async fn printed(terminal: &Terminal, command: &Command) -> (String, Exit) {
    let mut viewer = terminal.attach(None);
    snapshot(&mut viewer).await;
    run(terminal, command).await;
    let (printed, exit) = rest(&mut viewer).await;
    (String::from_utf8_lossy(&printed).into_owned(), exit)
}

/// Whether a process lives. One that has ended and that nobody waits for does not.
fn lives(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

async fn until_gone(pid: &str) {
    let gone = async {
        while lives(pid) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, gone).await.expect("the process is ended in time");
}
