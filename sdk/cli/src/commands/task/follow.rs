//! A task that goes on: what its agent does, what it asks, and what the person says.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use anyhow::Result;
use flightdeck_sdk::runtime::{Ending, Update};
use flightdeck_sdk::sockets::cockpit::{CockpitParameters, CockpitProtocol, CockpitServerMessage};
use flightdeck_sdk::types::{
    CockpitConfirmation, CockpitFault, CockpitStatus, CockpitSubscribe, CockpitUserMessage, Task, TaskStatus,
};
use flightdeck_sdk::{Client, Socket};
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;
use uuid::Uuid;

use super::show::{Show, as_json};
use super::work::Work;
use crate::commands::Scene;
use crate::commands::person::{Interrupts, next, typed_before};
use crate::exit::{Exit, Failure};

/// How often the task is looked at besides what the events say: a connection may hang for longer.
const LOOK: Duration = Duration::from_secs(5);

/// The events of a session, from its beginning.
pub(super) async fn events(client: &Client, work: &Work) -> Result<Socket<CockpitProtocol>> {
    let sockets = client.sockets();
    let socket = sockets.cockpit(&CockpitParameters::new(work.session_id)).token(work.token.clone()).connect();
    socket.send(CockpitSubscribe::new(0)).await.map_err(|error| anyhow::anyhow!("{error}"))?;
    Ok(socket)
}

/// One task in the terminal.
pub(super) struct Follow<'a> {
    scene: &'a Scene,
    work: &'a Work,
    socket: Socket<CockpitProtocol>,
    task_id: Uuid,
    show: Show,
    person: bool,
    /// Allow whatever is asked.
    yes: bool,
    /// Questions that were shown, oldest first; a line answers the first.
    asked: VecDeque<Uuid>,
    known: BTreeSet<Uuid>,
    /// What was answered last: the server may refuse the answer.
    answered: Option<Uuid>,
    cancelled: bool,
}

impl<'a> Follow<'a> {
    pub(super) fn new(
        scene: &'a Scene,
        work: &'a Work,
        socket: Socket<CockpitProtocol>,
        task_id: Uuid,
        person: bool,
        yes: bool,
    ) -> Self {
        Self {
            scene,
            work,
            socket,
            task_id,
            show: Show::new(scene, person),
            person,
            yes,
            asked: VecDeque::new(),
            known: BTreeSet::new(),
            answered: None,
            cancelled: false,
        }
    }

    /// Goes on until the task needs its agent no more.
    pub(super) async fn run(
        mut self,
        lines: &mut Option<mpsc::Receiver<String>>,
        interrupts: &mut Interrupts,
    ) -> Result<Task> {
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let settled = tokio::select! {
                update = self.socket.next() => match update {
                    Some(update) => {
                        // Typed before a question was seen, or to one that others have answered, a line answers nothing.
                        if self.changes_what_is_asked(&update) {
                            for line in typed_before(lines) {
                                self.show.remark(&format!("not sent, because something else is asked now: {line}"));
                            }
                        }
                        self.update(update).await?
                    }
                    None => return Err(Failure::new(Exit::Failed, "the server's events ended").into()),
                },
                line = next(lines) => {
                    match line {
                        Some(line) => self.line(line.trim()).await?,
                        None => *lines = None,
                    }
                    false
                }
                () = interrupts.next() => { self.interrupted().await?; true }
                _ = look.tick() => true,
            };
            if !settled {
                continue;
            }
            let task = self.work.task(self.task_id).await?;
            if !matches!(task.status, TaskStatus::Planning | TaskStatus::Running | TaskStatus::AwaitingApproval) {
                if !self.scene.json {
                    self.show.end_line()?;
                }
                if self.cancelled {
                    return Err(Failure::new(Exit::Interrupted, "the task was cancelled; nothing was changed").into());
                }
                return Ok(task);
            }
        }
    }

    /// The first Ctrl-C cancels the task, the next one leaves.
    async fn interrupted(&mut self) -> Result<()> {
        if std::mem::replace(&mut self.cancelled, true) {
            return Err(Failure::new(Exit::Interrupted, "left while the task is being cancelled").into());
        }
        self.show.remark("cancelling; Ctrl-C once more leaves");
        self.work.cancel(self.task_id).await?;
        Ok(())
    }

    /// A line that the person typed: an answer, or something to say.
    async fn line(&mut self, line: &str) -> Result<()> {
        if line.is_empty() {
            return Ok(());
        }
        if self.asked.is_empty() {
            let said = CockpitUserMessage::new(line).with_task_id(self.task_id);
            return self.socket.send(said).await.map_err(|error| anyhow::anyhow!("{error}"));
        }
        match answer(line) {
            Some((allow, note)) => self.confirm(allow, note).await,
            None => {
                self.show.remark("answer `y` or `n`, with a note for the agent if you like: `n not on Fridays`");
                Ok(())
            }
        }
    }

    /// Answers the oldest question.
    async fn confirm(&mut self, allow: bool, note: Option<&str>) -> Result<()> {
        let Some(id) = self.asked.pop_front() else { return Ok(()) };
        let mut answer = CockpitConfirmation::new(id, allow);
        if let Some(note) = note {
            answer = answer.with_note(note.to_owned());
        }
        self.answered = Some(id);
        self.socket.send(answer).await.map_err(|error| anyhow::anyhow!("{error}"))
    }

    /// Whether the first question is another one after this.
    fn changes_what_is_asked(&self, update: &Update<CockpitProtocol>) -> bool {
        let Update::Message(CockpitServerMessage::Status(status)) = update else { return false };
        let is_new = status.message_id.is_some_and(|id| !self.known.contains(&id));
        let is_over = status.resolved_id.is_some() && status.resolved_id == self.asked.front().copied();
        status.task_id == self.task_id && ((is_new && self.asked.is_empty()) || is_over)
    }

    /// Whether the task may have come to its end.
    async fn update(&mut self, update: Update<CockpitProtocol>) -> Result<bool> {
        match update {
            Update::Message(message) => self.message(&message).await,
            Update::Connected { resumed: true } => {
                self.show.remark("connected again; what the agent said meanwhile is not shown");
                Ok(true)
            }
            Update::Disconnected { reason, retry_in } => {
                self.show.remark(&format!("{reason} (the next attempt comes in {:.1} s)", retry_in.as_secs_f64()));
                Ok(false)
            }
            Update::Closed { reason: Ending::Failed(error), .. } => Err(error.into()),
            Update::Closed { reason, .. } => Err(Failure::new(Exit::Failed, reason.to_string()).into()),
            _ => Ok(true),
        }
    }

    async fn message(&mut self, message: &CockpitServerMessage) -> Result<bool> {
        if self.scene.json {
            as_json(message)?;
        }
        match message {
            CockpitServerMessage::Status(status) if status.task_id == self.task_id => {
                self.status(status).await?;
                Ok(true)
            }
            CockpitServerMessage::Output(output) if output.task_id == self.task_id => {
                self.show.output(output)?;
                Ok(false)
            }
            CockpitServerMessage::Error(fault) => {
                self.fault(fault);
                Ok(false)
            }
            _ => Ok(false),
        }
    }

    async fn status(&mut self, status: &CockpitStatus) -> Result<()> {
        self.show.status(status);
        if let Some(over) = status.resolved_id {
            self.asked.retain(|asked| *asked != over);
        }
        let Some(id) = status.message_id.filter(|id| self.known.insert(*id)) else { return Ok(()) };
        self.asked.push_back(id);
        let tool = status.tool_name.as_deref().unwrap_or("the agent");
        let command = status.command.as_deref().unwrap_or_default();
        self.show.question(id, tool, command)?;
        if self.yes {
            self.show.remark("allowed, because of --yes");
            return self.confirm(true, None).await;
        }
        self.show.how_to_answer(id, self.person);
        Ok(())
    }

    fn fault(&mut self, fault: &CockpitFault) {
        let action = fault.action.as_deref().unwrap_or_default();
        self.show.remark(&format!("{} {action}", fault.message));
        let over = fault.code.as_deref().is_some_and(|code| code.starts_with("approval_"));
        // Otherwise the question may still be open.
        if let Some(id) = self.answered.take().filter(|_| !over) {
            self.asked.push_front(id);
        }
    }
}

/// An answer to an agent's question, and a note.
fn answer(line: &str) -> Option<(bool, Option<&str>)> {
    let (verb, note) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let note = Some(note.trim()).filter(|note| !note.is_empty());
    match verb.to_ascii_lowercase().as_str() {
        "y" | "yes" => Some((true, note)),
        "n" | "no" => Some((false, note)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_may_have_a_note() {
        assert_eq!(answer("y"), Some((true, None)));
        assert_eq!(answer("No  not on Fridays "), Some((false, Some("not on Fridays"))));
        for wrong in ["", "maybe", "yy", "?"] {
            assert_eq!(answer(wrong), None, "{wrong:?}");
        }
    }
}
