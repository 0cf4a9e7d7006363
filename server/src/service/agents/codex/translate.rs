//! The lines of Codex's app server, and what they mean.

use std::path::PathBuf;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::items;
use super::wire::{
    About, Answered, Approval, Capabilities, Change, ClientInfo, Decision, ErrorAnswer, ErrorNews, Failure, Initialize,
    Input, InterruptTurn, Item, ItemNews, Line, Notification, OpenThread, Piece, PlanNews, Request, Resolved,
    StartTurn, ThreadAnswer, TokenNews, Tokens, Turn, TurnNews,
};
use crate::service::agents::dialogue::{Dialogue, Heard, line};
use crate::service::agents::recent::Recent;
use crate::service::agents::update::{Answer, Outcome, TurnEnd, Update, Usage};

/// No such method.
const UNKNOWN_METHOD: i32 = -32601;

/// Understands what the app server says, and knows what to tell it.
#[derive(Debug)]
pub(super) struct Translator {
    cwd: PathBuf,
    /// The conversation to take up, until that is tried.
    resume: Option<String>,
    thread: String,
    /// Ids of requests, so far.
    requests: u64,
    /// The request whose answer is awaited to go on.
    awaited: Option<(u64, Awaited)>,
    turn: Option<String>,
    /// Whether the turn is to be interrupted as soon as its id is known.
    is_cancelled: bool,
    /// The message whose pieces came last.
    spoken: Option<String>,
    /// The changes that it began, for the questions about them.
    changes: Recent<Vec<Change>>,
    /// The questions that wait.
    asked: Vec<Value>,
    total: Tokens,
    used: Option<Usage>,
    /// The last error, in case the turn fails without saying why.
    error: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Awaited {
    Initialize,
    Resume,
    Thread,
    Turn,
}

type Hearing = Vec<Heard<Value>>;

impl Translator {
    pub(super) fn new(cwd: PathBuf, resume: Option<String>) -> Self {
        Self {
            cwd,
            resume,
            thread: String::new(),
            requests: 0,
            awaited: None,
            turn: None,
            is_cancelled: false,
            spoken: None,
            changes: Recent::default(),
            asked: Vec::new(),
            total: Tokens::default(),
            used: None,
            error: None,
        }
    }

    fn request<P: serde::Serialize>(&mut self, method: &'static str, awaited: Option<Awaited>, params: P) -> String {
        self.requests += 1;
        if let Some(awaited) = awaited {
            self.awaited = Some((self.requests, awaited));
        }
        line(&Request { method, id: self.requests, params })
    }

    fn open_thread(&mut self) -> String {
        let (resume, cwd) = (self.resume.take(), self.cwd.clone());
        let (method, awaited) = match resume {
            Some(_) => ("thread/resume", Awaited::Resume),
            None => ("thread/start", Awaited::Thread),
        };
        // It asks before everything but what is known to only read.
        let params = OpenThread {
            thread_id: resume.as_deref(),
            cwd: &cwd,
            approval_policy: "untrusted",
            sandbox: "workspace-write",
        };
        self.request(method, Some(awaited), params)
    }

    fn answered(&mut self, id: &Value, result: Option<&RawValue>, error: Option<Failure>, heard: &mut Hearing) {
        let Some((_, awaited)) = self.awaited.filter(|(awaited, _)| id.as_u64() == Some(*awaited)) else { return };
        self.awaited = None;
        match (awaited, error) {
            (Awaited::Initialize, None) => {
                heard.push(Heard::Say(line(&Notification { method: "initialized" })));
                heard.push(Heard::Say(self.open_thread()));
            }
            (Awaited::Resume, Some(error)) => {
                tracing::info!(error = error.message, "a conversation can't be taken up; another one begins");
                heard.push(Heard::Say(self.open_thread()));
            }
            (Awaited::Resume | Awaited::Thread, None) => match read::<ThreadAnswer>(result) {
                Some(ThreadAnswer { thread }) => {
                    self.thread.clone_from(&thread.id);
                    heard.extend([Heard::Tell(Update::Session(thread.id)), Heard::Ready]);
                }
                None => heard.push(Heard::Refused("The agent began a conversation without a name.".to_owned())),
            },
            (Awaited::Initialize | Awaited::Thread, Some(error)) => heard.push(Heard::Refused(error.message)),
            (Awaited::Turn, None) => {
                if let Some(TurnNews { turn }) = read(result) {
                    self.began(turn.id, heard);
                }
            }
            (Awaited::Turn, Some(error)) => self.end(Outcome::Failed(error.message), heard),
        }
    }

    fn began(&mut self, turn: String, heard: &mut Hearing) {
        let is_news = self.turn.as_ref() != Some(&turn);
        self.turn = Some(turn);
        if is_news && self.is_cancelled {
            heard.extend(self.interrupt().map(Heard::Say));
        }
    }

    fn interrupt(&mut self) -> Option<String> {
        let (thread, turn) = (self.thread.clone(), self.turn.clone()?);
        Some(self.request("turn/interrupt", None, InterruptTurn { thread_id: &thread, turn_id: &turn }))
    }

    /// Whether it is a subagent's, or comes late: what an interrupted turn left running ends when that is over.
    fn is_foreign(&self, about: About) -> bool {
        about.thread_id.is_some_and(|thread| thread != self.thread)
            || about.turn_id.is_some_and(|turn| self.turn.as_ref() != Some(&turn))
    }

    fn notified(&mut self, method: &str, params: Option<&RawValue>, heard: &mut Hearing) {
        if read::<About>(params).is_some_and(|about| self.is_foreign(about)) {
            return;
        }
        match method {
            "turn/started" => {
                if let Some(TurnNews { turn }) = read(params) {
                    self.began(turn.id, heard);
                    heard.push(Heard::Tell(Update::Status("Thinking".to_owned())));
                }
            }
            "item/agentMessage/delta" => {
                if let Some(Piece { item_id, delta }) = read(params) {
                    self.spoken = Some(item_id);
                    heard.push(Heard::Tell(Update::Text(delta)));
                }
            }
            "item/reasoning/summaryTextDelta" | "item/reasoning/textDelta" => {
                heard.extend(read::<Piece>(params).map(|piece| Heard::Tell(Update::Thought(piece.delta))));
            }
            "item/started" => {
                if let Some(ItemNews { item }) = read(params) {
                    self.started(item, heard);
                }
            }
            "item/completed" => {
                if let Some(ItemNews { item }) = read(params) {
                    self.completed(item, heard);
                }
            }
            "turn/plan/updated" => {
                heard.extend(read::<PlanNews>(params).map(|news| Heard::Tell(Update::Plan(items::plan(news)))));
            }
            "thread/tokenUsage/updated" => {
                if let Some(TokenNews { token_usage }) = read(params) {
                    self.count(token_usage.total, token_usage.last);
                }
            }
            "error" => self.failed(read(params), heard),
            "serverRequest/resolved" => {
                if let Some(Resolved { request_id }) = read(params) {
                    self.asked.retain(|asked| *asked != request_id);
                    heard.push(Heard::Withdraw(request_id));
                }
            }
            "turn/completed" => {
                if let Some(TurnNews { turn }) = read(params) {
                    self.turn_completed(turn, heard);
                }
            }
            _ => {}
        }
    }

    fn started(&mut self, item: Item, heard: &mut Hearing) {
        if let Item::FileChange(change) = &item {
            self.changes.find_or(&change.id, || change.changes.clone());
        }
        heard.extend(items::started(item).into_iter().map(Heard::Tell));
    }

    fn completed(&mut self, item: Item, heard: &mut Hearing) {
        match item {
            Item::AgentMessage { id, text } => {
                let is_told = self.spoken.take().is_some_and(|spoken| spoken == id);
                if !is_told && !text.is_empty() {
                    heard.push(Heard::Tell(Update::Text(text.clone())));
                }
                if is_told || !text.is_empty() {
                    heard.push(Heard::Tell(Update::EndOfText));
                }
            }
            item => {
                if let Item::FileChange(change) = &item {
                    self.changes.remove(&change.id);
                }
                heard.extend(items::completed(&self.cwd, item).into_iter().map(Heard::Tell));
            }
        }
    }

    /// Adds up what the turn's requests to the model took. The same may be told twice.
    fn count(&mut self, total: Tokens, last: Tokens) {
        if std::mem::replace(&mut self.total, total) != total {
            let used = self.used.get_or_insert(Usage { input_tokens: 0, output_tokens: 0 });
            used.input_tokens += last.input_tokens;
            used.output_tokens += last.output_tokens;
        }
    }

    fn failed(&mut self, news: Option<ErrorNews>, heard: &mut Hearing) {
        let Some(ErrorNews { error, will_retry }) = news else { return };
        if will_retry {
            heard.push(Heard::Tell(Update::Status(format!("Trying again: {}", error.message))));
        }
        self.error = Some(error.message);
    }

    fn turn_completed(&mut self, Turn { id, status, error }: Turn, heard: &mut Hearing) {
        if self.turn.as_ref().is_some_and(|turn| *turn != id) {
            return;
        }
        let outcome = match status.as_str() {
            "completed" => Outcome::Finished,
            "interrupted" => Outcome::Cancelled,
            _ => {
                let why = error.map(|error| error.message).or(self.error.take());
                Outcome::Failed(why.unwrap_or_else(|| format!("The agent's turn is {status}.")))
            }
        };
        self.end(outcome, heard);
    }

    fn end(&mut self, outcome: Outcome, heard: &mut Hearing) {
        if self.spoken.take().is_some() {
            heard.push(Heard::Tell(Update::EndOfText));
        }
        self.changes.clear();
        self.asked.clear();
        self.turn = None;
        heard.push(Heard::Tell(Update::TurnEnd(TurnEnd { outcome, cost: None, usage: self.used.take() })));
    }

    fn requested(&mut self, id: Value, method: &str, params: Option<&RawValue>, heard: &mut Hearing) {
        let approval = match method {
            "item/commandExecution/requestApproval" | "item/fileChange/requestApproval" => read::<Approval>(params),
            _ => None,
        };
        let Some(approval) = approval else {
            let error = ErrorAnswer { code: UNKNOWN_METHOD, message: format!("This client does not know `{method}`.") };
            heard.push(Heard::Say(line(&Answered::Error { id: &id, error })));
            return;
        };
        let question = if method == "item/fileChange/requestApproval" {
            let changes = self.changes.get(&approval.item_id).map_or(&[][..], Vec::as_slice);
            items::change_question(&self.cwd, approval, changes)
        } else {
            items::command_question(approval)
        };
        self.asked.push(id.clone());
        heard.push(Heard::Ask(id, question));
    }
}

#[cfg(test)]
impl Translator {
    /// As if so many requests had been made.
    pub(super) const fn set_requests(&mut self, requests: u64) {
        self.requests = requests;
    }

    /// As if the awaited request had another id.
    pub(super) fn set_awaited(&mut self, id: u64) {
        self.requests = id;
        if let Some((awaited, _)) = &mut self.awaited {
            *awaited = id;
        }
    }
}

impl Dialogue for Translator {
    /// Ids of requests; those of the app server are numbers of its own, beside ours.
    type Asked = Value;

    fn open(&mut self) -> Vec<String> {
        let client_info = ClientInfo { name: "flightdeck", title: "Flightdeck", version: env!("CARGO_PKG_VERSION") };
        let params = Initialize { client_info, capabilities: Capabilities::default() };
        vec![self.request("initialize", Some(Awaited::Initialize), params)]
    }

    fn hear(&mut self, text: &str) -> Hearing {
        let mut heard = Vec::new();
        match serde_json::from_str::<Line<'_>>(text) {
            Ok(Line { id: Some(id), method: Some(method), params, .. }) => {
                self.requested(id, &method, params, &mut heard);
            }
            Ok(Line { method: Some(method), params, .. }) => self.notified(&method, params, &mut heard),
            Ok(Line { id: Some(id), result, error, .. }) => self.answered(&id, result, error, &mut heard),
            Ok(_) => {}
            Err(error) => tracing::debug!(%error, "Codex said a line that is not understood"),
        }
        heard
    }

    fn prompt(&mut self, text: &str) -> String {
        self.is_cancelled = false;
        self.turn = None;
        self.used = None;
        self.error = None;
        let thread = self.thread.clone();
        let params = StartTurn { thread_id: &thread, input: [Input { text, text_elements: [] }] };
        self.request("turn/start", Some(Awaited::Turn), params)
    }

    fn cancel(&mut self) -> Option<String> {
        self.is_cancelled = true;
        self.interrupt()
    }

    fn answer(&mut self, asked: &Value, answer: Answer) -> Option<String> {
        let at = self.asked.iter().position(|other| other == asked)?;
        let id = self.asked.swap_remove(at);
        // There is no place for notes. To decline lets the agent go on otherwise; to cancel ends its turn.
        let decision = match answer {
            Answer::Allow { .. } => "accept",
            Answer::Withdrawn if self.is_cancelled => "cancel",
            Answer::Deny { .. } | Answer::Withdrawn => "decline",
        };
        Some(line(&Answered::Decision { id: &id, result: Decision { decision } }))
    }
}

fn read<'a, T: Deserialize<'a>>(value: Option<&'a RawValue>) -> Option<T> {
    match serde_json::from_str(value?.get()) {
        Ok(read) => Some(read),
        Err(error) => {
            tracing::debug!(%error, "Codex said something that is not understood");
            None
        }
    }
}
