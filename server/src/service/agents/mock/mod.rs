//! An agent without a model: it follows a script, inside the server, so that everything can be tried and tested offline.
//!
//! What it runs are programs as any agent's are, and what it writes are files; only the thinking is made up.

mod script;
mod turn;

use std::path::Path;

use async_trait::async_trait;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::update::Update;
use super::{Agent, AgentError, Setup};
use script::Script;

/// Updates that wait until somebody takes them.
const QUEUE: usize = 64;

struct Mock {
    script: Script,
    setup: Setup,
    turns: u64,
    /// Told first.
    session: Option<String>,
    updates: mpsc::Receiver<Result<Update, AgentError>>,
    teller: mpsc::Sender<Result<Update, AgentError>>,
    cancel: CancellationToken,
    last_heard: Instant,
}

pub(super) async fn start(script: Option<&Path>, setup: Setup) -> Result<Box<dyn Agent>, AgentError> {
    let script = Script::load(script).await?;
    let (teller, updates) = mpsc::channel(QUEUE);
    let session = setup.resume.clone().unwrap_or_else(|| format!("mock-{}", Uuid::new_v4()));
    let cancel = CancellationToken::new();
    Ok(Box::new(Mock {
        script,
        setup,
        turns: 0,
        session: Some(session),
        updates,
        teller,
        cancel,
        last_heard: Instant::now(),
    }))
}

#[async_trait]
impl Agent for Mock {
    async fn prompt(&mut self, text: &str) -> Result<(), AgentError> {
        self.turns += 1;
        self.cancel = CancellationToken::new();
        let steps = self.script.steps(text, self.turns);
        let (setup, teller, cancel) = (self.setup.clone(), self.teller.clone(), self.cancel.clone());
        tokio::spawn(turn::play(steps, setup, teller, cancel));
        Ok(())
    }

    fn last_heard(&self) -> Instant {
        self.last_heard
    }

    async fn next(&mut self) -> Result<Update, AgentError> {
        if let Some(session) = self.session.take() {
            return Ok(Update::Session(session));
        }
        match self.updates.recv().await {
            Some(update) => {
                self.last_heard = Instant::now();
                update
            }
            // It holds a sender itself.
            None => std::future::pending().await,
        }
    }

    async fn cancel(&mut self) {
        self.cancel.cancel();
    }

    async fn close(self: Box<Self>) {
        self.cancel.cancel();
    }
}

impl Drop for Mock {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}
