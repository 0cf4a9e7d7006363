//! What an event says, in a line: for lists that scroll by.

use serde_json::{Map, Value};

use crate::term::Colour;

/// The properties that say most, the best first.
const TELLING: [&str; 9] =
    ["content", "message", "summary", "command", "prompt", "error", "reason", "decision", "status"];
/// What is worth knowing beside any of them.
const BESIDE: [&str; 2] = ["note", "error"];

/// The most telling text of a payload. Not yet safe for a terminal.
pub(super) fn gist(payload: &Map<String, Value>) -> String {
    // An agent's events carry who said it around what was said.
    let payload = payload.get("payload").and_then(Value::as_object).unwrap_or(payload);
    let question = payload.get("question").and_then(Value::as_object);
    let text = |name: &str| {
        let value = payload.get(name).or_else(|| question?.get(name));
        value.and_then(Value::as_str).filter(|text| !text.is_empty())
    };
    let mut said: Vec<_> = TELLING.iter().find_map(|name| text(name)).map(str::to_owned).into_iter().collect();
    if said.is_empty() {
        let pairs = payload.iter().map(|(name, value)| {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            format!("{name}: {value}")
        });
        let mut pairs: Vec<_> = pairs.collect();
        pairs.sort_unstable();
        said.push(pairs.join(" · "));
    }
    for name in BESIDE {
        if let Some(value) = text(name).filter(|value| !said.iter().any(|known| known == value)) {
            said.push(format!("({value})"));
        }
    }
    said.join(" ")
}

/// What kind of news an event is.
pub(super) fn colour(kind: &str) -> Colour {
    match kind {
        kind if kind.ends_with("FAILED") || kind.ends_with("DENIED") || kind.ends_with(".failed") => Colour::Bad,
        kind if kind.starts_with("approval.") || kind == "message_in" => Colour::Warning,
        kind if kind.starts_with("RUN_") || kind.starts_with("device.") => Colour::Good,
        "agent_status" => Colour::Quiet,
        _ => Colour::Accent,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(payload: &Value) -> String {
        gist(payload.as_object().expect("an object"))
    }

    #[test]
    fn the_most_telling_text_is_found() {
        assert_eq!(of(&json!({"status": "PENDING", "question": {"command": "ls", "kind": "command"}})), "ls");
        assert_eq!(of(&json!({"status": "DENIED", "note": "not on a Friday"})), "DENIED (not on a Friday)");
        assert_eq!(of(&json!({"content": "hello", "client_msg_id": "x"})), "hello");
        assert_eq!(of(&json!({"sender": "pc", "payload": {"content": "hi"}, "user_id": null})), "hi");
        assert_eq!(of(&json!({"tool": "Bash", "n": 3})), "n: 3 · tool: Bash");
        assert_eq!(of(&json!({"error": "broken"})), "broken");
        assert_eq!(of(&json!({})), "");
    }
}
