//! One use of a tool, as an agent tells of it piece by piece.

use std::time::Duration;

use agent_client_protocol::v1::schema::{
    ContentBlock, Diff, ToolCallContent, ToolCallStatus, ToolCallUpdate, ToolCallUpdateFields, ToolKind,
};
use flightdeck_api::support::JsonObject;
use serde_json::{Map, Value};
use similar::TextDiff;

use crate::service::agents::update::{Patch, Question, ToolCall, ToolResult, Update};

const LONGEST_RESULT: usize = 16 << 10;
const LONGEST_DIFF: usize = 64 << 10;

/// How long two texts are compared; what is the same in them may then be told as changed.
const COMPARING: Duration = Duration::from_millis(100);

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
    pub(super) fn learn(&mut self, fields: &ToolCallUpdateFields) {
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
            ToolCallContent::Diff(diff) => Some(patch(diff)),
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
            _ => return Update::Status(cut(&self.title, 200).to_owned()),
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
        let result = ToolResult { id: self.id.clone(), content: cut(&content, LONGEST_RESULT).to_owned(), is_error };
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
                input.insert("content".to_owned(), cut(&shown, LONGEST_RESULT).into());
            }
            if !self.patches.is_empty() {
                let diffs: String = self.patches.iter().map(|patch| patch.diff.as_str()).collect();
                input.insert("diff".to_owned(), cut(&diffs, LONGEST_DIFF).into());
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

fn patch(diff: &Diff) -> Patch {
    let path = diff.path.to_string_lossy().into_owned();
    let old = diff.old_text.as_deref();
    let before = if old.is_some() { path.as_str() } else { "/dev/null" };
    let changes = TextDiff::configure().timeout(COMPARING).diff_lines(old.unwrap_or_default(), &diff.new_text);
    let diff = changes.unified_diff().context_radius(3).header(before, &path).to_string();
    Patch { diff: cut(&diff, LONGEST_DIFF).to_owned(), path }
}

/// No more than so many bytes, and whole characters.
fn cut(text: &str, longest: usize) -> &str {
    &text[..text.floor_char_boundary(longest)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_a_unified_diff() {
        let changed = patch(&Diff::new("/p/a.txt", "one\nthree\n").old_text("one\ntwo\n".to_owned()));
        assert_eq!(changed.path, "/p/a.txt");
        assert_eq!(changed.diff, "--- /p/a.txt\n+++ /p/a.txt\n@@ -1,2 +1,2 @@\n one\n-two\n+three\n");
        let new = patch(&Diff::new("/p/a.txt", "hello"));
        assert_eq!(new.diff, "--- /dev/null\n+++ /p/a.txt\n@@ -0,0 +1 @@\n+hello\n\\ No newline at end of file\n");
    }

    #[test]
    fn sizes_have_limits_at_whole_characters() {
        let long = patch(&Diff::new("/p/a.txt", "ä".repeat(LONGEST_DIFF)));
        assert!(long.diff.len() <= LONGEST_DIFF && long.diff.len() > LONGEST_DIFF - 4, "{}", long.diff.len());
        assert_eq!(cut("äöü", 3), "ä");
    }
}
