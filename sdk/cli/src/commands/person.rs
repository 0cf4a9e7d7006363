//! The person at the terminal, while something else goes on: what they type, and Ctrl-C.

use anyhow::Result;
use tokio::sync::mpsc;

/// Ctrl-C, as often as it comes.
pub(super) struct Interrupts(#[cfg(unix)] tokio::signal::unix::Signal);

impl Interrupts {
    pub(super) fn new() -> Result<Self> {
        #[cfg(unix)]
        return Ok(Self(tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt())?));
        #[cfg(not(unix))]
        Ok(Self())
    }

    pub(super) async fn next(&mut self) {
        #[cfg(unix)]
        if self.0.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
        #[cfg(not(unix))]
        let _ = tokio::signal::ctrl_c().await;
    }
}

/// Lines of the standard input, read beside everything else; they end with the input.
pub(super) fn lines() -> mpsc::Receiver<String> {
    let (teller, lines) = mpsc::channel(16);
    // A thread, because nothing can end a read of a terminal.
    std::thread::spawn(move || {
        for line in std::io::stdin().lines() {
            let Ok(line) = line else { return };
            if teller.blocking_send(line).is_err() {
                return;
            }
        }
    });
    lines
}

/// The next line; without lines, never.
pub(super) async fn next(lines: &mut Option<mpsc::Receiver<String>>) -> Option<String> {
    match lines {
        Some(lines) => lines.recv().await,
        None => std::future::pending().await,
    }
}

/// What was typed and has not been read yet: before a question it is no answer to that.
pub(super) fn typed_before(lines: &mut Option<mpsc::Receiver<String>>) -> Vec<String> {
    let mut typed = Vec::new();
    while let Some(line) = lines.as_mut().and_then(|lines| lines.try_recv().ok()) {
        typed.push(line);
    }
    typed
}
