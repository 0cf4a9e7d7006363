//! What agents tell, as lines that a test can compare.

use std::fmt::Write as _;

use flightdeck_server::service::agents::update::{Permission, Question, Update};
use serde_json::Value;

/// Agents invent ids of calls, so these are numbered.
#[derive(Debug, Default)]
pub(crate) struct Telling {
    calls: Vec<String>,
}

impl Telling {
    pub(crate) fn shown(&mut self, update: &Update) -> String {
        match update {
            Update::Session(id) => format!("session {id}"),
            Update::Text(text) => format!("text {text}"),
            Update::EndOfText => "end of text".to_owned(),
            Update::Thought(text) => format!("thought {text}"),
            Update::Plan(steps) => steps.iter().fold("plan".to_owned(), |mut line, step| {
                let _ = write!(line, " [{:?} {}]", step.progress, step.content);
                line
            }),
            Update::Status(status) => format!("status {status}"),
            Update::ToolCall(call) => {
                format!("call {} {} {}", self.number(&call.id), call.name, Value::from(call.input.0.clone()))
            }
            Update::ToolResult(result) => {
                let how = if result.is_error { "failed" } else { "done" };
                format!("{how} {} {}", self.number(&result.id), result.content)
            }
            Update::Patch(patch) => format!("patch {}\n{}", patch.path, patch.diff),
            Update::Permission(Permission { question, .. }) => {
                let call = question.tool_use_id.as_deref().map_or(0, |id| self.number(id));
                let Question { kind, tool_name, command, input, .. } = question;
                format!("asks {call} {kind} {tool_name} `{command}` {}", Value::from(input.0.clone()))
            }
            Update::TurnEnd(end) => {
                let cost = end.cost.map_or_else(String::new, |cost| format!(" ${cost}"));
                let usage = end.usage.map(|usage| format!(" {} + {} tokens", usage.input_tokens, usage.output_tokens));
                format!("end: {:?}{cost}{}", end.outcome, usage.unwrap_or_default())
            }
        }
    }

    fn number(&mut self, id: &str) -> usize {
        let at = self.calls.iter().position(|call| call == id).unwrap_or_else(|| {
            self.calls.push(id.to_owned());
            self.calls.len() - 1
        });
        at + 1
    }
}
