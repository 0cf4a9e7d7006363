//! What Codex does, as updates and questions.

use std::fmt::Write as _;
use std::path::Path;

use flightdeck_api::support::JsonObject;
use serde_json::{Map, Value, json};

use super::wire::{Approval, Change, Execution, FileChange, Item, McpToolCall, PlanNews};
use crate::service::agents::changes::{between, diff_of, patch, relative};
use crate::service::agents::clip::result_of;
use crate::service::agents::update::{Patch, Progress, Question, Step, ToolCall, ToolResult, Update};

/// As Codex calls the tool that runs commands, and the one that changes files, where it names them.
const SHELL: &str = "Bash";
const APPLY_PATCH: &str = "apply_patch";

pub(super) fn plan(news: PlanNews) -> Vec<Step> {
    let steps = news.plan.into_iter().map(|step| Step {
        content: step.step,
        progress: match step.status.as_str() {
            "completed" => Progress::Completed,
            "inProgress" => Progress::InProgress,
            _ => Progress::Pending,
        },
    });
    steps.collect()
}

/// What is told when it begins something.
pub(super) fn started(item: Item) -> Vec<Update> {
    let (status, id, name, input) = match item {
        Item::CommandExecution(Execution { id, command, cwd, .. }) => {
            ("Running a command", id, SHELL.to_owned(), json!({ "command": command, "cwd": cwd }))
        }
        Item::FileChange(FileChange { id, changes, .. }) => {
            ("Changing files", id, APPLY_PATCH.to_owned(), json!({ "changes": changes }))
        }
        Item::McpToolCall(McpToolCall { id, server, tool, arguments, .. }) => {
            ("Using a tool", id, format!("mcp__{server}__{tool}"), arguments)
        }
        Item::WebSearch { id, query } => ("Searching the web", id, "web_search".to_owned(), json!({ "query": query })),
        Item::ContextCompaction {} => return vec![Update::Status("Summing up the conversation".to_owned())],
        Item::AgentMessage { .. } | Item::Other => return Vec::new(),
    };
    vec![Update::Status(status.to_owned()), Update::ToolCall(ToolCall { id, name, input: object(input) })]
}

/// What is told when it has done something.
pub(super) fn completed(cwd: &Path, item: Item) -> Vec<Update> {
    match item {
        Item::CommandExecution(execution) => vec![Update::ToolResult(executed(execution))],
        Item::FileChange(FileChange { id, changes, status }) => {
            let is_done = status == "completed";
            let patches = changes.into_iter().filter(|_| is_done).map(|change| Update::Patch(changed(cwd, change)));
            let result = ToolResult { id, content: status, is_error: !is_done };
            patches.chain([Update::ToolResult(result)]).collect()
        }
        Item::McpToolCall(McpToolCall { id, status, result, error, .. }) => {
            let content = error.or(result).map_or_else(String::new, |said| said.to_string());
            vec![Update::ToolResult(ToolResult { id, content: result_of(content), is_error: status != "completed" })]
        }
        Item::WebSearch { id, .. } => {
            vec![Update::ToolResult(ToolResult { id, content: String::new(), is_error: false })]
        }
        Item::AgentMessage { .. } | Item::ContextCompaction {} | Item::Other => Vec::new(),
    }
}

fn executed(execution: Execution) -> ToolResult {
    let Execution { id, status, aggregated_output, exit_code, .. } = execution;
    let has_failed = status != "completed" || exit_code.is_some_and(|code| code != 0);
    let said = aggregated_output.filter(|output| !output.is_empty());
    let content = said.unwrap_or_else(|| match exit_code {
        Some(0) => String::new(),
        Some(code) => format!("exit code {code}"),
        None => status,
    });
    ToolResult { id, content: result_of(content), is_error: has_failed }
}

fn changed(cwd: &Path, Change { path, kind, diff }: Change) -> Patch {
    let path = relative(cwd, &path);
    let diff = match kind.r#type.as_str() {
        "add" => between(&path, None, Some(&diff)),
        "delete" => between(&path, Some(&diff), None),
        _ => diff_of(&path, kind.move_path.map_or(path.clone(), |to| relative(cwd, &to)).as_str(), &diff),
    };
    patch(path, diff)
}

/// The question about a command.
pub(super) fn command_question(approval: Approval) -> Question {
    let Approval { item_id, command, reason, more } = approval;
    let input = evidence([("command", json!(command)), ("reason", json!(reason))], more);
    Question {
        tool_use_id: Some(item_id),
        tool_name: SHELL.to_owned(),
        command: command.or(reason).unwrap_or_else(|| "a command that it does not tell".to_owned()),
        kind: "command".to_owned(),
        input,
    }
}

/// The question about changes of files, which it has told before.
pub(super) fn change_question(cwd: &Path, approval: Approval, changes: &[Change]) -> Question {
    let Approval { item_id, reason, more, .. } = approval;
    let paths = changes.iter().map(|Change { path, kind, .. }| match &kind.move_path {
        Some(to) => format!("{} (to {})", relative(cwd, path), relative(cwd, to)),
        None => relative(cwd, path),
    });
    let paths = paths.collect::<Vec<_>>().join(", ");
    let mut command = format!("Change {}", if paths.is_empty() { "files" } else { &paths });
    if let Some(root) = more.get("grantRoot").and_then(Value::as_str) {
        let _ = write!(command, ", and whatever else is in {root}");
    }
    if let Some(reason) = &reason {
        let _ = write!(command, ": {reason}");
    }
    let input = evidence([("changes", json!(changes)), ("reason", json!(reason))], more);
    Question { tool_use_id: Some(item_id), tool_name: APPLY_PATCH.to_owned(), command, kind: "edit".to_owned(), input }
}

/// What a question says that is not about what would be done: where it belongs, and answers that are not given.
const BESIDE: [&str; 5] = ["threadId", "turnId", "startedAtMs", "availableDecisions", "proposedExecpolicyAmendment"];

/// All that a question says of what would be done. Two questions about one item differ in nothing else.
fn evidence(known: [(&str, Value); 2], mut more: Map<String, Value>) -> JsonObject {
    more.retain(|name, _| !BESIDE.contains(&name.as_str()));
    let known = known.into_iter().map(|(name, value)| (name.to_owned(), value));
    JsonObject(known.chain(more).filter(|(_, value)| !value.is_null()).collect())
}

fn object(value: Value) -> JsonObject {
    JsonObject(match value {
        Value::Object(map) => map,
        Value::Null => Map::new(),
        other => Map::from_iter([("value".to_owned(), other)]),
    })
}
