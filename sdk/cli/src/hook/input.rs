//! What Claude Code writes to a hook's stdin. The set of events and fields is open, and a field of an unexpected
//! type counts as missing: an agent's update must not break its hooks.

use std::io::Read;

use anyhow::{Context as _, Result, anyhow};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

/// Larger inputs are not read. A tool's result can be large, but not like this.
const LARGEST: u64 = 10 * 1024 * 1024;

/// The fields that every event has; they say nothing about what happened.
const BASE_FIELDS: [&str; 8] = [
    "session_id",
    "transcript_path",
    "cwd",
    "prompt_id",
    "permission_mode",
    "effort",
    "hook_event_name",
    "agent_transcript_path",
];

/// One event.
#[derive(Debug, Clone)]
pub(crate) struct HookInput {
    fields: Map<String, Value>,
    event: String,
    session_id: String,
}

impl HookInput {
    /// Reads one event.
    ///
    /// # Errors
    /// It is too large, not a JSON object, or says neither its session nor what happened.
    pub(crate) fn read(source: impl Read) -> Result<Self, Unreadable> {
        let mut text = Vec::new();
        let read = source.take(LARGEST + 1).read_to_end(&mut text).context("could not read the hook's input");
        let whole = read.is_ok() && text.len() as u64 <= LARGEST;
        let input = match read {
            Ok(_) if whole => Self::parse(&text),
            Ok(_) => Err(anyhow!("the hook's input is larger than {} MiB", LARGEST >> 20)),
            Err(error) => Err(error),
        };
        input.map_err(|error| Unreadable { error, text, whole })
    }

    fn parse(text: &[u8]) -> Result<Self> {
        let fields: Map<String, Value> =
            serde_json::from_slice(text).context("the hook's input is not a JSON object")?;
        let required = |name: &str| {
            let value = fields.get(name).and_then(Value::as_str).filter(|value| !value.is_empty());
            value.map(str::to_owned).with_context(|| format!("the hook's input has no {name}"))
        };
        Ok(Self { event: required("hook_event_name")?, session_id: required("session_id")?, fields })
    }

    /// What happened, e.g. `PreToolUse`.
    pub(crate) fn event(&self) -> &str {
        &self.event
    }

    pub(crate) fn session_id(&self) -> &str {
        &self.session_id
    }

    /// A field that is text and not empty.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.fields.get(name)?.as_str().filter(|text| !text.is_empty())
    }

    pub(crate) fn value(&self, name: &str) -> Option<&Value> {
        self.fields.get(name).filter(|value| !value.is_null())
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.fields.contains_key(name)
    }

    /// What the tool is to do.
    pub(crate) fn tool_input(&self) -> Option<&Map<String, Value>> {
        self.fields.get("tool_input")?.as_object()
    }

    /// Recognises the same tool input again, whatever the order of its keys.
    pub(crate) fn tool_digest(&self) -> String {
        digest(self.text("tool_name").unwrap_or_default(), self.fields.get("tool_input").unwrap_or(&Value::Null))
    }

    /// The fields that belong to this very event.
    pub(crate) fn own_fields(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.fields.iter().filter(|(name, _)| !BASE_FIELDS.contains(&name.as_str()))
    }
}

/// An event that could not be read.
#[derive(Debug)]
pub(crate) struct Unreadable {
    pub(crate) error: anyhow::Error,
    text: Vec<u8>,
    /// `text` is all that there was.
    whole: bool,
}

impl Unreadable {
    /// Whether it may have been this event. Only a text that is whole, says what happened, and nowhere has this name,
    /// is surely another one: the name's place cannot be known, and a tool's input may hold whatever the agent likes.
    pub(crate) fn may_be(&self, event: &str) -> bool {
        let has = |word: &str| self.text.windows(word.len()).any(|part| part == word.as_bytes());
        !self.whole || has(event) || !has("\"hook_event_name\"")
    }
}

/// SHA-256 of a tool's name and input, in hex.
pub(crate) fn digest(tool: &str, input: &Value) -> String {
    let mut text = String::new();
    write_canonical(input, &mut text);
    let mut hash = Sha256::new();
    hash.update(tool);
    hash.update([0]);
    hash.update(text);
    hex::encode(hash.finalize())
}

/// JSON with sorted keys.
fn write_canonical(value: &Value, text: &mut String) {
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_unstable_by_key(|(name, _)| *name);
            text.push('{');
            for (name, member) in members {
                text.push_str(&Value::from(name.as_str()).to_string());
                text.push(':');
                write_canonical(member, text);
                text.push(',');
            }
            text.push('}');
        }
        Value::Array(items) => {
            text.push('[');
            for item in items {
                write_canonical(item, text);
                text.push(',');
            }
            text.push(']');
        }
        scalar => text.push_str(&scalar.to_string()),
    }
}

#[cfg(test)]
pub(crate) mod fixtures {
    //! Events as the real program wrote them.

    use serde_json::Value;

    use super::HookInput;

    macro_rules! fixture {
        ($name:literal) => {
            include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/claude/", $name, ".stdin.json"))
        };
    }

    pub(crate) const ALL: [(&str, &str); 12] = [
        ("SessionStart", fixture!("SessionStart")),
        ("UserPromptSubmit", fixture!("UserPromptSubmit")),
        ("PreToolUse", fixture!("PreToolUse")),
        ("PermissionRequest", fixture!("PermissionRequest")),
        ("PostToolUse", fixture!("PostToolUse")),
        ("PostToolUseFailure", fixture!("PostToolUseFailure")),
        ("PostToolBatch", fixture!("PostToolBatch")),
        ("Notification", fixture!("Notification.permission_prompt")),
        ("Stop", fixture!("Stop")),
        ("Stop again", fixture!("Stop.stop_hook_active")),
        ("SessionEnd", fixture!("SessionEnd")),
        ("Unknown", r#"{"session_id":"s","hook_event_name":"SomethingNew","cwd":"/p","colour":"blue","count":3}"#),
    ];

    pub(crate) fn event(name: &str) -> HookInput {
        let (_, text) = ALL.iter().find(|(known, _)| *known == name).expect("there is such a fixture");
        HookInput::parse(text.as_bytes()).expect("the fixture is valid")
    }

    /// A fixture with some fields changed; null takes one away.
    pub(crate) fn changed(name: &str, change: &Value) -> HookInput {
        let mut input = event(name);
        for (field, value) in change.as_object().expect("an object of changes") {
            if value.is_null() {
                input.fields.remove(field);
            } else {
                input.fields.insert(field.clone(), value.clone());
            }
        }
        let text = serde_json::to_vec(&input.fields).expect("writes");
        HookInput::parse(&text).expect("the changed fixture is valid")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_fixture_is_read() {
        for (name, _) in fixtures::ALL {
            assert!(!fixtures::event(name).session_id().is_empty(), "{name}");
        }
    }

    #[test]
    fn a_permission_request_has_the_digest_of_its_tool_call() {
        assert_eq!(fixtures::event("PreToolUse").tool_digest(), fixtures::event("PermissionRequest").tool_digest());
        assert_ne!(fixtures::event("PreToolUse").tool_digest(), fixtures::event("PostToolUseFailure").tool_digest());
    }

    #[test]
    fn the_order_of_keys_does_not_matter_and_that_of_items_does() {
        assert_eq!(digest("T", &json!({"a": 1, "b": [1, 2]})), digest("T", &json!({"b": [1, 2], "a": 1})));
        assert_ne!(digest("T", &json!({"b": [1, 2]})), digest("T", &json!({"b": [2, 1]})));
        assert_ne!(digest("T", &json!({})), digest("U", &json!({})));
    }

    #[test]
    fn unexpected_types_count_as_missing() {
        let input =
            HookInput::parse(br#"{"session_id":"s","hook_event_name":"PreToolUse","tool_name":7,"tool_input":"x"}"#);
        let input = input.expect("is read all the same");
        assert!(input.text("tool_name").is_none() && input.tool_input().is_none());
    }

    #[test]
    fn what_cannot_be_an_event_is_refused() {
        for text in ["", "{oops", "[]", r#"{"session_id":"s"}"#, r#"{"hook_event_name":"Stop","session_id":""}"#] {
            assert!(HookInput::read(text.as_bytes()).is_err(), "{text}");
        }
        let large = std::io::repeat(b' ');
        let unreadable = HookInput::read(large).expect_err("refuses");
        assert!(unreadable.error.to_string().contains("10 MiB"));
    }

    #[test]
    fn what_could_not_be_read_is_another_event_only_if_that_is_sure() {
        let deep = |event: &str| {
            let (open, close) = ("[".repeat(200), "]".repeat(200));
            format!(r#"{{"session_id":"s","hook_event_name":"{event}","tool_input":{{"a":{open}{close}}}}}"#)
        };
        let large = format!(r#"{{"hook_event_name":"Stop","x":"{}"#, "x".repeat(11 << 20));
        for (text, may_be) in [
            (deep("PreToolUse"), true),
            (deep("PostToolUse"), false),
            (r#"{"hook_event_name":"PreToolUse"}"#.to_owned(), true),
            (r#"{"hook_event_name":"Stop"}"#.to_owned(), false),
            (String::new(), true),
            ("{oops".to_owned(), true),
            (large, true),
        ] {
            let unreadable = HookInput::read(text.as_bytes()).expect_err("cannot be read");
            assert_eq!(unreadable.may_be("PreToolUse"), may_be, "{text:.80}");
        }
    }
}
