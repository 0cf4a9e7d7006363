//! What a person is asked: a line that says what the tool would do, and the evidence for it.

use std::path::Path;

use serde_json::{Map, Value};

use super::compact::{EVIDENCE, compact, shorten};
use super::input::HookInput;

/// The protocol's limit for a command, less what `shorten` adds.
const LONGEST_COMMAND: usize = 65_000;
/// Arguments beyond this make the line unreadable; the evidence has them all.
const LONGEST_ARGUMENTS: usize = 2_000;
const LONGEST_ID: usize = 200;

/// Everything that is asked, apart from the run.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Question {
    pub(crate) command: String,
    pub(crate) kind: &'static str,
    pub(crate) cwd: String,
    pub(crate) tool_name: String,
    pub(crate) tool_use_id: Option<String>,
    pub(crate) session_id: String,
    pub(crate) context: Map<String, Value>,
}

impl Question {
    /// The question that an event asks.
    pub(crate) fn from_input(input: &HookInput, tool_use_id: Option<String>) -> Self {
        Self {
            command: command(input),
            kind: kind(input.text("tool_name").unwrap_or_default()),
            cwd: input.text("cwd").map_or_else(String::new, |cwd| cwd.chars().take(4_096).collect()),
            tool_name: shorten(input.text("tool_name").unwrap_or("unknown"), LONGEST_ID - 40),
            tool_use_id: tool_use_id.filter(|id| id.chars().count() <= LONGEST_ID),
            session_id: session_id(input),
            context: context(input),
        }
    }
}

/// The session's id within the protocol's limit.
pub(crate) fn session_id(input: &HookInput) -> String {
    input.session_id().chars().filter(|letter| *letter != '\0').take(LONGEST_ID).collect()
}

fn kind(tool: &str) -> &'static str {
    match tool {
        "Bash" | "PowerShell" => "command",
        "Edit" | "MultiEdit" | "NotebookEdit" | "Write" => "edit",
        "WebFetch" | "WebSearch" => "web",
        "ExitPlanMode" => "plan",
        _ => "tool",
    }
}

/// The command, or one line that says what the tool would do.
pub(crate) fn command(input: &HookInput) -> String {
    let tool = input.text("tool_name").unwrap_or("unknown tool");
    let nothing = Map::new();
    let arguments = input.tool_input().unwrap_or(&nothing);
    let text = |name: &str| arguments.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let path = || text("file_path").or_else(|| text("notebook_path")).map(|path| relative(path, input.text("cwd")));

    let line = match tool {
        "Bash" | "PowerShell" => text("command").map(str::to_owned),
        "Edit" | "MultiEdit" | "NotebookEdit" | "Read" => path().map(|path| format!("{tool} {path}")),
        "Write" => path().map(|path| {
            let lines = text("content").map_or(0, |content| content.lines().count());
            format!("Write {path} ({lines} {})", if lines == 1 { "line" } else { "lines" })
        }),
        "WebFetch" => text("url").map(|url| format!("WebFetch {url}")),
        "WebSearch" => text("query").map(|query| format!("WebSearch {query}")),
        _ => None,
    };
    let line = line.unwrap_or_else(|| match arguments.is_empty() {
        true => tool.to_owned(),
        false => format!("{tool} {}", shorten(&Value::from(arguments.clone()).to_string(), LONGEST_ARGUMENTS)),
    });
    shorten(&line, LONGEST_COMMAND)
}

/// A path as seen from the working directory, where it lies below it.
fn relative(path: &str, cwd: Option<&str>) -> String {
    let below = cwd.and_then(|cwd| Path::new(path).strip_prefix(cwd).ok()).and_then(Path::to_str);
    below.filter(|below| !below.is_empty()).unwrap_or(path).to_owned()
}

fn context(input: &HookInput) -> Map<String, Value> {
    let mut context = Map::new();
    let mut whole = true;
    for name in ["tool_input", "permission_suggestions"] {
        if let Some(value) = input.value(name) {
            let (value, kept) = compact(value, EVIDENCE);
            whole &= kept;
            context.insert(name.to_owned(), value);
        }
    }
    if let Some(description) = input.tool_input().and_then(|arguments| arguments.get("description")?.as_str()) {
        context.insert("description".into(), shorten(description, EVIDENCE.text).into());
    }
    if let Some(folder) = input.text("cwd").and_then(|cwd| Path::new(cwd).file_name()?.to_str()) {
        context.insert("folder".into(), shorten(folder, LONGEST_ID).into());
    }
    for name in ["permission_mode", "agent_type", "mcp_server"] {
        if let Some(text) = input.text(name) {
            context.insert(name.to_owned(), shorten(text, LONGEST_ID).into());
        }
    }
    if !whole {
        // Whoever decides must know that they do not see everything.
        context.insert("truncated".into(), true.into());
    }
    context
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::input::fixtures::{changed, event};
    use super::*;

    fn line(tool: &str, arguments: &Value) -> String {
        command(&changed("PreToolUse", &json!({"tool_name": tool, "tool_input": arguments})))
    }

    #[test]
    fn each_tool_has_a_readable_line() {
        assert_eq!(command(&event("PermissionRequest")), "echo hello-lab > made.txt");
        assert_eq!(line("Edit", &json!({"file_path": "/home/dev/project/src/a.rs"})), "Edit src/a.rs");
        assert_eq!(line("Edit", &json!({"file_path": "/etc/passwd"})), "Edit /etc/passwd");
        assert_eq!(
            line("Write", &json!({"file_path": "/home/dev/project/a.md", "content": "1\n2\n"})),
            "Write a.md (2 lines)"
        );
        assert_eq!(line("WebFetch", &json!({"url": "https://x", "prompt": "p"})), "WebFetch https://x");
        assert_eq!(line("mcp__hub__create", &json!({"title": "T"})), r#"mcp__hub__create {"title":"T"}"#);
        assert_eq!(line("Task", &json!({})), "Task");
    }

    #[test]
    fn a_tool_whose_input_is_strange_still_has_a_line() {
        assert_eq!(line("Bash", &json!({"cmd": 1})), r#"Bash {"cmd":1}"#);
        assert_eq!(line("Bash", &json!(null)), "Bash");
    }

    #[test]
    fn a_command_keeps_its_line_breaks_and_loses_nul() {
        assert_eq!(line("Bash", &json!({"command": "a\nb\0c"})), "a\nb␀c");
        let long = line("Bash", &json!({"command": "x".repeat(70_000)}));
        assert!(long.chars().count() <= 65_536 && long.ends_with("(5000 more characters)"));
    }

    #[test]
    fn the_evidence_is_the_whole_input() {
        let question = Question::from_input(&event("PermissionRequest"), Some("toolu_1".into()));
        assert_eq!(question.kind, "command");
        assert_eq!(
            Value::from(question.context),
            json!({
                "tool_input": {"command": "echo hello-lab > made.txt", "description": "lab command"},
                "description": "lab command",
                "permission_suggestions": [
                    {"type": "addDirectories", "directories": ["/home/dev/project"], "destination": "session"}
                ],
                "folder": "project",
                "permission_mode": "default",
            })
        );
    }

    #[test]
    fn evidence_that_was_cut_says_so() {
        let large = changed("PermissionRequest", &json!({"tool_input": {"command": "x".repeat(200_000)}}));
        assert_eq!(Question::from_input(&large, None).context.get("truncated"), Some(&json!(true)));
    }
}
