//! One use of a tool, as an agent tells of it piece by piece.

use std::path::Path;

use agent_client_protocol::v1::schema::{
    ContentBlock, Diff, ToolCallContent, ToolCallStatus, ToolCallUpdate, ToolCallUpdateFields, ToolKind,
};
use flightdeck_api::support::JsonObject;
use serde_json::{Map, Value};

use crate::service::agents::changes::{self, between, relative};
use crate::service::agents::clip::{clipped, result_of};
use crate::service::agents::update::{Patch, Question, ToolCall, ToolResult, Update};

/// The most that a status says of a call's title.
const LONGEST_STATUS: usize = 200;

/// The most that a person who is asked reads of the changes.
const LONGEST_EVIDENCE: usize = 64 << 10;

#[derive(Debug)]
pub(super) struct Call {
    pub(super) id: String,
    name: Option<String>,
    title: String,
    kind: ToolKind,
    input: Map<String, Value>,
    status: ToolCallStatus,
    patches: Vec<Patch>,
    /// What it has said while it ran.
    said: String,
    is_told: bool,
}

impl Call {
    pub(super) fn new(id: String) -> Self {
        Self {
            id,
            name: None,
            title: String::new(),
            kind: ToolKind::Other,
            input: Map::new(),
            status: ToolCallStatus::Pending,
            patches: Vec::new(),
            said: String::new(),
            is_told: false,
        }
    }

    pub(super) const fn is_over(&self) -> bool {
        matches!(self.status, ToolCallStatus::Completed | ToolCallStatus::Failed)
    }

    /// Takes in what is new.
    pub(super) fn learn(&mut self, cwd: &Path, fields: &ToolCallUpdateFields) {
        if let Some(name) = &fields.name {
            self.name = Some(name.clone());
        }
        if let Some(title) = &fields.title {
            self.title.clone_from(title);
        }
        if let Some(kind) = fields.kind {
            self.kind = kind;
        }
        if let Some(status) = fields.status {
            self.status = status;
        }
        match &fields.raw_input {
            Some(Value::Object(input)) if !input.is_empty() => self.input.clone_from(input),
            Some(Value::Object(_) | Value::Null) | None => {}
            Some(other) => self.input = Map::from_iter([("input".to_owned(), other.clone())]),
        }
        let Some(content) = &fields.content else { return };
        let diffs = content.iter().filter_map(|item| match item {
            ToolCallContent::Diff(diff) => Some(patch(cwd, diff)),
            _ => None,
        });
        let patches: Vec<_> = diffs.collect();
        if !patches.is_empty() {
            self.patches = patches;
        }
        // Before it runs, its content is what it is about to do.
        if self.status != ToolCallStatus::Pending {
            let said = text(content);
            if !said.is_empty() {
                self.said = said;
            }
        }
    }

    /// What it does, for a status line.
    pub(super) fn status(&self) -> Update {
        let status = match self.kind {
            ToolKind::Read => "Reading a file",
            ToolKind::Edit => "Editing a file",
            ToolKind::Delete => "Deleting a file",
            ToolKind::Move => "Moving a file",
            ToolKind::Search => "Searching",
            ToolKind::Execute => "Running a command",
            ToolKind::Think => "Thinking",
            ToolKind::Fetch => "Fetching a page",
            ToolKind::SwitchMode => "Changing its mode",
            _ if self.title.is_empty() => "Using a tool",
            _ => return Update::Status(clipped(self.title.clone(), LONGEST_STATUS)),
        };
        Update::Status(status.to_owned())
    }

    /// Tells of the call, once.
    pub(super) fn tell(&mut self) -> Option<Update> {
        if std::mem::replace(&mut self.is_told, true) {
            return None;
        }
        let input = JsonObject(self.input.clone());
        Some(Update::ToolCall(ToolCall { id: self.id.clone(), name: self.name(), input }))
    }

    /// Whether it is known well enough to be told of. Agents announce a call before they know its input.
    pub(super) fn is_known(&self, is_new: bool) -> bool {
        self.status != ToolCallStatus::Pending || (!is_new && !self.input.is_empty())
    }

    /// What it changed and what it said, when it is over.
    pub(super) fn results(&mut self, fields: &ToolCallUpdateFields) -> impl Iterator<Item = Update> {
        let is_error = self.status == ToolCallStatus::Failed;
        let last = fields.content.as_deref().map(text).filter(|text| !text.is_empty());
        let output = || fields.raw_output.as_ref().and_then(output);
        let said = std::mem::take(&mut self.said);
        let content = last.or_else(output).unwrap_or(said);
        let result = ToolResult { id: self.id.clone(), content: result_of(content), is_error };
        self.input = Map::new();
        let patches = std::mem::take(&mut self.patches);
        let patches = if is_error { Vec::new() } else { patches };
        patches.into_iter().map(Update::Patch).chain([Update::ToolResult(result)])
    }

    /// What a person is asked about it. `asked` are the question's own words, which may say more than was told before.
    pub(super) fn question(&self, asked: &ToolCallUpdate) -> Question {
        let command = match self.input.get("command") {
            Some(Value::String(command)) => command.clone(),
            Some(Value::Array(words)) => {
                let words = words.iter().filter_map(Value::as_str);
                shlex::try_join(words).unwrap_or_else(|_| self.title.clone())
            }
            _ if self.title.is_empty() => self.name(),
            _ => self.title.clone(),
        };
        let kind = match self.kind {
            ToolKind::Execute => "command",
            ToolKind::Edit | ToolKind::Delete | ToolKind::Move => "edit",
            ToolKind::Fetch => "web",
            ToolKind::SwitchMode => "plan",
            _ => "tool",
        };
        Question {
            tool_use_id: Some(self.id.clone()),
            tool_name: self.name(),
            command,
            kind: kind.to_owned(),
            input: self.evidence(asked),
        }
    }

    /// The call's input. Some agents keep it to themselves; then it is what they show of it.
    fn evidence(&self, asked: &ToolCallUpdate) -> JsonObject {
        let mut input = self.input.clone();
        if input.is_empty() {
            input.insert("title".to_owned(), self.title.clone().into());
            let shown = asked.fields.content.as_deref().map(text).unwrap_or_default();
            if !shown.is_empty() {
                input.insert("content".to_owned(), result_of(shown).into());
            }
            if !self.patches.is_empty() {
                let diffs: String = self.patches.iter().map(|patch| patch.diff.as_str()).collect();
                input.insert("diff".to_owned(), clipped(diffs, LONGEST_EVIDENCE).into());
            }
        }
        JsonObject(input)
    }

    fn name(&self) -> String {
        let kind = || serde_json::to_value(self.kind).ok().and_then(|kind| Some(kind.as_str()?.to_owned()));
        self.name.clone().or_else(kind).unwrap_or_default()
    }
}

/// The text in a call's content.
fn text(content: &[ToolCallContent]) -> String {
    let texts = content.iter().filter_map(|item| match item {
        ToolCallContent::Content(content) => plain(&content.content),
        _ => None,
    });
    texts.collect::<Vec<_>>().join("\n")
}

/// A block as text, if it has any.
pub(super) fn plain(block: &ContentBlock) -> Option<&str> {
    match block {
        ContentBlock::Text(text) => Some(&text.text),
        ContentBlock::ResourceLink(link) => Some(&link.uri),
        _ => None,
    }
}

fn output(raw: &Value) -> Option<String> {
    match raw {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        Value::Object(members) if members.get("output").is_some_and(Value::is_string) => output(&members["output"]),
        other => Some(other.to_string()),
    }
}

fn patch(cwd: &Path, diff: &Diff) -> Patch {
    let path = relative(cwd, &diff.path.to_string_lossy());
    let diff = between(&path, diff.old_text.as_deref(), Some(&diff.new_text));
    changes::patch(path, diff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_told_from_where_the_agent_works() {
        let cwd = Path::new("/p");
        let changed = patch(cwd, &Diff::new("/p/a.txt", "one\nthree\n").old_text("one\ntwo\n".to_owned()));
        assert_eq!(changed.path, "a.txt");
        assert_eq!(changed.diff, "--- a/a.txt\n+++ b/a.txt\n@@ -1,2 +1,2 @@\n one\n-two\n+three\n");
        let new = patch(cwd, &Diff::new("/q/a.txt", "hello"));
        assert_eq!(new.path, "/q/a.txt");
        assert_eq!(new.diff, "--- /dev/null\n+++ b/q/a.txt\n@@ -0,0 +1 @@\n+hello\n\\ No newline at end of file\n");
    }
}
