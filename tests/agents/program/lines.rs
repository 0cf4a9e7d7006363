//! Whether a line is the one that a script has, and what the other side calls things.

use std::collections::HashMap;

use anyhow::{Result, bail, ensure};
use serde_json::Value;

/// What somebody else asked for in a recording, and the adapters never do.
const FOREIGN: [&str; 3] = ["hooks/list", "config/batchWrite", "set_permission_mode"];

/// Where the other side is, and what it says of itself.
const OWN: [&str; 2] = ["cwd", "clientInfo"];

/// Ids that the other side makes up. Only at the top of what it says: deeper down are those of whom it answers.
const IDS: [&str; 3] = ["uuid", "request_id", "id"];

/// How much of what is said a script's line has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    All,
    /// Whatever the script's line does not name may be there, too.
    Part,
}

/// What the script calls things, and what the other side does.
#[derive(Debug, Default)]
pub(crate) struct Names {
    texts: Vec<(String, String)>,
    /// Of requests, which the other side may number otherwise, or not at all.
    numbers: HashMap<u64, Value>,
    /// Ids of what is left out.
    foreign: Vec<Value>,
}

impl Names {
    /// Whether the script's line is left out, because nobody will say it.
    pub(crate) fn is_foreign(&mut self, line: &Value) -> bool {
        let what = line["method"].as_str().or(line["request"]["subtype"].as_str()).unwrap_or_default();
        let is_foreign = FOREIGN.contains(&what);
        if is_foreign {
            self.foreign
                .extend([line["id"].clone(), line["request_id"].clone()].into_iter().filter(|id| !id.is_null()));
        }
        is_foreign
    }

    /// Whether the script's line answers what is left out.
    pub(crate) fn is_of_foreign(&self, line: &Value) -> bool {
        let is_answer = !line["method"].is_string();
        let id = if line["type"] == "control_response" { &line["response"]["request_id"] } else { &line["id"] };
        is_answer && self.foreign.contains(id)
    }

    /// Fails unless `said` is the script's line, but for names; those are learned.
    pub(crate) fn learn(&mut self, line: &Value, said: &Value, extent: Extent) -> Result<()> {
        let (mut line, mut said) = (line.clone(), said.clone());
        for key in IDS {
            // What has an id and no method answers somebody, by the id that this one gave.
            if key == "id" && !line["method"].is_string() {
                continue;
            }
            let [ours, theirs] =
                [&mut line, &mut said].map(|side| side.as_object_mut().and_then(|side| side.remove(key)));
            match (ours, theirs) {
                (Some(Value::String(ours)), Some(Value::String(theirs))) => self.texts.push((ours, theirs)),
                (Some(Value::Number(ours)), Some(theirs @ (Value::Number(_) | Value::String(_)))) => {
                    self.numbers.extend(ours.as_u64().map(|ours| (ours, theirs)));
                }
                (None, None) => {}
                (ours, theirs) => bail!("its `{key}` is {theirs:?} and not {ours:?}"),
            }
        }
        compare(&line, &said, extent)
    }

    /// The script's line, with the other side's names.
    pub(crate) fn rename(&self, line: &Value) -> String {
        let mut line = line.clone();
        let is_answer = !line["method"].is_string();
        if let (true, Some(name)) = (is_answer, line["id"].as_u64().and_then(|id| self.numbers.get(&id))) {
            line["id"] = name.clone();
        }
        self.replace(&mut line);
        line.to_string()
    }

    fn replace(&self, value: &mut Value) {
        match value {
            Value::String(text) => {
                if let Some((_, theirs)) = self.texts.iter().find(|(name, _)| name == text) {
                    text.clone_from(theirs);
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.replace(item)),
            Value::Object(fields) => fields.values_mut().for_each(|field| self.replace(field)),
            _ => {}
        }
    }
}

fn compare(line: &Value, said: &Value, extent: Extent) -> Result<()> {
    match (line, said) {
        (Value::Object(line), Value::Object(said)) => {
            let more = said.keys().filter(|_| extent == Extent::All);
            for key in line.keys().chain(more).filter(|key| !OWN.contains(&key.as_str())) {
                let (Some(line), Some(said)) = (line.get(key), said.get(key)) else {
                    bail!("only one of them has `{key}`")
                };
                compare(line, said, extent)?;
            }
        }
        (Value::Array(line), Value::Array(said)) => {
            ensure!(line.len() == said.len(), "they differ in length");
            for (line, said) in line.iter().zip(said) {
                compare(line, said, extent)?;
            }
        }
        _ => ensure!(line == said, "{said} is not {line}"),
    }
    Ok(())
}
