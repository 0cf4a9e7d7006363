//! Agents that talk line by line with a program that runs as long as its session.
//!
//! A [`Dialogue`] is a protocol alone: it turns lines into what they mean, and what is wanted into lines, and knows neither
//! processes nor time. A [`Talker`] runs a program by it, and is the agent.

mod ends;
mod questions;
mod talker;
#[cfg(test)]
pub(super) mod testing;

use serde::Serialize;

use super::update::{Answer, Question, Update};

pub(super) use talker::Talker;

/// A protocol of lines, from the first to the last.
pub(super) trait Dialogue: Send {
    /// The program's own name of a question.
    type Asked: PartialEq + Send;

    /// What is said first. The program is ready when [`Heard::Ready`] comes of its answers.
    fn open(&mut self) -> Vec<String>;

    /// What a line means, in order.
    fn hear(&mut self, line: &str) -> Vec<Heard<Self::Asked>>;

    /// What begins a turn.
    fn prompt(&mut self, text: &str) -> String;

    /// What ends the turn. Nothing if that can't be said yet; [`Dialogue::hear`] says it then.
    fn cancel(&mut self) -> Option<String>;

    /// What answers a question; nothing if it is not asked any more.
    fn answer(&mut self, asked: &Self::Asked, answer: Answer) -> Option<String>;
}

/// What a line means.
#[derive(Debug)]
pub(super) enum Heard<Asked> {
    Tell(Update),
    /// A question that waits for [`Dialogue::answer`].
    Ask(Asked, Question),
    /// A question does not wait any more.
    Withdraw(Asked),
    /// Something is to be said at once.
    Say(String),
    /// The program takes prompts.
    Ready,
    /// It will never do so; why, for a person.
    Refused(String),
}

/// A message as a line. Ours are made of texts and objects, which can always be written.
pub(super) fn line(message: &impl Serialize) -> String {
    serde_json::to_string(message).unwrap_or_default()
}
