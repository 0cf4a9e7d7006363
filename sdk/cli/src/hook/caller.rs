//! Other agents run Claude Code's hooks too: Cursor when told to, Copilot CLI from a project's settings. What they
//! ask is theirs and would be answered in a format that they read differently, so they are left alone.

use super::input::HookInput;

/// Whether the event comes from Claude Code itself. The input decides; the environment only where it leaves a doubt.
pub(crate) fn is_claude_code(input: &HookInput, variable: impl Fn(&str) -> Option<String>) -> bool {
    if input.has("cursor_version") {
        return false;
    }
    let like_copilot = input.has("timestamp") && !input.has("transcript_path") && !input.has("permission_mode");
    !like_copilot || (variable("CLAUDECODE").as_deref() == Some("1") && variable("COPILOT_CLI").is_none())
}

/// Whether a Flightdeck server runs the agent. It then asks by itself before the agent does what needs a permission, and a
/// person would be asked twice. A gate before every tool is another thing, which the server does not have.
pub(crate) fn is_asked_elsewhere(input: &HookInput, variable: impl Fn(&str) -> Option<String>) -> bool {
    input.event() == "PermissionRequest" && variable("FLIGHTDECK_AGENT_PROCESS").is_some()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::input::fixtures;
    use super::*;

    fn nothing(_: &str) -> Option<String> {
        None
    }

    #[test]
    fn the_real_programs_events_are_its_own_whatever_the_environment() {
        for (name, _) in fixtures::ALL {
            assert!(is_claude_code(&fixtures::event(name), nothing), "{name}");
        }
    }

    #[test]
    fn an_agent_of_a_server_is_asked_about_once() {
        let marked = |name: &str| (name == "FLIGHTDECK_AGENT_PROCESS").then(|| "x/y".into());
        let asks = fixtures::event("PermissionRequest");
        assert!(is_asked_elsewhere(&asks, marked) && !is_asked_elsewhere(&asks, nothing));
        assert!(!is_asked_elsewhere(&fixtures::event("PreToolUse"), marked));
    }

    #[test]
    fn cursor_and_copilot_are_told_apart() {
        let cursor = fixtures::changed("PreToolUse", &json!({"cursor_version": "3.9"}));
        assert!(!is_claude_code(&cursor, |_| Some("1".into())));
        let copilot = json!({"timestamp": "2026-01-01T00:00:00Z", "transcript_path": null, "permission_mode": null});
        let copilot = fixtures::changed("PreToolUse", &copilot);
        assert!(!is_claude_code(&copilot, nothing));
        assert!(is_claude_code(&copilot, |name| (name == "CLAUDECODE").then(|| "1".into())));
    }
}
