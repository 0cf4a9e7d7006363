//! Recorded conversations, and what was heard in them as lines that a test can list.

use serde_json::Value;

use super::Heard;
use crate::service::agents::update::{Outcome, TurnEnd, Update};

/// A line of a recording, and whether the program said it.
pub(in crate::service::agents) fn recorded(recording: &str) -> Vec<(bool, Value)> {
    let lines = recording.lines().filter(|line| !line.is_empty());
    let lines = lines.map(|line| serde_json::from_str::<Value>(line).expect("a recording is lines of JSON"));
    lines.map(|mut line| (line["dir"] == "<", line["msg"].take())).collect()
}

/// What was heard, each as a line.
pub(in crate::service::agents) fn shown<Asked>(heard: Vec<Heard<Asked>>) -> Vec<String> {
    heard.into_iter().map(one).collect()
}

fn one<Asked>(heard: Heard<Asked>) -> String {
    match heard {
        Heard::Tell(update) => told(update),
        Heard::Ask(_, question) => {
            let id = question.tool_use_id.unwrap_or_default();
            format!("ask {} `{}` {id} {}", question.kind, question.command, question.tool_name)
        }
        Heard::Withdraw(_) => "withdraw".to_owned(),
        Heard::Say(line) => format!("say {line}"),
        Heard::Ready => "ready".to_owned(),
        Heard::Refused(why) => format!("refused: {why}"),
    }
}

fn told(update: Update) -> String {
    match update {
        Update::Session(session) => format!("session {session}"),
        Update::Text(text) => format!("text {text}"),
        Update::EndOfText => "end of text".to_owned(),
        Update::Thought(thought) => format!("thought {thought}"),
        Update::Plan(steps) => {
            let steps: Vec<_> = steps.iter().map(|step| format!("{:?} {}", step.progress, step.content)).collect();
            format!("plan {}", steps.join(", "))
        }
        Update::Status(status) => format!("status {status}"),
        Update::ToolCall(call) => format!("call {} {} {}", call.id, call.name, Value::Object(call.input.0)),
        Update::ToolResult(result) => {
            let outcome = if result.is_error { "failed" } else { "done" };
            format!("{outcome} {} {}", result.id, result.content)
        }
        Update::Patch(patch) => format!("patch {}\n{}", patch.path, patch.diff),
        Update::Permission(permission) => format!("permission {}", permission.question.command),
        Update::TurnEnd(TurnEnd { outcome, cost, usage }) => {
            let outcome = match outcome {
                Outcome::Finished => "finished".to_owned(),
                Outcome::Cancelled => "cancelled".to_owned(),
                Outcome::Failed(why) => format!("failed: {why}"),
            };
            let cost = cost.map(|cost| format!(" ${cost:.5}")).unwrap_or_default();
            let usage = usage.map(|usage| format!(" {}+{}", usage.input_tokens, usage.output_tokens));
            format!("{outcome}{cost}{}", usage.unwrap_or_default())
        }
    }
}
