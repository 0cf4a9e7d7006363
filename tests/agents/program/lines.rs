//! Whether a line is the one that a script has, and what the other side calls things.

use std::collections::HashMap;

use anyhow::{Result, ensure};
use serde_json::Value;

/// What somebody else asked for in a recording, and the adapters never do.
const FOREIGN: [&str; 3] = ["hooks/list", "config/batchWrite", "set_permission_mode"];

/// Where the other side is, and what it says of itself.
const OWN: [&str; 2] = ["cwd", "clientInfo"];

/// Ids that the other side makes up.
const IDS: [&str; 3] = ["uuid", "request_id", "id"];

/// What the script calls things, and what the other side does.
#[derive(Debug, Default)]
pub(crate) struct Names {
    texts: Vec<(String, String)>,
    /// Of requests.
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
    pub(crate) fn learn(&mut self, line: &Value, said: &Value) -> Result<()> {
        match (line, said) {
            (Value::Object(line), Value::Object(said)) => {
                let keys = || line.keys().chain(said.keys());
                for key in keys().filter(|key| !OWN.contains(&key.as_str())) {
                    let (Some(line), Some(said)) = (line.get(key), said.get(key)) else {
                        anyhow::bail!("only one of them has `{key}`")
                    };
                    match (line, said) {
                        (Value::String(line), Value::String(said)) if IDS.contains(&key.as_str()) => {
                            self.texts.push((line.clone(), said.clone()));
                        }
                        (Value::Number(number), Value::Number(_)) if IDS.contains(&key.as_str()) => {
                            self.numbers.extend(number.as_u64().map(|number| (number, said.clone())));
                        }
                        _ => self.learn(line, said)?,
                    }
                }
            }
            (Value::Array(line), Value::Array(said)) => {
                ensure!(line.len() == said.len(), "they differ in length");
                for (line, said) in line.iter().zip(said) {
                    self.learn(line, said)?;
                }
            }
            _ => ensure!(line == said, "{said} is not {line}"),
        }
        Ok(())
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
