//! Agents that speak the Agent Client Protocol, by its official crate.
//!
//! [`wire`] carries messages, one at a time; [`session`] opens a session; [`translate`] makes updates of what the agent
//! tells. Here is what joins them: one turn after the other.

mod ask;
mod call;
mod session;
mod translate;
mod wire;

use std::collections::VecDeque;
use std::time::Duration;

use agent_client_protocol::v1::schema::{CancelNotification, ContentBlock, PromptRequest, SessionId, TextContent};
use async_trait::async_trait;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::process::{CommandLine, Program, REST, Supervision};
use super::update::Update;
use super::{Agent, AgentError, Setup};
use session::{Failure, Session};
use translate::Translator;
use wire::{Event, Wire};

/// How long an agent has to end a cancelled turn's processes by itself.
const GRACE: Duration = Duration::from_millis(600);

struct Acp {
    wire: Wire,
    supervision: Supervision,
    session: SessionId,
    /// What to do when it wants somebody to log in.
    login: String,
    translator: Translator,
    /// What it told and nobody has taken.
    ready: VecDeque<Update>,
    turn: Option<Turn>,
    /// When the processes that a cancelled turn has left are ended.
    sweep_at: Option<Instant>,
    /// Its program has ended; until when the rest of what it said may come.
    rest_until: Option<Instant>,
    last_heard: Instant,
}

/// A turn. When it is over, nobody answers its questions any more.
struct Turn {
    cancelled: CancellationToken,
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.cancelled.cancel();
    }
}

pub(super) async fn start(
    command: &CommandLine,
    environment: &[&str],
    setup: Setup,
) -> Result<Box<dyn Agent>, AgentError> {
    let Program { stdin, stdout, mut supervision } = setup.supervisor.start(command, &setup.cwd, environment)?;
    let mut wire = Wire::new(stdin, stdout);
    let gone = async {
        supervision.exited().await;
        tokio::time::sleep(REST).await;
    };
    let opened = tokio::select! {
        opened = tokio::time::timeout(setup.patience, session::open(&mut wire, &setup)) => opened,
        // Its output may stay open: what it started may hold it.
        () = gone => Ok(Err(Failure::Gone)),
    };
    let error = match opened {
        Ok(Ok(Session { id, login })) => {
            let ready = VecDeque::from([Update::Session(id.to_string())]);
            let translator = Translator::new(setup.cwd.clone());
            return Ok(Box::new(Acp {
                wire,
                supervision,
                session: id,
                login,
                translator,
                ready,
                turn: None,
                sweep_at: None,
                rest_until: None,
                last_heard: Instant::now(),
            }));
        }
        Ok(Err(Failure::Gone)) => supervision.ended().await,
        Ok(Err(Failure::Refused(why))) => AgentError::Refused(why),
        Err(_) => AgentError::NotReady { seconds: setup.patience.as_secs(), last_words: supervision.last_words() },
    };
    wire.close().await;
    supervision.close().await;
    Err(error)
}

impl Acp {
    fn hear(&mut self, event: Event) {
        let Some(turn) = &self.turn else {
            event.dismiss();
            return;
        };
        match event {
            Event::Told(update) => self.translator.update(*update, &mut self.ready),
            Event::Asked(_, _) if turn.cancelled.is_cancelled() => event.dismiss(),
            Event::Asked(request, responder) => {
                let question = self.translator.question(&request.tool_call, &mut self.ready);
                self.ready.push_back(ask::ask(question, request.options, responder, turn.cancelled.clone()));
            }
            Event::Answered(result) => {
                let cancelled = turn.cancelled.is_cancelled();
                self.turn = None;
                self.translator.end(result, cancelled, &self.login, &mut self.ready);
                if cancelled {
                    // It says that it has stopped. What is left of the turn goes before anybody hears of its end.
                    self.sweep_at = Some(Instant::now());
                }
            }
        }
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

#[async_trait]
impl Agent for Acp {
    async fn prompt(&mut self, text: &str) -> Result<(), AgentError> {
        // What came since the last turn belongs to none.
        while let Ok(event) = self.wire.events.try_recv() {
            event.dismiss();
        }
        self.supervision.settle().await;
        self.sweep_at = None;
        let text = ContentBlock::Text(TextContent::new(text));
        if self.rest_until.is_some() || !self.wire.prompt(PromptRequest::new(self.session.clone(), vec![text])) {
            return Err(self.supervision.ended().await);
        }
        self.turn = Some(Turn { cancelled: CancellationToken::new() });
        Ok(())
    }

    async fn next(&mut self) -> Result<Update, AgentError> {
        loop {
            if self.sweep_at.is_some_and(|at| at <= Instant::now()) {
                self.supervision.end_the_unsettled().await;
                self.sweep_at = None;
            }
            if let Some(update) = self.ready.pop_front() {
                return Ok(update);
            }
            let event = tokio::select! {
                biased;
                event = self.wire.events.recv() => event,
                () = until(self.sweep_at) => continue,
                _ = self.supervision.exited(), if self.rest_until.is_none() => {
                    self.rest_until = Some(Instant::now() + REST);
                    continue;
                }
                () = until(self.rest_until) => None,
            };
            match event {
                Some(event) => {
                    self.last_heard = Instant::now();
                    self.hear(event);
                }
                None => return Err(self.supervision.ended().await),
            }
        }
    }

    fn last_heard(&self) -> Instant {
        self.last_heard
    }

    async fn cancel(&mut self) {
        let Some(turn) = self.turn.as_ref().filter(|turn| !turn.cancelled.is_cancelled()) else { return };
        self.wire.notify(CancelNotification::new(self.session.clone()));
        turn.cancelled.cancel();
        self.ready.retain(|update| !matches!(update, Update::Permission(_)));
        self.sweep_at = Some(Instant::now() + GRACE);
    }

    async fn close(self: Box<Self>) {
        let Self { wire, supervision, .. } = *self;
        wire.close().await;
        supervision.close().await;
    }
}
