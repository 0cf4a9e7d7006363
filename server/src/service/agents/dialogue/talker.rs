//! An agent that is a program which talks line by line.

use std::collections::VecDeque;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use super::ends::Ends;
use super::questions::Questions;
use super::{Dialogue, Heard};
use crate::service::agents::process::CommandLine;
use crate::service::agents::update::{Answer, Update};
use crate::service::agents::{Agent, AgentError, Setup};

/// How long the processes of a cancelled turn have to end by themselves.
const GRACE: Duration = Duration::from_millis(600);

/// A program, and the protocol that it speaks.
pub(in crate::service::agents) struct Talker<D: Dialogue> {
    dialogue: D,
    ends: Ends,
    questions: Questions<D::Asked>,
    /// What is to be told before another line is read.
    ready: VecDeque<Update>,
    turn: Turn,
    last_heard: Instant,
}

/// Where the turn stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    None,
    Running,
    /// Until when its processes may stay, unless they are ended already.
    Cancelled(Option<Instant>),
}

impl<D: Dialogue> Talker<D> {
    /// Starts a program, and waits until it is ready for a prompt.
    ///
    /// # Errors
    /// If it does not start, refuses, or is not ready in time. It is ended then.
    pub(in crate::service::agents) async fn start(
        dialogue: D,
        command: &CommandLine,
        environment: &[&str],
        setup: &Setup,
    ) -> Result<Self, AgentError> {
        let ends = Ends::start(command, environment, setup)?;
        let (questions, ready) = (Questions::default(), VecDeque::new());
        let mut talker = Self { dialogue, ends, questions, ready, turn: Turn::None, last_heard: Instant::now() };
        match tokio::time::timeout(setup.patience, talker.open()).await {
            Ok(opened) => opened.map(|()| talker),
            Err(_) => Err(AgentError::NotReady {
                seconds: setup.patience.as_secs(),
                last_words: talker.ends.supervision().last_words(),
            }),
        }
    }

    async fn open(&mut self) -> Result<(), AgentError> {
        for line in self.dialogue.open() {
            self.ends.tell(line)?;
        }
        loop {
            let Some(line) = self.ends.next().await else { return Err(self.ends.supervision().ended().await) };
            if self.hear(&line)? {
                return Ok(());
            }
        }
    }

    /// Takes in a line; whether the program is ready since.
    fn hear(&mut self, line: &str) -> Result<bool, AgentError> {
        let mut is_ready = false;
        for heard in self.dialogue.hear(line) {
            match heard {
                // An end of a turn that nobody began, e.g. of one that the agent began by itself.
                Heard::Tell(Update::TurnEnd(_)) if self.turn == Turn::None => {}
                Heard::Tell(update) => self.ready.push_back(update),
                Heard::Ask(asked, _) if self.questions.is_full() || self.is_cancelled() => {
                    self.answer(&asked, Answer::Withdrawn)?;
                }
                Heard::Ask(asked, question) => self.ready.push_back(self.questions.ask(asked, question)),
                Heard::Withdraw(asked) => self.questions.withdraw(&asked),
                Heard::Say(line) => self.ends.tell(line)?,
                Heard::Ready => is_ready = true,
                Heard::Refused(why) => return Err(AgentError::Refused(why)),
            }
        }
        Ok(is_ready)
    }

    fn answer(&mut self, asked: &D::Asked, answer: Answer) -> Result<(), AgentError> {
        match self.dialogue.answer(asked, answer) {
            Some(line) => self.ends.tell(line),
            None => Ok(()),
        }
    }

    const fn is_cancelled(&self) -> bool {
        matches!(self.turn, Turn::Cancelled(_))
    }

    /// What is to be told. With the end of a cancelled turn goes whatever the turn left running.
    async fn told(&mut self) -> Option<Update> {
        if matches!(self.ready.front()?, Update::TurnEnd(_)) {
            if self.is_cancelled() {
                self.ends.supervision().end_the_unsettled().await;
            }
            self.turn = Turn::None;
            self.questions.withdraw_all();
        }
        self.ready.pop_front()
    }
}

#[async_trait]
impl<D: Dialogue> Agent for Talker<D> {
    async fn prompt(&mut self, text: &str) -> Result<(), AgentError> {
        self.ends.supervision().settle().await;
        if self.ends.is_deaf() {
            return Err(self.ends.supervision().ended().await);
        }
        self.turn = Turn::Running;
        let line = self.dialogue.prompt(text);
        self.ends.tell(line)
    }

    async fn next(&mut self) -> Result<Update, AgentError> {
        loop {
            if let Some(update) = self.told().await {
                return Ok(update);
            }
            let turn = self.turn;
            let overdue = async move {
                match turn {
                    Turn::Cancelled(Some(end)) => tokio::time::sleep_until(end).await,
                    _ => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = overdue => {
                    self.turn = Turn::Cancelled(None);
                    self.ends.supervision().end_the_unsettled().await;
                }
                (asked, answer) = self.questions.answered() => self.answer(&asked, answer)?,
                line = self.ends.next() => match line {
                    Some(line) => {
                        self.last_heard = Instant::now();
                        self.hear(&line)?;
                    }
                    None => return Err(self.ends.supervision().ended().await),
                },
            }
        }
    }

    fn last_heard(&self) -> Instant {
        self.last_heard
    }

    async fn cancel(&mut self) {
        if self.turn != Turn::Running {
            return;
        }
        self.turn = Turn::Cancelled(Some(Instant::now() + GRACE));
        let cancel = self.dialogue.cancel();
        let asked = self.questions.withdraw_all();
        let answers = asked.iter().filter_map(|asked| self.dialogue.answer(asked, Answer::Withdrawn));
        for line in answers.collect::<Vec<_>>().into_iter().chain(cancel) {
            if let Err(error) = self.ends.tell(line) {
                tracing::debug!(%error, "an agent can't be told that its turn is cancelled");
            }
        }
    }

    async fn close(self: Box<Self>) {
        self.ends.close().await;
    }
}
