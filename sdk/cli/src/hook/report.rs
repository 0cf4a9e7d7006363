//! What an event of Claude Code is called in Flightdeck's timeline, and what is told about it.

use serde_json::{Map, Value};

use super::compact::{TIMELINE, compact, compact_object, shorten};
use super::input::HookInput;
use super::question;

/// One entry of the timeline.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Report {
    pub(crate) event_type: String,
    pub(crate) payload: Map<String, Value>,
}

/// The entry for an event; `None` where the timeline says it in another way.
pub(crate) fn report(input: &HookInput) -> Option<Report> {
    let event_type = match input.event() {
        "SessionStart" if input.text("source") == Some("compact") => "CONTEXT_COMPACTED",
        "SessionStart" => "RUN_STARTED",
        "SessionEnd" => "RUN_FINISHED",
        "UserPromptSubmit" => "PROMPT_SUBMITTED",
        "PreToolUse" => "TOOL_STARTED",
        "PostToolUse" => "TOOL_FINISHED",
        "PostToolUseFailure" => "TOOL_FAILED",
        "PermissionDenied" => "TOOL_DENIED",
        "Notification" => "NOTIFICATION",
        "Stop" => "TURN_FINISHED",
        "StopFailure" => "TURN_FAILED",
        "SubagentStart" => "SUBAGENT_STARTED",
        "SubagentStop" => "SUBAGENT_FINISHED",
        "PreCompact" => "COMPACTION_STARTED",
        "PostCompact" => "COMPACTION_FINISHED",
        // The approval itself is the entry.
        "PermissionRequest" => return None,
        // Every call of the batch has had its own.
        "PostToolBatch" => return None,
        // A new event is told as it is, rather than not at all.
        other => return Some(Report { event_type: screaming(other), payload: compact_object(input.own_fields()) }),
    };
    Some(Report { event_type: event_type.to_owned(), payload: payload(input) })
}

fn payload(input: &HookInput) -> Map<String, Value> {
    let mut payload = Map::new();
    let mut texts = |names: &[&str]| {
        for name in names {
            if let Some(text) = input.text(name) {
                payload.insert((*name).to_owned(), shorten(text, TIMELINE.text).into());
            }
        }
    };
    // Only inside a sub-agent.
    texts(&["agent_id", "agent_type"]);
    match input.event() {
        "SessionStart" => texts(&["source", "model", "session_title"]),
        "SessionEnd" => texts(&["reason"]),
        "UserPromptSubmit" => texts(&["prompt", "source"]),
        "PreToolUse" => texts(&["tool_name", "tool_use_id"]),
        "PostToolUse" | "PostToolUseFailure" => texts(&["tool_name", "tool_use_id", "error"]),
        "PermissionDenied" => texts(&["tool_name", "tool_use_id", "reason"]),
        "Notification" => texts(&["notification_type", "title"]),
        "StopFailure" => texts(&["error", "error_details"]),
        "PreCompact" | "PostCompact" => texts(&["trigger"]),
        _ => {}
    }
    if input.event() == "SessionStart"
        && let Some(folder) = input.text("cwd").and_then(|cwd| cwd.rsplit('/').next())
    {
        payload.insert("folder".into(), shorten(folder, 200).into());
    }
    if input.has("tool_name") {
        payload.insert("summary".into(), shorten(&question::command(input), TIMELINE.text).into());
        if let Some(duration) = input.value("duration_ms").filter(|value| value.is_number()) {
            payload.insert("duration_ms".into(), duration.clone());
        }
        if let Some(result) = input.value("tool_response") {
            payload.insert("result".into(), compact(result, TIMELINE).0);
        }
    }
    // `message` becomes the run's last message: what the agent said last, in its own words.
    let message = match input.event() {
        "Stop" | "SubagentStop" => input.text("last_assistant_message"),
        "StopFailure" => input.text("last_assistant_message").or_else(|| input.text("error")),
        "Notification" => input.text("message"),
        _ => None,
    };
    if let Some(message) = message {
        payload.insert("message".into(), shorten(message, TIMELINE.text * 2).into());
    }
    payload
}

/// `TaskCreated` → `TASK_CREATED`.
fn screaming(name: &str) -> String {
    let mut text = String::new();
    let mut previous_is_lower = false;
    for letter in name.chars().filter(char::is_ascii_alphanumeric).take(100) {
        if letter.is_ascii_uppercase() && previous_is_lower && text.len() < 99 {
            text.push('_');
        }
        previous_is_lower = !letter.is_ascii_uppercase();
        text.push(letter.to_ascii_uppercase());
    }
    text.truncate(100);
    if text.is_empty() { "UNKNOWN".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::input::fixtures::{ALL, changed, event};
    use super::*;

    fn told(name: &str) -> (String, Value) {
        let report = report(&event(name)).expect("the event is reported");
        (report.event_type, report.payload.into())
    }

    #[test]
    fn events_of_the_real_program_become_entries() {
        let call = "toolu_af8c179e619f419f9823f96a";
        let expected = [
            ("SessionStart", "RUN_STARTED", json!({"source": "startup", "folder": "project"})),
            ("SessionEnd", "RUN_FINISHED", json!({"reason": "other"})),
            ("Stop", "TURN_FINISHED", json!({"message": "all done"})),
            (
                "PreToolUse",
                "TOOL_STARTED",
                json!({"tool_name": "Bash", "tool_use_id": call, "summary": "echo hello-lab > made.txt"}),
            ),
            (
                "PostToolUse",
                "TOOL_FINISHED",
                json!({"tool_name": "Bash", "tool_use_id": call, "summary": "echo hello-lab > made.txt", "duration_ms": 45,
                       "result": {"stdout": "", "stderr": "", "interrupted": false, "isImage": false, "noOutputExpected": false}}),
            ),
            (
                "PostToolUseFailure",
                "TOOL_FAILED",
                json!({"tool_name": "Bash", "tool_use_id": "toolu_44a38d93bb2d43b0bca777d2", "summary": "exit 3",
                       "error": "Exit code 3", "duration_ms": 21}),
            ),
            (
                "Notification",
                "NOTIFICATION",
                json!({"notification_type": "permission_prompt", "message": "Claude needs your permission"}),
            ),
            ("Unknown", "SOMETHING_NEW", json!({"colour": "blue", "count": 3})),
        ];
        for (name, event_type, payload) in expected {
            assert_eq!(told(name), (event_type.to_owned(), payload), "{name}");
        }
    }

    #[test]
    fn questions_and_batches_are_no_entries_of_their_own() {
        assert!(report(&event("PermissionRequest")).is_none());
        assert!(report(&event("PostToolBatch")).is_none());
    }

    #[test]
    fn a_compaction_does_not_start_the_run_again() {
        let compacted = changed("SessionStart", &json!({"source": "compact"}));
        assert_eq!(report(&compacted).expect("is reported").event_type, "CONTEXT_COMPACTED");
    }

    #[test]
    fn sub_agents_are_named() {
        let inside = changed("PreToolUse", &json!({"agent_id": "a1", "agent_type": "Explore"}));
        let payload = report(&inside).expect("is reported").payload;
        assert_eq!((payload.get("agent_id"), payload.get("agent_type")), (Some(&json!("a1")), Some(&json!("Explore"))));
    }

    #[test]
    fn every_payload_is_small() {
        let large = json!({"tool_response": {"stdout": "x".repeat(1_000_000), "list": vec!["y".repeat(9_000); 900]},
                           "tool_input": {"command": "z".repeat(100_000)}});
        let report = report(&changed("PostToolUse", &large)).expect("is reported");
        assert!(Value::from(report.payload).to_string().len() < 32_000);
        for (name, _) in ALL {
            let _reported = super::report(&event(name));
        }
    }

    #[test]
    fn names_are_screamed() {
        assert_eq!(screaming("MCPServerLost"), "MCPSERVER_LOST");
        assert_eq!(screaming("TaskCreated"), "TASK_CREATED");
        assert_eq!(screaming("\u{1b}é"), "UNKNOWN");
        assert!(screaming(&"aB".repeat(90)).len() <= 100);
    }
}
