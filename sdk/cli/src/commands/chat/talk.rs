//! A conversation: what the person types, and what the agent does.

use std::collections::{BTreeSet, VecDeque};
use std::io::IsTerminal as _;
use std::ops::ControlFlow;

use anyhow::{Result, anyhow};
use flightdeck_sdk::generated::approvals::ListApprovalsParameters;
use flightdeck_sdk::runtime::{Ending, Update};
use flightdeck_sdk::sockets::chats::{ChatsProtocol, ChatsServerMessage};
use flightdeck_sdk::types::{
    ApprovalStatus, ChatApprovalRequest, ChatCancelTurn, ChatFault, ChatMessageSend, ChatResearch, ChatTurn,
    ChatTurnStatus,
};
use flightdeck_sdk::{Client, Error, ErrorCode, Socket};
use uuid::Uuid;

use super::decide;
use super::show::Show;
use crate::commands::Scene;
use crate::commands::person::{Interrupts, lines, next};
use crate::exit::{Exit, Failure};
use crate::term;

/// One conversation in the terminal.
pub(super) struct Talk<'a> {
    scene: &'a Scene,
    client: Client,
    socket: Socket<ChatsProtocol>,
    chat_id: Uuid,
    show: Show<'a>,
    /// The turn that runs.
    running: Option<Uuid>,
    /// The turn that Ctrl-C has cancelled last.
    cancelled: Option<Uuid>,
    /// Turns that this terminal asked for and that are not over.
    mine: BTreeSet<Uuid>,
    /// The topic of a research that has no turn yet.
    topic: Option<String>,
    /// Questions that have been shown, each with its turn; a line answers the first.
    asked: VecDeque<(Uuid, Uuid)>,
    /// A person types.
    person: bool,
    /// What the last turn came to.
    failed: Option<Failure>,
    was_there: bool,
}

impl<'a> Talk<'a> {
    pub(super) fn new(scene: &'a Scene, client: Client, socket: Socket<ChatsProtocol>, chat_id: Uuid) -> Self {
        let show = Show::new(scene);
        Self {
            scene,
            client,
            socket,
            chat_id,
            show,
            running: None,
            cancelled: None,
            mine: BTreeSet::new(),
            topic: None,
            asked: VecDeque::new(),
            person: std::io::stdin().is_terminal(),
            failed: None,
            was_there: false,
        }
    }

    /// Says `said` and shows what comes of it; without it, goes on until the person leaves.
    pub(super) async fn run(mut self, said: Option<String>, research: Option<String>) -> Result<()> {
        let once = said.is_some() || research.is_some();
        // One that lives as long as the talk: none may be lost before it, or between two looks.
        let mut interrupts = Interrupts::new()?;
        if let Some(topic) = research {
            self.topic = Some(topic.clone());
            self.send(ChatResearch::new(self.chat_id.to_string(), topic)).await?;
        }
        if let Some(said) = said {
            self.say(said).await?;
        }
        // A person may type ahead; a program's lines are taken when each is wanted.
        let person = self.person;
        let mut lines = (!once || person).then(lines);
        if !once {
            self.show.remark(&format!("chat {}: say something; Ctrl-C cancels a turn, Ctrl-D leaves", self.chat_id));
        }
        loop {
            tokio::select! {
                update = self.socket.next() => {
                    let Some(update) = update else { return Ok(()) };
                    self.update(update)?;
                    if once && self.is_done() {
                        return self.failed.map_or(Ok(()), |failure| Err(failure.into()));
                    }
                }
                line = next(&mut lines), if person || self.is_done() || !self.asked.is_empty() => match line {
                    Some(line) => self.line(&line).await?,
                    // What was said is still answered.
                    None if once || !self.is_done() => lines = None,
                    None => return Ok(()),
                },
                () = interrupts.next() => if self.interrupted().await?.is_break() {
                    return if once { Err(Failure::new(Exit::Interrupted, "interrupted").into()) } else { Ok(()) };
                },
            }
            if !once && lines.is_none() && self.is_done() {
                return self.failed.map_or(Ok(()), |failure| Err(failure.into()));
            }
        }
    }

    fn is_done(&self) -> bool {
        self.mine.is_empty() && self.topic.is_none()
    }

    /// By a call, whose answer says which turn it is: others may talk here, too.
    async fn say(&mut self, text: String) -> Result<(), Error> {
        let said = self.client.chats().send_chat_message(&self.chat_id, &ChatMessageSend::new(text)).await?;
        self.mine.insert(said.turn_id);
        Ok(())
    }

    /// A refusal ends what a program asked for; a person reads it, and goes on.
    fn refused(&mut self, error: Error) -> Result<()> {
        match error {
            Error::Api(_) if self.person => {
                self.show.remark(&error.to_string());
                Ok(())
            }
            error => Err(error.into()),
        }
    }

    /// Takes up a chat at which an agent may be working: its turn can be cancelled, and its questions be answered.
    pub(super) async fn join(&mut self) -> Result<()> {
        let turns = self.client.chats().list_chat_turns(&self.chat_id).await?.turns;
        let runs = |turn: &&ChatTurn| matches!(turn.status, ChatTurnStatus::Running | ChatTurnStatus::Cancelling);
        let Some(turn_id) = turns.iter().find(runs).map(|turn| turn.turn_id) else { return Ok(()) };
        self.running = Some(turn_id);
        let pending =
            ListApprovalsParameters::default().with_run_id(turn_id).with_status(vec![ApprovalStatus::Pending]);
        // Whoever has no credential can't ask for them; another device still decides.
        let Ok(page) = self.client.approvals().list_approvals(&pending).await else { return Ok(()) };
        for question in page.items {
            let (chat_id, id, kind) = (self.chat_id.to_string(), question.approval_id, question.kind);
            self.asked.push_back((turn_id, id));
            let asked = ChatApprovalRequest::new(id, kind, question.command, question.expires_at, chat_id, turn_id, 0);
            if !self.scene.json {
                self.show.message(&ChatsServerMessage::ApprovalRequest(asked))?;
            }
        }
        Ok(())
    }

    async fn send(&self, message: impl Into<flightdeck_sdk::sockets::chats::ChatsClientMessage>) -> Result<()> {
        self.socket.send(message).await.map_err(|error| anyhow!("{error}"))
    }

    /// The first Ctrl-C cancels what runs, the next one leaves.
    async fn interrupted(&mut self) -> Result<ControlFlow<()>> {
        // What was said a moment ago may not be known to run yet; ids are in the order of time.
        let turn = self.running.or_else(|| self.mine.first().copied()).filter(|turn| self.cancelled != Some(*turn));
        let Some(turn) = turn else { return Ok(ControlFlow::Break(())) };
        self.cancelled = Some(turn);
        self.show.remark("cancelling; Ctrl-C once more leaves");
        self.send(ChatCancelTurn::new(self.chat_id.to_string()).with_turn_id(turn)).await?;
        Ok(ControlFlow::Continue(()))
    }

    /// A line that the person typed: an answer, or something to say.
    async fn line(&mut self, line: &str) -> Result<()> {
        let line = line.trim();
        if line.is_empty() {
            return Ok(());
        }
        let Some((_, id)) = self.asked.front().copied() else {
            let said = self.say(line.to_owned()).await;
            return said.or_else(|error| self.refused(error));
        };
        let (verb, note) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let approve = match verb.to_ascii_lowercase().as_str() {
            "y" | "yes" => true,
            "n" | "no" => false,
            _ => {
                self.show.remark("answer `y` or `n`, with a note for the agent if you like: `n not on Fridays`");
                return Ok(());
            }
        };
        let note = Some(note.trim().to_owned()).filter(|note| !note.is_empty());
        if let Err(error) = decide(&self.client, id, approve, note).await {
            let over = [ErrorCode::ApprovalConflict, ErrorCode::ApprovalExpired, ErrorCode::ApprovalNotFound];
            if !error.code().is_some_and(|code| over.contains(code)) {
                // It is still open.
                return self.refused(error);
            }
            // Somebody else was faster; what they said follows on the socket.
        }
        self.asked.pop_front();
        Ok(())
    }

    fn update(&mut self, update: Update<ChatsProtocol>) -> Result<()> {
        match update {
            Update::Message(message) => self.message(&message),
            Update::Connected { resumed: true } => {
                self.show.remark("connected again");
                Ok(())
            }
            Update::Connected { .. } => {
                self.was_there = true;
                Ok(())
            }
            Update::Disconnected { reason: Ending::Failed(error), .. } if !self.was_there => Err(error.into()),
            Update::Disconnected { reason, retry_in } => {
                self.show.remark(&format!("{reason} (the next attempt comes in {:.1} s)", retry_in.as_secs_f64()));
                Ok(())
            }
            Update::Resync { .. } => {
                self.show.remark("something of this chat is missing here; `flightdeck chat` again shows it");
                Ok(())
            }
            Update::Closed { reason: Ending::Failed(error), .. } => Err(error.into()),
            Update::Closed { reason, .. } => Err(Failure::new(Exit::Failed, reason.to_string()).into()),
            _ => Ok(()),
        }
    }

    fn message(&mut self, message: &ChatsServerMessage) -> Result<()> {
        match message {
            ChatsServerMessage::Turn(turn) => match turn.status {
                ChatTurnStatus::Running => self.running = Some(turn.turn_id),
                ChatTurnStatus::Queued | ChatTurnStatus::Cancelling => {}
                _ => {
                    self.running = self.running.filter(|running| *running != turn.turn_id);
                    self.asked.retain(|(of, _)| *of != turn.turn_id);
                }
            },
            ChatsServerMessage::Result(result) => {
                let failure = (!result.success).then(|| {
                    let exit =
                        if result.status == ChatTurnStatus::Cancelled { Exit::Interrupted } else { Exit::Failed };
                    Failure::new(exit, format!("the turn was {}", result.status.as_str()))
                });
                self.is_over(result.turn_id, failure);
            }
            ChatsServerMessage::Error(ChatFault { turn_id: Some(turn_id), error, .. }) => {
                self.is_over(*turn_id, Some(Failure::new(Exit::Failed, error.clone())));
            }
            ChatsServerMessage::UserMessage(said) if self.topic.as_ref() == Some(&said.content) => {
                self.topic = None;
                self.mine.insert(said.turn_id);
            }
            ChatsServerMessage::ApprovalRequest(question) => {
                let asked = (question.turn_id, question.approval_id);
                if self.asked.contains(&asked) {
                    return Ok(());
                }
                self.asked.push_back(asked);
                if !self.person {
                    let id = question.approval_id;
                    self.show.remark(&format!("`flightdeck approvals approve {id}` in another terminal answers, too"));
                }
            }
            ChatsServerMessage::ApprovalResolved(answer) => {
                self.asked.retain(|(_, asked)| *asked != answer.approval_id);
            }
            // Something that was said was refused.
            ChatsServerMessage::Error(fault) => {
                let action = fault.action.as_deref().unwrap_or_default();
                return Err(Failure::new(Exit::Failed, format!("{} {action}", fault.error)).into());
            }
            ChatsServerMessage::Deleted(_) => return Err(Failure::new(Exit::Failed, "the chat is deleted").into()),
            _ => {}
        }
        self.shown(message)
    }

    fn is_over(&mut self, turn_id: Uuid, failure: Option<Failure>) {
        if self.mine.remove(&turn_id) {
            self.failed = failure;
        }
    }

    fn shown(&mut self, message: &ChatsServerMessage) -> Result<()> {
        if self.scene.json { as_json(message) } else { self.show.message(message) }
    }
}

/// One message, for programs: as it is on the wire.
fn as_json(message: &ChatsServerMessage) -> Result<()> {
    macro_rules! value {
        ($($variant:ident)+) => {
            match message {
                $(ChatsServerMessage::$variant(message) => serde_json::to_value(message)?,)+
                _ => return Ok(()),
            }
        };
    }
    let value = value! {
        Connected History Synced Gap UserMessage AssistantMessage MessageFinished AgentThought AgentStatus Plan ToolUse
        ToolResult Patch ApprovalRequest ApprovalResolved Turn Result Error Deleted Pong
    };
    let mut line = serde_json::Map::new();
    line.insert("type".to_owned(), message.tag().into());
    line.extend(value.as_object().cloned().unwrap_or_default());
    term::say_json_line(&line)
}
