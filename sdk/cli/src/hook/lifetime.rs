//! Notices when the agent does not want the answer any more: it was told to stop, or it is gone.

use std::time::Duration;

/// How often to look whether the agent still lives.
const LOOK: Duration = Duration::from_secs(3);

/// Completes, with the reason, when the agent stops waiting.
///
/// Escape in the terminal, and the agent's own end, are signals. An agent that was killed signals nothing, and its
/// hook would go on asking for a day; so the parent, and the process that Claude Code names, are looked after too.
pub(crate) async fn agent_stops_waiting(agent: Option<String>) -> &'static str {
    tokio::select! {
        () = signal() => "the agent stopped waiting",
        () = gone(agent) => "the agent is gone",
    }
}

#[cfg(unix)]
async fn signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let listen = |kind| async move {
        match signal(kind) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            // Then it ends the process the usual way.
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        () = listen(SignalKind::terminate()) => {}
        () = listen(SignalKind::interrupt()) => {}
        () = listen(SignalKind::hangup()) => {}
    }
}

#[cfg(not(unix))]
async fn signal() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending().await
    }
}

#[cfg(unix)]
async fn gone(agent: Option<String>) {
    use rustix::process::{Pid, test_kill_process};

    let parent = std::os::unix::process::parent_id();
    let agent = agent.and_then(|id| Pid::from_raw(id.parse().ok()?)).filter(|id| test_kill_process(*id).is_ok());
    loop {
        tokio::time::sleep(LOOK).await;
        let orphaned = std::os::unix::process::parent_id() != parent;
        if orphaned || agent.is_some_and(|id| test_kill_process(id) == Err(rustix::io::Errno::SRCH)) {
            return;
        }
    }
}

#[cfg(not(unix))]
async fn gone(_agent: Option<String>) {
    std::future::pending().await
}
