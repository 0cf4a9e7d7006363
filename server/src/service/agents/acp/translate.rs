//! What an agent tells by the protocol, as updates. Knows no connection, so that it can be tested without one.

use std::collections::VecDeque;
use std::path::PathBuf;

use agent_client_protocol::Error;
use agent_client_protocol::v1::schema::{
    ContentChunk, Cost, MessageId, Plan, PlanEntryStatus, PromptResponse, SessionUpdate, StopReason, ToolCallUpdate,
};

use super::call::{Call, plain};
use super::session::refusal;
use crate::service::agents::recent::Recent;
use crate::service::agents::update::{Outcome, Progress, Question, Step, TurnEnd, Update, Usage};

#[derive(Debug)]
pub(super) struct Translator {
    /// Where the agent works.
    cwd: PathBuf,
    /// The message that is being said, if one is.
    saying: Option<Saying>,
    /// The turn's calls.
    calls: Recent<Call>,
    /// What the session has cost, as the agent tells it.
    cost: Option<f64>,
    /// What it had cost when the turn began.
    cost_before: f64,
}

#[derive(Debug)]
struct Saying {
    message: Option<MessageId>,
}

impl Translator {
    pub(super) fn new(cwd: PathBuf) -> Self {
        Self { cwd, saying: None, calls: Recent::default(), cost: None, cost_before: 0.0 }
    }

    pub(super) fn update(&mut self, update: SessionUpdate, out: &mut VecDeque<Update>) {
        match update {
            SessionUpdate::AgentMessageChunk(chunk) => self.say(&chunk, out),
            SessionUpdate::AgentThoughtChunk(chunk) => {
                if let Some(text) = plain(&chunk.content) {
                    self.tell_held_calls(out);
                    self.tell(Update::Thought(text.to_owned()), out);
                }
            }
            SessionUpdate::ToolCall(call) => self.call(&call.into(), out),
            SessionUpdate::ToolCallUpdate(call) => self.call(&call, out),
            SessionUpdate::Plan(plan) => self.tell(steps(plan), out),
            SessionUpdate::UsageUpdate(usage) => self.cost = dollars(usage.cost).or(self.cost),
            // What the person said is known, and what else there is does not belong to a conversation.
            _ => {}
        }
    }

    /// What a person is asked about a call, of which the question may be the first that is heard.
    pub(super) fn question(&mut self, asked: &ToolCallUpdate, out: &mut VecDeque<Update>) -> Question {
        let (call, is_new) = self.calls.find_or(&asked.tool_call_id.0, || Call::new(asked.tool_call_id.to_string()));
        call.learn(&self.cwd, &asked.fields);
        let status = is_new.then(|| call.status());
        let told = call.tell();
        let question = call.question(asked);
        for update in status.into_iter().chain(told) {
            self.tell(update, out);
        }
        self.end_text(out);
        question
    }

    /// The turn is over. `login` is what to do when the agent wants somebody to log in.
    pub(super) fn end(
        &mut self,
        result: Result<PromptResponse, Error>,
        cancelled: bool,
        login: &str,
        out: &mut VecDeque<Update>,
    ) {
        self.tell_held_calls(out);
        self.end_text(out);
        self.calls.clear();
        let (outcome, usage) = match result {
            Ok(response) => (outcome(response.stop_reason), response.usage),
            // Some agents answer a cancelled prompt with an error.
            Err(_) if cancelled => (Outcome::Cancelled, None),
            Err(error) => (Outcome::Failed(refusal(&error, login)), None),
        };
        let usage = usage.map(|usage| Usage { input_tokens: usage.input_tokens, output_tokens: usage.output_tokens });
        let cost = self.cost.take().map(|cost| (cost - std::mem::replace(&mut self.cost_before, cost)).max(0.0));
        out.push_back(Update::TurnEnd(TurnEnd { outcome, cost, usage }));
    }

    fn say(&mut self, chunk: &ContentChunk, out: &mut VecDeque<Update>) {
        let Some(text) = plain(&chunk.content).filter(|text| !text.is_empty()) else { return };
        self.tell_held_calls(out);
        let message = &chunk.message_id;
        if self.saying.as_ref().is_some_and(|saying| saying.message.is_some() && saying.message != *message) {
            self.end_text(out);
        }
        self.saying = Some(Saying { message: message.clone() });
        out.push_back(Update::Text(text.to_owned()));
    }

    fn call(&mut self, update: &ToolCallUpdate, out: &mut VecDeque<Update>) {
        let (call, is_new) = self.calls.find_or(&update.tool_call_id.0, || Call::new(update.tool_call_id.to_string()));
        // Some agents add to a call that is over.
        if call.is_over() {
            return;
        }
        call.learn(&self.cwd, &update.fields);
        let mut updates = Vec::new();
        if is_new {
            updates.push(call.status());
        }
        if call.is_known(is_new) {
            updates.extend(call.tell());
        }
        if call.is_over() {
            updates.extend(call.results(&update.fields));
        }
        for update in updates {
            self.tell(update, out);
        }
    }

    /// The agent goes on, so no more will come of what its calls are given.
    fn tell_held_calls(&mut self, out: &mut VecDeque<Update>) {
        let told: Vec<_> = self.calls.values_mut().filter_map(Call::tell).collect();
        for update in told {
            self.tell(update, out);
        }
    }

    fn tell(&mut self, update: Update, out: &mut VecDeque<Update>) {
        self.end_text(out);
        out.push_back(update);
    }

    fn end_text(&mut self, out: &mut VecDeque<Update>) {
        if self.saying.take().is_some() {
            out.push_back(Update::EndOfText);
        }
    }
}

fn outcome(reason: StopReason) -> Outcome {
    match reason {
        StopReason::Cancelled => Outcome::Cancelled,
        StopReason::Refusal => Outcome::Failed("The agent refuses to go on with this.".to_owned()),
        _ => Outcome::Finished,
    }
}

fn dollars(cost: Option<Cost>) -> Option<f64> {
    cost.filter(|cost| cost.currency == "USD").map(|cost| cost.amount)
}

fn steps(plan: Plan) -> Update {
    let steps = plan.entries.into_iter().map(|entry| Step {
        content: entry.content,
        progress: match entry.status {
            PlanEntryStatus::InProgress => Progress::InProgress,
            PlanEntryStatus::Completed => Progress::Completed,
            _ => Progress::Pending,
        },
    });
    Update::Plan(steps.collect())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::service::agents::update::ToolCall;

    /// What becomes of an agent's updates, and of the turn's end.
    fn told(updates: &[Value], stop_reason: &str) -> Vec<String> {
        let mut translator = Translator::new("/p".into());
        let mut out = VecDeque::new();
        for update in updates {
            translator.update(serde_json::from_value(update.clone()).expect("it is an update"), &mut out);
        }
        let response = serde_json::from_value(json!({ "stopReason": stop_reason })).expect("it is a response");
        translator.end(Ok(response), false, "", &mut out);
        out.iter().map(line).collect()
    }

    fn line(update: &Update) -> String {
        match update {
            Update::Text(text) => format!("text {text}"),
            Update::EndOfText => "end of text".to_owned(),
            Update::Thought(text) => format!("thought {text}"),
            Update::Status(status) => format!("status {status}"),
            Update::ToolCall(ToolCall { id, name, input }) => {
                format!("call {id} {name} {}", Value::from(input.0.clone()))
            }
            Update::ToolResult(result) => format!("result {} {} {}", result.id, result.is_error, result.content),
            Update::Patch(patch) => format!("patch {}", patch.path),
            Update::TurnEnd(end) => format!("end {:?} {:?}", end.outcome, end.cost),
            other => format!("{other:?}"),
        }
    }

    fn chunk(text: &str, message: Option<&str>) -> Value {
        let content = json!({"type": "text", "text": text});
        json!({"sessionUpdate": "agent_message_chunk", "content": content, "messageId": message})
    }

    fn call(members: Value) -> Value {
        let mut call = json!({"sessionUpdate": "tool_call_update", "toolCallId": "c"});
        if let (Value::Object(call), Value::Object(members)) = (&mut call, members) {
            call.extend(members);
        }
        call
    }

    #[test]
    fn what_is_said_ends_where_something_else_begins() {
        let thought = json!({"sessionUpdate": "agent_thought_chunk", "content": {"type": "text", "text": "hm"}});
        let silent = json!({"sessionUpdate": "usage_update", "used": 1, "size": 2});
        let updates = [
            chunk("a", None),
            silent,
            chunk("b", Some("1")),
            chunk("c", Some("1")),
            chunk("d", Some("2")),
            thought,
            chunk("", None),
            chunk("e", None),
        ];
        assert_eq!(
            told(&updates, "max_tokens"),
            [
                "text a",
                "text b",
                "text c",
                "end of text",
                "text d",
                "end of text",
                "thought hm",
                "text e",
                "end of text",
                "end Finished None"
            ]
        );
    }

    #[test]
    fn a_call_is_told_once_and_with_its_input() {
        let announced =
            json!({"sessionUpdate": "tool_call", "toolCallId": "c", "title": "x", "kind": "read", "name": "Read"});
        let updates = [
            announced,
            call(json!({"rawInput": {"path": "a"}})),
            call(json!({"status": "in_progress", "rawInput": {"path": "a", "more": 1}})),
            call(json!({"content": [{"type": "content", "content": {"type": "text", "text": "found"}}]})),
            call(json!({"status": "completed"})),
            call(json!({"status": "completed", "rawOutput": "late"})),
        ];
        assert_eq!(
            told(&updates, "end_turn"),
            ["status Reading a file", r#"call c Read {"path":"a"}"#, "result c false found", "end Finished None"]
        );
    }

    /// The input that is announced may be a part of it, but an agent that goes on has no more to say about it.
    #[test]
    fn a_call_of_which_no_more_is_said_is_told_before_what_comes_next() {
        let announced = json!({"sessionUpdate": "tool_call", "toolCallId": "c", "title": "x", "rawInput": {"a": 1}});
        assert_eq!(
            told(&[announced, chunk("done", None)], "refusal"),
            [
                "status x",
                r#"call c other {"a":1}"#,
                "text done",
                "end of text",
                r#"end Failed("The agent refuses to go on with this.") None"#
            ]
        );
    }

    #[test]
    fn a_file_counts_as_changed_when_the_call_succeeded() {
        let diff = json!([{"type": "diff", "path": "/p/a", "oldText": "1", "newText": "2"}]);
        let announced =
            json!({"sessionUpdate": "tool_call", "toolCallId": "c", "title": "x", "kind": "edit", "content": diff});
        let changed = told(&[announced.clone(), call(json!({"status": "completed"}))], "end_turn");
        assert_eq!(
            changed,
            ["status Editing a file", "call c edit {}", "patch a", "result c false ", "end Finished None"]
        );
        let failed = told(&[announced, call(json!({"status": "failed", "rawOutput": {"output": "no"}}))], "cancelled");
        assert_eq!(failed, ["status Editing a file", "call c edit {}", "result c true no", "end Cancelled None"]);
    }

    #[test]
    fn a_turn_costs_what_the_session_costs_more_than_before() {
        let mut translator = Translator::new("/p".into());
        let mut out = VecDeque::new();
        for (amount, currency) in [(0.5, "USD"), (0.75, "USD"), (9.0, "EUR")] {
            let usage = json!({"sessionUpdate": "usage_update", "used": 1, "size": 2, "cost": {"amount": amount, "currency": currency}});
            translator.update(serde_json::from_value(usage).expect("it is an update"), &mut out);
            translator.end(Err(Error::internal_error()), true, "", &mut out);
        }
        let ends: Vec<_> = out.iter().map(line).collect();
        assert_eq!(ends, ["end Cancelled Some(0.5)", "end Cancelled Some(0.25)", "end Cancelled None"]);
    }
}
