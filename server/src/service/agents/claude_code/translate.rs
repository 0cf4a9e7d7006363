//! Claude Code's lines, and what they mean.

use std::collections::HashMap;
use std::path::PathBuf;

use flightdeck_api::support::JsonObject;
use serde_json::Value;
use uuid::Uuid;

use super::tools;
use super::wire::{
    Block, CanUseTool, ControlReply, ControlRequest, Delta, Event, Line, Message, Prompt, Reply, Said, StreamEvent,
    System, TextBlock, Told, ToolUse, TurnResult, Verdict, Wanted,
};
use crate::service::agents::clip::result_of;
use crate::service::agents::dialogue::{Dialogue, Heard, line};
use crate::service::agents::recent::Recent;
use crate::service::agents::update::{Answer, Outcome, Question, ToolCall, ToolResult, TurnEnd, Update, Usage};

/// What the first request is called.
const INITIALIZE: &str = "initialize";

/// What is said to a tool that a person does not want, without saying why.
const DENIED: &str = "The user does not want this.";
/// And to one that nobody decided about.
const UNDECIDED: &str = "Nobody decided about this.";

/// Understands what Claude Code says, and knows what to tell it.
#[derive(Debug, Default)]
pub(super) struct Translator {
    cwd: PathBuf,
    /// As it was told last.
    session: Option<String>,
    /// The message whose pieces come one by one.
    streamed: Option<String>,
    /// Whether a text has begun that has not ended.
    is_speaking: bool,
    /// The calls of this turn that were told.
    called: Recent<Called>,
    /// The questions that wait, and what their tools would be given.
    asked: HashMap<String, JsonObject>,
    /// The session's cost, when the last turn ended.
    cost: f64,
    /// The id of the prompt that began the turn.
    prompt: Option<String>,
    cancels: u64,
    is_cancelled: bool,
}

/// What is remembered of a call.
#[derive(Debug)]
enum Called {
    Tool,
    /// A change of a file, which happens only if the tool says so.
    Edit(JsonObject),
    /// Told as a plan, not as a tool.
    Plan,
}

type Hearing = Vec<Heard<String>>;

impl Translator {
    pub(super) fn new(cwd: PathBuf) -> Self {
        Self { cwd, ..Self::default() }
    }

    fn system(&mut self, system: System, heard: &mut Hearing) {
        match (system.subtype.as_str(), system.session_id, system.status.as_deref()) {
            ("init", Some(session), _) if self.session.as_ref() != Some(&session) => {
                self.session = Some(session.clone());
                heard.push(Heard::Tell(Update::Session(session)));
            }
            ("status", _, Some("requesting")) => heard.push(status("Thinking")),
            ("status", _, Some("compacting")) => heard.push(status("Summing up the conversation")),
            _ => {}
        }
    }

    fn event(&mut self, event: Event, heard: &mut Hearing) {
        match event {
            Event::MessageStart { message } => self.streamed = Some(message.id),
            Event::ContentBlockDelta { delta: Delta::Text { text } } => {
                self.is_speaking = true;
                heard.push(Heard::Tell(Update::Text(text)));
            }
            Event::ContentBlockDelta { delta: Delta::Thinking { thinking } } => {
                heard.push(Heard::Tell(Update::Thought(thinking)));
            }
            Event::ContentBlockStop => self.end_text(heard),
            Event::ContentBlockDelta { delta: Delta::Other } | Event::Other => {}
        }
    }

    fn end_text(&mut self, heard: &mut Hearing) {
        if std::mem::take(&mut self.is_speaking) {
            heard.push(Heard::Tell(Update::EndOfText));
        }
    }

    /// A whole message of the agent, or of one of its subagents, of which only the tools are told.
    fn assistant(&mut self, said: Said, heard: &mut Hearing) {
        let Message { id, content } = said.message;
        let is_told = said.parent_tool_use_id.is_some() || (id.is_some() && id == self.streamed);
        for block in content {
            match block {
                Block::Text { text } if !is_told => {
                    heard.extend([Heard::Tell(Update::Text(text)), Heard::Tell(Update::EndOfText)]);
                }
                Block::Thinking { thinking } if !is_told => heard.push(Heard::Tell(Update::Thought(thinking))),
                Block::ToolUse(tool) => self.call(tool, heard),
                _ => {}
            }
        }
    }

    fn call(&mut self, ToolUse { id, name, input }: ToolUse, heard: &mut Hearing) {
        let plan = tools::plan(&name, &input);
        let (_, is_new) = self.called.find_or(&id, || match &plan {
            Some(_) => Called::Plan,
            None if tools::is_edit(&name) => Called::Edit(input.clone()),
            None => Called::Tool,
        });
        if !is_new {
            return;
        }
        if let Some(plan) = plan {
            heard.push(Heard::Tell(Update::Plan(plan)));
            return;
        }
        heard.push(status(tools::status(&name)));
        heard.push(Heard::Tell(Update::ToolCall(ToolCall { id, name, input })));
    }

    /// What tools said; it comes as the user's message.
    fn results(&mut self, said: Said, heard: &mut Hearing) {
        for block in said.message.content {
            let Block::ToolResult { tool_use_id: id, content, is_error } = block else { continue };
            match self.called.remove(&id) {
                Some(Called::Plan) => continue,
                Some(Called::Edit(input)) if !is_error => {
                    let patch = tools::patch(&self.cwd, &input, said.tool_use_result.as_ref());
                    heard.extend(patch.map(|patch| Heard::Tell(Update::Patch(patch))));
                }
                _ => {}
            }
            let content = result_of(tools::text(content));
            heard.push(Heard::Tell(Update::ToolResult(ToolResult { id, content, is_error })));
        }
    }

    fn request(&mut self, ControlRequest { request_id, request }: ControlRequest, heard: &mut Hearing) {
        let subtype = request.get("subtype").and_then(Value::as_str).unwrap_or_default();
        let wanted = (subtype == "can_use_tool").then(|| serde_json::from_value::<CanUseTool>(request.clone()));
        let Some(Ok(CanUseTool { tool_name, input, tool_use_id })) = wanted else {
            let error = format!("This client does not know `{subtype}`.");
            heard.push(Heard::Say(line(&Told::ControlResponse {
                response: Reply::Error { request_id: &request_id, error: &error },
            })));
            return;
        };
        let question = Question {
            tool_use_id,
            command: tools::summary(&self.cwd, &tool_name, &input),
            kind: tools::kind(&tool_name).to_owned(),
            tool_name,
            input: input.clone(),
        };
        self.asked.insert(request_id.clone(), input);
        heard.push(Heard::Ask(request_id, question));
    }

    fn reply(reply: ControlReply, heard: &mut Hearing) {
        if reply.request_id == INITIALIZE {
            heard.push(if reply.subtype == "success" {
                Heard::Ready
            } else {
                Heard::Refused(reply.error.unwrap_or_else(|| "The agent refused to begin.".to_owned()))
            });
        }
    }

    fn end(&mut self, result: TurnResult, heard: &mut Hearing) {
        let cost = result.total_cost_usd.map(|total| {
            let cost = if total >= self.cost { total - self.cost } else { total };
            self.cost = total;
            cost
        });
        // It takes turns by itself, too, e.g. when something ends that it left running.
        let is_ours = |uuids: &Vec<String>| self.prompt.as_ref().is_none_or(|prompt| uuids.contains(prompt));
        if !result.user_message_uuids.as_ref().is_none_or(is_ours) {
            return;
        }
        self.end_text(heard);
        self.called.clear();
        self.asked.clear();
        let usage = result.usage.as_ref().map(|usage| Usage {
            input_tokens: usage.input_tokens + usage.cache_creation_input_tokens + usage.cache_read_input_tokens,
            output_tokens: usage.output_tokens,
        });
        heard.push(Heard::Tell(Update::TurnEnd(TurnEnd { outcome: self.outcome(result), cost, usage })));
    }

    fn outcome(&self, result: TurnResult) -> Outcome {
        let was_aborted = result.terminal_reason.is_some_and(|reason| reason.starts_with("aborted"));
        if !result.is_error && result.subtype == "success" {
            Outcome::Finished
        } else if was_aborted || self.is_cancelled {
            Outcome::Cancelled
        } else if !result.errors.is_empty() {
            Outcome::Failed(result.errors.join("\n"))
        } else {
            let why = result.result.filter(|result| !result.is_empty());
            Outcome::Failed(why.unwrap_or_else(|| result.subtype.replace('_', " ")))
        }
    }
}

impl Dialogue for Translator {
    type Asked = String;

    fn open(&mut self) -> Vec<String> {
        vec![line(&Told::ControlRequest { request_id: INITIALIZE, request: Wanted::Initialize })]
    }

    fn hear(&mut self, text: &str) -> Hearing {
        let mut heard = Vec::new();
        match serde_json::from_str(text) {
            Ok(Line::System(system)) => self.system(system, &mut heard),
            Ok(Line::StreamEvent(StreamEvent { event, parent_tool_use_id: None })) => self.event(event, &mut heard),
            Ok(Line::Assistant(said)) => self.assistant(said, &mut heard),
            Ok(Line::User(said)) => self.results(said, &mut heard),
            Ok(Line::Result(result)) => self.end(result, &mut heard),
            Ok(Line::ControlRequest(request)) => self.request(request, &mut heard),
            Ok(Line::ControlResponse { response }) => Self::reply(response, &mut heard),
            Ok(Line::ControlCancelRequest { request_id }) => {
                self.asked.remove(&request_id);
                heard.push(Heard::Withdraw(request_id));
            }
            Ok(Line::StreamEvent(_) | Line::Other) => {}
            Err(error) => tracing::debug!(%error, "Claude Code said a line that is not understood"),
        }
        heard
    }

    fn prompt(&mut self, text: &str) -> String {
        self.is_cancelled = false;
        let uuid = Uuid::new_v4().to_string();
        let message = Prompt { role: "user", content: [TextBlock { text }] };
        let said = line(&Told::User { message, parent_tool_use_id: None, session_id: "", uuid: &uuid });
        self.prompt = Some(uuid);
        said
    }

    fn cancel(&mut self) -> Option<String> {
        self.is_cancelled = true;
        self.cancels += 1;
        let request_id = format!("interrupt-{}", self.cancels);
        Some(line(&Told::ControlRequest { request_id: &request_id, request: Wanted::Interrupt }))
    }

    fn answer(&mut self, asked: &String, answer: Answer) -> Option<String> {
        let input = self.asked.remove(asked)?;
        let response = match &answer {
            // There is no place for its note.
            Answer::Allow { .. } => Verdict::Allow { updated_input: input },
            Answer::Deny { note } => Verdict::Deny { message: note.as_deref().unwrap_or(DENIED), interrupt: false },
            Answer::Withdrawn => Verdict::Deny { message: UNDECIDED, interrupt: self.is_cancelled },
        };
        Some(line(&Told::ControlResponse { response: Reply::Success { request_id: asked, response } }))
    }
}

fn status(text: &str) -> Heard<String> {
    Heard::Tell(Update::Status(text.to_owned()))
}
