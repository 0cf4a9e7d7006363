//! Puts our hooks into the text of a settings file, and takes them out again. Whatever is not ours keeps its bytes.

use std::collections::BTreeMap;

use anyhow::{Result, bail};

use super::hooks::{Plan, is_ours};
use super::json_text::{Document, Kind, Member, Node};

/// The text with our hooks, and no others of ours. `text` may be empty.
///
/// # Errors
/// It is not JSON, or not what Claude Code expects; then nothing can be added to it safely.
pub(crate) fn with_hooks(text: &str, plan: &Plan) -> Result<String> {
    let mut text = without_hooks(text)?;
    if text.trim().is_empty() {
        "{}\n".clone_into(&mut text);
    }
    for (event, group) in plan.groups() {
        let document = Document::parse(&text)?;
        let Some(hooks) = document.root.member("hooks") else {
            let hooks = BTreeMap::from([(event, [group])]);
            text = document.insert(&document.root, Some("hooks"), &hooks);
            continue;
        };
        text = match hooks.value.member(event) {
            Some(groups) => document.insert(&groups.value, None, &group),
            None => document.insert(&hooks.value, Some(event), &[group]),
        };
    }
    Ok(text)
}

/// The text without our hooks, and without what only held them.
///
/// # Errors
/// It is not JSON, or not what Claude Code expects.
pub(crate) fn without_hooks(text: &str) -> Result<String> {
    let mut text = text.to_owned();
    if text.trim().is_empty() {
        return Ok(text);
    }
    // Each step takes one hook away, and with it what it leaves empty; then the places are found anew.
    while let Some(next) = without_one(&text)? {
        text = next;
    }
    Ok(text)
}

fn without_one(text: &str) -> Result<Option<String>> {
    let document = Document::parse(text)?;
    let Kind::Object(settings) = &document.root.kind else { bail!("it is not a JSON object") };
    let Some(hooks_index) = settings.iter().rposition(|member| member.name == "hooks") else { return Ok(None) };
    let Some(Member { value: hooks, .. }) = settings.get(hooks_index) else { return Ok(None) };
    let Kind::Object(events) = &hooks.kind else { bail!("`hooks` in it is not an object") };
    for (event_index, event) in events.iter().enumerate() {
        let Some(groups) = event.value.items() else { bail!("`hooks.{}` in it is not a list", event.name) };
        for (group_index, group) in groups.iter().enumerate() {
            let Some(handlers) =
                group.member("hooks").and_then(|handlers| handlers.value.items().map(|items| (&handlers.value, items)))
            else {
                continue;
            };
            let (handlers, items) = handlers;
            let Some(index) = items.iter().position(|item| is_our_hook(&document, item)) else { continue };
            // The smallest thing that holds nothing but the hook.
            let text = if items.len() > 1 {
                document.remove(handlers, index)
            } else if groups.len() > 1 {
                document.remove(&event.value, group_index)
            } else if events.len() > 1 {
                document.remove(hooks, event_index)
            } else {
                document.remove(&document.root, hooks_index)
            };
            return Ok(Some(text));
        }
    }
    Ok(None)
}

fn is_our_hook(document: &Document<'_>, hook: &Node) -> bool {
    hook.member("command").is_some_and(|command| document.value(&command.value).as_str().is_some_and(is_ours))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::{Value, json};

    use super::*;
    use crate::config::{Gate, WhenUnreachable};

    fn plan() -> Plan {
        let program = Path::new("/usr/bin/flightdeck");
        Plan::new(program, Gate::PermissionRequest, WhenUnreachable::Ask, 86_400).expect("a plain path")
    }

    /// Settings as people have them: other hooks, odd layouts, keys that nobody knows.
    const SETTINGS: [&str; 9] = [
        "{}\n",
        "{\n  \"model\": \"opus\"\n}\n",
        "{\"model\":\"opus\",\"zeta\":1.50,\"alpha\":[1,2]}",
        "{\n\t\"permissions\": {\"allow\": [\"Bash(ls:*)\"]},\n\t\"hooks\": {\n\t\t\"Stop\": [\n\t\t\t{\"hooks\": [{\"type\": \"command\", \"command\": \"say done\"}]}\n\t\t]\n\t},\n\t\"env\": {\"A\": \"\\u00e9\"}\n}",
        "{\r\n    \"hooks\": {\r\n        \"PreToolUse\": [\r\n            {\r\n                \"matcher\": \"Bash\",\r\n                \"hooks\": []\r\n            }\r\n        ]\r\n    }\r\n}\r\n",
        "{ \"hooks\": { \"PreToolUse\": [ { \"matcher\": \"Bash\", \"hooks\": [ { \"type\": \"command\", \"command\": \"lint\" } ] } ], \"Future\": [ { \"hooks\": [] } ] } }",
        "  {\n  \"hooks\": {\n    \"Stop\": [{\"hooks\": [{\"command\": \"flightdeck-ish hook claude-code\"}]}]\n  },\n  \"last\": true\n}",
        "{\n   \"a\": {\"hooks\": {\"Stop\": 1}},\n   \"hooks\": {\n      \"Notification\": [\n         {\"hooks\": [{\"type\": \"http\", \"url\": \"http://x\"}]}\n      ]\n   }\n}\n",
        "{\n  \"hooks\": {\n    \"SessionEnd\": [\n      {\n        \"hooks\": [\n          {\n            \"type\": \"command\",\n            \"command\": \"bye\"\n          }\n        ]\n      }\n    ]\n  }\n}\n",
    ];

    #[test]
    fn uninstalling_restores_every_byte() {
        for settings in SETTINGS {
            let installed = with_hooks(settings, &plan()).expect("installs");
            assert_ne!(installed, settings);
            assert_eq!(without_hooks(&installed).expect("uninstalls"), settings);
        }
    }

    #[test]
    fn installing_twice_is_installing_once_and_new_options_replace_old_ones() {
        for settings in SETTINGS {
            let once = with_hooks(settings, &plan()).expect("installs");
            assert_eq!(with_hooks(&once, &plan()).expect("installs"), once);
            let other = Plan::new(Path::new("/opt/flightdeck"), Gate::PreToolUse, WhenUnreachable::Deny, 60);
            let other = other.expect("a plain path");
            let changed = with_hooks(&once, &other).expect("installs");
            assert!(!changed.contains("/usr/bin/flightdeck hook"));
            assert_eq!(changed, with_hooks(settings, &other).expect("installs"));
        }
    }

    #[test]
    fn what_others_have_stays_as_it_is_and_first() {
        for settings in SETTINGS {
            let (before, installed) = (parse(settings), parse(&with_hooks(settings, &plan()).expect("installs")));
            for (name, value) in before.as_object().expect("an object").iter().filter(|(name, _)| *name != "hooks") {
                assert_eq!(&installed[name], value);
            }
            let nothing = json!({});
            for (event, groups) in before.get("hooks").unwrap_or(&nothing).as_object().expect("an object") {
                let groups = groups.as_array().expect("a list");
                assert_eq!(&installed["hooks"][event].as_array().expect("a list")[..groups.len()], groups);
            }
        }
    }

    #[test]
    fn every_event_has_its_hook_once() {
        for settings in SETTINGS {
            let installed = parse(&with_hooks(settings, &plan()).expect("installs"));
            for (event, group) in plan().groups() {
                let groups = installed["hooks"][event].as_array().expect("a list");
                assert_eq!(groups.iter().filter(|known| **known == json!(group)).count(), 1, "{event}");
            }
        }
    }

    #[test]
    fn a_hook_in_a_group_of_somebody_else_is_taken_out_alone() {
        let mixed = r#"{"hooks":{"Stop":[{"hooks":[{"command":"a"},{"command":"flightdeck hook claude-code"},{"command":"b"}]}]}}"#;
        let expected = r#"{"hooks":{"Stop":[{"hooks":[{"command":"a"},{"command":"b"}]}]}}"#;
        assert_eq!(without_hooks(mixed).expect("uninstalls"), expected);
    }

    #[test]
    fn a_file_that_is_not_there_becomes_a_whole_one() {
        let installed = with_hooks("", &plan()).expect("installs");
        assert!(installed.starts_with("{\n  \"hooks\": {\n    \"SessionStart\": [\n") && installed.ends_with("}\n"));
        assert_eq!(without_hooks(&installed).expect("uninstalls"), "{}\n");
    }

    #[test]
    fn what_cannot_be_changed_safely_is_refused() {
        for (text, reason) in [
            ("{\"a\": 1,}", "not valid JSON"),
            ("// comment\n{}", "not valid JSON"),
            ("[]", "not a JSON object"),
            ("{\"hooks\": []}", "`hooks` in it is not an object"),
            ("{\"hooks\": {\"Stop\": {}}}", "`hooks.Stop` in it is not a list"),
        ] {
            let message = format!("{:#}", with_hooks(text, &plan()).expect_err("refuses"));
            assert!(message.contains(reason), "{text}: {message}");
        }
    }

    fn parse(text: &str) -> Value {
        serde_json::from_str(text).expect("is JSON")
    }
}
