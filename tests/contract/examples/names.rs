//! What `${name}` stands for: a value that is bound where the name is first used, and is the same from then on.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Map, Value};
use uuid::Uuid;

/// The credentials that a pairing binds; a stranger gets others.
const OF_A_PAIRING: [&str; 8] = [
    "pair_token",
    "poll_token",
    "match_code",
    "workspace_id",
    "bridge_secret",
    "device_bridge_secret",
    "device_id",
    "device_token",
];

/// What a session binds; one that a stranger opens has others.
const OF_A_SESSION: [&str; 10] = [
    "repo",
    "session_id",
    "session_token",
    "task_id",
    "chat_id",
    "command_id",
    "base",
    "digest",
    "commit",
    "reverting",
];

/// Names that bind nothing, and stand for whatever is right in their place.
const STANDING: [&str; 4] = ["any", "number", "text", "time"];

/// The names that an example has bound so far.
#[derive(Debug, Default, Clone)]
pub(super) struct Names(BTreeMap<String, Value>);

impl Names {
    /// Forgets whose credentials are used.
    pub(super) fn forget_pairing(&mut self) {
        for name in OF_A_PAIRING {
            self.0.remove(name);
        }
    }

    /// Forgets which session is worked in.
    pub(super) fn forget_session(&mut self) {
        for name in OF_A_SESSION {
            self.0.remove(name);
        }
    }

    /// Whether a name stands for something.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Binds every name in `expected` anew, to what is in its place in `got`.
    pub(super) fn rebind(&mut self, expected: &Value, got: &Value) {
        match (expected, got) {
            (Value::String(text), _) => {
                if let Some(name) = whole(text).filter(|name| !STANDING.contains(name)) {
                    self.bind(name, got.clone());
                }
            }
            (Value::Array(expected), Value::Array(got)) => {
                expected.iter().zip(got).for_each(|(expected, got)| self.rebind(expected, got));
            }
            (Value::Object(expected), Value::Object(got)) => {
                expected.iter().filter_map(|(key, value)| Some((value, got.get(key)?))).for_each(|(expected, got)| {
                    self.rebind(expected, got);
                });
            }
            _ => {}
        }
    }

    pub(super) fn bind(&mut self, name: &str, value: impl Into<Value>) {
        self.0.insert(name.to_owned(), value.into());
    }

    /// A name's value, which must be text.
    pub(super) fn text(&self, name: &str) -> Result<&str> {
        let value =
            self.0.get(name).with_context(|| format!("`{name}` is not bound: is a step missing in `given`?"))?;
        value.as_str().with_context(|| format!("`{name}` is not text"))
    }

    /// Puts values in the place of names, in a request.
    pub(super) fn fill(&mut self, value: &Value) -> Result<Value> {
        Ok(match value {
            Value::String(text) => match whole(text) {
                Some(name) => self.value(name)?,
                None => Value::String(self.fill_text(text)?),
            },
            Value::Array(items) => items.iter().map(|item| self.fill(item)).collect::<Result<Vec<_>>>()?.into(),
            Value::Object(map) => {
                let entries = map.iter().map(|(key, value)| Ok((key.clone(), self.fill(value)?)));
                Value::Object(entries.collect::<Result<Map<_, _>>>()?)
            }
            other => other.clone(),
        })
    }

    /// Puts values in the place of names inside a text.
    pub(super) fn fill_text(&mut self, text: &str) -> Result<String> {
        let mut filled = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            let (name, after) = after.split_once('}').with_context(|| format!("{text:?} has a name without an end"))?;
            filled.push_str(before);
            filled.push_str(&super::example::plain(&self.value(name)?));
            rest = after;
        }
        filled.push_str(rest);
        Ok(filled)
    }

    fn value(&mut self, name: &str) -> Result<Value> {
        if let Some(value) = self.0.get(name) {
            return Ok(value.clone());
        }
        ensure!(name.ends_with("_id"), "`{name}` is not bound: is a step missing in `given`?");
        let value = Value::String(Uuid::new_v4().to_string());
        self.0.insert(name.to_owned(), value.clone());
        Ok(value)
    }

    /// Compares what came back with what the example says, and binds the names that it uses first. `place` is a JSON
    /// pointer.
    pub(super) fn compare(&mut self, place: &str, expected: &Value, got: &Value) -> Result<()> {
        match (expected, got) {
            (Value::String(text), _) if whole(text).is_some() => {
                self.unify(place, whole(text).unwrap_or_default(), got)
            }
            (Value::String(text), Value::String(_)) if text.contains("${") => {
                let expected = self.fill_text(text)?;
                ensure!(*got == expected, "{place} is {got} instead of {expected:?}");
                Ok(())
            }
            (Value::Object(expected), Value::Object(got)) => {
                for (key, expected) in expected {
                    let place = format!("{place}/{key}");
                    let got = got.get(key).with_context(|| format!("{place} is missing"))?;
                    self.compare(&place, expected, got)?;
                }
                for (key, value) in got {
                    ensure!(expected.contains_key(key), "{place}/{key} is not in the example: {value}");
                }
                Ok(())
            }
            (Value::Array(expected), Value::Array(got)) => {
                ensure!(expected.len() == got.len(), "{place} has {} items instead of {}", got.len(), expected.len());
                for (index, (expected, got)) in expected.iter().zip(got).enumerate() {
                    self.compare(&format!("{place}/{index}"), expected, got)?;
                }
                Ok(())
            }
            _ if expected == got => Ok(()),
            _ => bail!("{place} is {got} instead of {expected}"),
        }
    }

    fn unify(&mut self, place: &str, name: &str, got: &Value) -> Result<()> {
        let right = match name {
            "any" => true,
            "number" => got.is_number(),
            "text" => got.as_str().is_some_and(|text| !text.is_empty()),
            "time" => got.as_str().is_some_and(is_time),
            _ => match self.0.get(name) {
                Some(bound) => {
                    ensure!(bound == got, "{place} is {got}, but `{name}` is {bound}");
                    true
                }
                None => {
                    self.0.insert(name.to_owned(), got.clone());
                    !got.is_null()
                }
            },
        };
        ensure!(right, "{place} is {got}, which is no `{name}`");
        Ok(())
    }
}

/// The name, if the text is nothing else.
fn whole(text: &str) -> Option<&str> {
    let name = text.strip_prefix("${")?.strip_suffix('}')?;
    (!name.contains('}')).then_some(name)
}

/// RFC 3339, in UTC, with milliseconds: `2026-03-02T09:30:00.000Z`.
pub(crate) fn is_time(text: &str) -> bool {
    const SHAPE: &[u8] = b"0000-00-00T00:00:00.000Z";
    text.len() == SHAPE.len()
        && text
            .bytes()
            .zip(SHAPE)
            .all(|(byte, shape)| if *shape == b'0' { byte.is_ascii_digit() } else { byte == *shape })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_name_is_bound_once() {
        let mut names = Names::default();
        names.compare("", &json!({"a": "${x}", "b": "${x}"}), &json!({"a": 1, "b": 1})).expect("they are the same");
        assert!(names.compare("", &json!("${x}"), &json!(2)).is_err());
        names.compare("", &json!("x=${x}"), &json!("x=1")).expect("the name is inside a text");
        assert!(names.compare("", &json!("x=${x}"), &json!("x=2")).is_err());
        assert_eq!(names.fill(&json!(["${x}", "x=${x}"])).expect("it is bound"), json!([1, "x=1"]));
    }

    #[test]
    fn a_field_too_many_is_as_wrong_as_one_too_few() {
        let mut names = Names::default();
        assert!(names.compare("", &json!({"a": 1}), &json!({})).is_err());
        assert!(names.compare("", &json!({}), &json!({"a": 1})).is_err());
    }

    #[test]
    fn times_have_milliseconds_and_are_in_utc() {
        assert!(is_time("2026-03-02T09:30:00.000Z"));
        assert!(!is_time("2026-03-02T09:30:00Z"));
        assert!(!is_time("2026-03-02T09:30:00.000+01:00"));
    }
}
