//! Which hooks are ours.

use std::path::Path;

use anyhow::{Result, bail};
use serde::Serialize;
use serde_json::Value;

use crate::config::{Gate, WhenUnreachable};

/// Events that Flightdeck watches, and how long Claude Code waits for each, in seconds. Our hook needs milliseconds;
/// `SessionEnd` hooks share a second and a half.
const WATCHED: [(&str, u64); 15] = [
    ("SessionStart", 5),
    ("UserPromptSubmit", 5),
    ("PreToolUse", 5),
    ("PermissionRequest", 5),
    ("PermissionDenied", 5),
    ("PostToolUse", 5),
    ("PostToolUseFailure", 5),
    ("Notification", 5),
    ("SubagentStart", 5),
    ("SubagentStop", 5),
    ("PreCompact", 5),
    ("PostCompact", 5),
    ("Stop", 5),
    ("StopFailure", 5),
    ("SessionEnd", 1),
];

/// Events that match tools, and take a matcher.
const OF_TOOLS: [&str; 5] =
    ["PreToolUse", "PermissionRequest", "PermissionDenied", "PostToolUse", "PostToolUseFailure"];

const COMMAND: &str = " hook claude-code";

/// What is to be installed.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    program: String,
    gate: Gate,
    when_unreachable: WhenUnreachable,
    timeout: u64,
}

impl Plan {
    /// Hooks that run this program. `timeout`: how long the agent waits at the gate, in seconds.
    ///
    /// # Errors
    /// The program's path cannot be written into a shell command.
    pub(crate) fn new(program: &Path, gate: Gate, when_unreachable: WhenUnreachable, timeout: u64) -> Result<Self> {
        let Some(program) = program.to_str().filter(|path| !path.contains(['\n', '\0'])) else {
            bail!(
                "the path {} cannot be written into the settings; move flightdeck to a plain folder",
                program.display()
            );
        };
        Ok(Self { program: quote(program), gate, when_unreachable, timeout })
    }

    /// For each event, the group that is added to it.
    pub(crate) fn groups(&self) -> Vec<(&'static str, Group)> {
        WATCHED.iter().map(|(event, seconds)| (*event, self.group(event, *seconds))).collect()
    }

    fn group(&self, event: &str, seconds: u64) -> Group {
        let gate = match self.gate {
            Gate::PermissionRequest => "PermissionRequest",
            Gate::PreToolUse => "PreToolUse",
            Gate::None => "",
        };
        let is_gate = event == gate;
        let mut command = format!("{}{COMMAND}", self.program);
        // The event that is the gate, or could be: the command decides, whatever the configuration says later on. An
        // event that only watches would not be given the time to wait, and the agent's environment must not loosen
        // what a person has chosen here.
        if matches!(event, "PermissionRequest" | "PreToolUse") {
            command.push_str(&format!(" --gate {} --when-unreachable {}", self.gate, self.when_unreachable));
        }
        if is_gate {
            // So that the hook answers in time.
            command.push_str(&format!(" --timeout {}", self.timeout));
        }
        let hook = Hook {
            kind: "command",
            command,
            timeout: if is_gate { self.timeout } else { seconds },
            // Only a person in Flightdeck may allow it, so a hook that breaks must not let it pass.
            on_failure: (is_gate && self.gate == Gate::PreToolUse).then_some("block"),
            status_message: is_gate.then_some("Waiting for an answer in Flightdeck"),
        };
        Group { matcher: OF_TOOLS.contains(&event).then_some("*"), hooks: [hook] }
    }
}

/// A group of hooks as Claude Code writes it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Group {
    #[serde(skip_serializing_if = "Option::is_none")]
    matcher: Option<&'static str>,
    hooks: [Hook; 1],
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Hook {
    #[serde(rename = "type")]
    kind: &'static str,
    command: String,
    timeout: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    on_failure: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status_message: Option<&'static str>,
}

/// Whether a hook's command is ours, whichever version of this program wrote it and wherever it was.
pub(crate) fn is_ours(command: &str) -> bool {
    let Some((program, arguments)) = command.split_once(COMMAND) else { return false };
    let program = unquote(program.trim());
    let name = program.rsplit(['/', '\\']).next().unwrap_or_default();
    matches!(name, "flightdeck" | "flightdeck.exe") && (arguments.is_empty() || arguments.starts_with(' '))
}

/// One of our hooks as it stands in a settings file.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Installed {
    pub(crate) event: String,
    pub(crate) program: String,
    /// The gate that its command names.
    pub(crate) gate: Option<String>,
    /// The answer without a verdict that its command names.
    pub(crate) when_unreachable: Option<String>,
    /// The timeout that its command names, in seconds.
    pub(crate) own_timeout: Option<u64>,
    /// The timeout that Claude Code reads, in seconds.
    pub(crate) timeout: Option<f64>,
}

/// Our hooks in a settings document.
pub(crate) fn installed_in(settings: &Value) -> Vec<Installed> {
    let mut found = Vec::new();
    let events = settings.get("hooks").and_then(Value::as_object);
    for (event, groups) in events.into_iter().flatten() {
        let groups = groups.as_array().into_iter().flatten();
        for hook in groups.filter_map(|group| group.get("hooks")?.as_array()).flatten() {
            let Some(command) = hook.get("command").and_then(Value::as_str).filter(|command| is_ours(command)) else {
                continue;
            };
            let (program, arguments) = command.split_once(COMMAND).unwrap_or((command, ""));
            let words: Vec<_> = arguments.split_whitespace().collect();
            let argument = |name: &str| {
                let at = words.iter().position(|word| *word == name)?;
                words.get(at + 1).copied()
            };
            found.push(Installed {
                event: event.clone(),
                program: unquote(program.trim()),
                gate: argument("--gate").map(str::to_owned),
                when_unreachable: argument("--when-unreachable").map(str::to_owned),
                own_timeout: argument("--timeout").and_then(|text| text.parse().ok()),
                timeout: hook.get("timeout").and_then(Value::as_f64),
            });
        }
    }
    found
}

/// A path as one word of a shell.
fn quote(path: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "/._-+@%:,".contains(letter);
    if path.chars().all(plain) { path.to_owned() } else { format!("'{}'", path.replace('\'', r"'\''")) }
}

fn unquote(word: &str) -> String {
    let single = word.strip_prefix('\'').and_then(|word| word.strip_suffix('\''));
    let double = || word.strip_prefix('"').and_then(|word| word.strip_suffix('"'));
    single.map_or_else(|| double().unwrap_or(word).to_owned(), |word| word.replace(r"'\''", "'"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The groups as they are in the file.
    fn written(plan: &Plan) -> Vec<(&'static str, Value)> {
        let write = |(event, group)| (event, serde_json::to_value(group).expect("is JSON"));
        plan.groups().into_iter().map(write).collect()
    }

    fn group(gate: Gate, event: &str) -> Value {
        let plan = Plan::new(Path::new("/usr/bin/flightdeck"), gate, WhenUnreachable::Deny, 86_400);
        let plan = plan.expect("a plain path");
        written(&plan).into_iter().find(|(name, _)| *name == event).expect("the event is watched").1
    }

    #[test]
    fn the_gate_has_the_long_timeout_and_says_so_to_itself() {
        assert_eq!(
            group(Gate::PermissionRequest, "PermissionRequest"),
            json!({"matcher": "*", "hooks": [{
                "type": "command",
                "command": "/usr/bin/flightdeck hook claude-code --gate permission-request --when-unreachable deny \
                            --timeout 86400",
                "timeout": 86_400,
                "statusMessage": "Waiting for an answer in Flightdeck",
            }]})
        );
        assert_eq!(
            group(Gate::PreToolUse, "PreToolUse"),
            json!({"matcher": "*", "hooks": [{
                "type": "command",
                "command": "/usr/bin/flightdeck hook claude-code --gate pre-tool-use --when-unreachable deny \
                            --timeout 86400",
                "timeout": 86_400,
                "statusMessage": "Waiting for an answer in Flightdeck",
                "onFailure": "block",
            }]})
        );
    }

    #[test]
    fn every_other_hook_is_short() {
        assert_eq!(
            group(Gate::PermissionRequest, "Stop"),
            json!({"hooks": [{"type": "command", "command": "/usr/bin/flightdeck hook claude-code", "timeout": 5}]})
        );
        assert_eq!(
            group(Gate::PreToolUse, "PermissionRequest")["hooks"][0]["command"],
            "/usr/bin/flightdeck hook claude-code --gate pre-tool-use --when-unreachable deny"
        );
        for gate in [Gate::PermissionRequest, Gate::PreToolUse, Gate::None] {
            let plan = Plan::new(Path::new("/f/flightdeck"), gate, WhenUnreachable::Ask, 600).expect("a plain path");
            let long = written(&plan).iter().filter(|(_, group)| group["hooks"][0]["timeout"] == 600).count();
            assert_eq!(long, usize::from(gate != Gate::None));
            assert_eq!(written(&plan).last().expect("not empty").1["hooks"][0]["timeout"], 1);
        }
    }

    #[test]
    fn ours_are_recognised_wherever_the_program_is() {
        for path in ["/usr/bin/flightdeck", "/home/a b/flightdeck", "/it's/flightdeck", "/dir with 'q'/flightdeck"] {
            let plan = Plan::new(Path::new(path), Gate::PermissionRequest, WhenUnreachable::Ask, 60);
            let plan = plan.expect("a plain path");
            for (event, group) in written(&plan) {
                let settings = json!({"hooks": {event: [group]}});
                assert_eq!(installed_in(&settings)[0].program, path);
            }
        }
        assert!(is_ours(r#""C:\tools\flightdeck.exe" hook claude-code"#));
    }

    #[test]
    fn others_are_not_ours() {
        for command in [
            "/usr/bin/other hook claude-code",
            "notflightdeck hook claude-code",
            "flightdeck hook claude-codex",
            "flightdeck approvals list",
            "echo flightdeck",
        ] {
            assert!(!is_ours(command), "{command}");
        }
    }

    #[test]
    fn what_is_installed_is_read_back() {
        let settings = json!({"hooks": {"PermissionRequest": [group(Gate::PermissionRequest, "PermissionRequest")]}});
        let expected = Installed {
            event: "PermissionRequest".into(),
            program: "/usr/bin/flightdeck".into(),
            gate: Some("permission-request".into()),
            when_unreachable: Some("deny".into()),
            own_timeout: Some(86_400),
            timeout: Some(86_400.0),
        };
        assert_eq!(installed_in(&settings), [expected]);
        assert!(installed_in(&json!({"hooks": []})).is_empty());
    }
}
