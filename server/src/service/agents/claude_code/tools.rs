//! Claude Code's tools: what they are to a person.

use std::path::Path;

use flightdeck_api::support::JsonObject;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::wire::{Edited, Editing, Todos};
use crate::service::agents::changes::{between, diff_of, patch as limited, relative};
use crate::service::agents::clipped;
use crate::service::agents::update::{Patch, Progress, Step};

/// The most that a person reads of what a tool would be given; the rest is in the evidence.
const LONGEST_SUMMARY: usize = 1 << 10;

/// What the agent does when it uses a tool.
pub(super) fn status(tool: &str) -> &'static str {
    match tool {
        "Bash" | "PowerShell" => "Running a command",
        "Read" => "Reading a file",
        "Edit" | "MultiEdit" | "Write" | "NotebookEdit" => "Changing a file",
        "Glob" | "Grep" | "LS" => "Searching the files",
        "WebFetch" => "Reading a web page",
        "WebSearch" => "Searching the web",
        "Task" | "Agent" => "Working with a subagent",
        "AskUserQuestion" => "Asking a question",
        _ => "Using a tool",
    }
}

/// What an approval of the tool calls its kind.
pub(super) fn kind(tool: &str) -> &'static str {
    match tool {
        "Bash" | "PowerShell" => "command",
        "Edit" | "MultiEdit" | "Write" | "NotebookEdit" => "edit",
        _ => "tool",
    }
}

/// Whether it changes a file in a way that can be told.
pub(super) fn is_edit(tool: &str) -> bool {
    matches!(tool, "Edit" | "MultiEdit" | "Write")
}

/// What a person reads of a use of the tool, to decide about it.
pub(super) fn summary(cwd: &Path, tool: &str, input: &JsonObject) -> String {
    let text = |name: &str| input.get(name).and_then(Value::as_str);
    if let (Some(command), "command") = (text("command"), kind(tool)) {
        return command.to_owned();
    }
    let object = text("file_path").or_else(|| text("notebook_path")).map(|path| relative(cwd, path));
    let object = object.or_else(|| text("url").or_else(|| text("query")).map(str::to_owned));
    let object = object.unwrap_or_else(|| Value::Object(input.0.clone()).to_string());
    clipped(format!("{tool} {object}"), LONGEST_SUMMARY)
}

/// The plan, if that is what the tool is told.
pub(super) fn plan(tool: &str, input: &JsonObject) -> Option<Vec<Step>> {
    if tool != "TodoWrite" {
        return None;
    }
    let Todos { todos } = read(Value::Object(input.0.clone()))?;
    let steps = todos.into_iter().map(|todo| Step {
        content: todo.content,
        progress: match todo.status.as_str() {
            "completed" => Progress::Completed,
            "in_progress" => Progress::InProgress,
            _ => Progress::Pending,
        },
    });
    Some(steps.collect())
}

/// The change that a tool made; `did` is what it says of that itself, which knows the lines around.
pub(super) fn patch(cwd: &Path, input: &JsonObject, did: Option<&Value>) -> Option<Patch> {
    let editing: Editing = read(Value::Object(input.0.clone()))?;
    let path = relative(cwd, &editing.file_path);
    let hunks = did.cloned().and_then(read::<Edited>).unwrap_or_default().hunks;
    let diff = if !hunks.is_empty() {
        let hunks = hunks.iter().map(|hunk| {
            let (old, new) = ((hunk.old_start, hunk.old_lines), (hunk.new_start, hunk.new_lines));
            format!("@@ -{},{} +{},{} @@\n{}\n", old.0, old.1, new.0, new.1, hunk.lines.join("\n"))
        });
        diff_of(&path, &path, &hunks.collect::<String>())
    } else if let Some(content) = &editing.content {
        between(&path, None, Some(content))
    } else if let (Some(old), Some(new)) = (&editing.old_string, &editing.new_string) {
        between(&path, Some(&whole(old)), Some(&whole(new)))
    } else {
        let old: String = editing.edits.iter().map(|edit| whole(&edit.old_string)).collect();
        let new: String = editing.edits.iter().map(|edit| whole(&edit.new_string)).collect();
        between(&path, Some(&old), Some(&new))
    };
    Some(limited(path, diff))
}

/// Pieces of a file seldom end with their line.
fn whole(piece: &str) -> String {
    if piece.is_empty() || piece.ends_with('\n') { piece.to_owned() } else { format!("{piece}\n") }
}

/// What a tool said, as text: it says that, or a list of blocks.
pub(super) fn text(content: Value) -> String {
    match content {
        Value::String(text) => text,
        Value::Array(blocks) => {
            let texts = blocks.iter().filter_map(|block| block.get("text").and_then(Value::as_str));
            texts.collect::<Vec<_>>().join("\n")
        }
        _ => String::new(),
    }
}

fn read<T: DeserializeOwned>(value: Value) -> Option<T> {
    serde_json::from_value(value).ok()
}
