//! The format of an example; `spec/examples/README.md` explains it.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use flightdeck_api::generated::errors::ErrorCode;
use flightdeck_api::support::OperationInfo;
use flightdeck_tests::{document, spec};
use serde::Deserialize;
use serde::de::{Deserializer, Error as _};
use serde_json::{Map, Value};

/// What is sent, and what comes back.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Example {
    /// Known by the file's name, except under `errors/`.
    pub(super) operation: Option<String>,
    #[serde(default)]
    pub(super) given: Vec<Step>,
    #[serde(default)]
    pub(super) request: ExampleRequest,
    pub(super) response: ExampleResponse,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExampleRequest {
    pub(super) method: Option<String>,
    pub(super) route: Option<String>,
    pub(super) credential: Option<String>,
    #[serde(default)]
    pub(super) path: Map<String, Value>,
    #[serde(default)]
    pub(super) query: Map<String, Value>,
    #[serde(default)]
    pub(super) headers: Map<String, Value>,
    pub(super) body: Option<Value>,
    pub(super) text: Option<String>,
    pub(super) repeat: Option<u32>,
    #[serde(default)]
    pub(super) withhold: usize,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExampleResponse {
    status: Option<u16>,
    pub(super) body: Option<Value>,
    /// A code of the catalogue, in place of a status and a body.
    pub(super) error: Option<String>,
    pub(super) details: Option<Value>,
}

/// What happened before.
#[derive(Debug, Clone)]
pub(super) enum Step {
    /// The success of `<surface>/<operationId>`.
    Success(String),
    Stranger,
    Server(Vec<(String, String)>),
    Later(Duration),
    DatabaseGone,
    DatabaseBroken,
    Repository(RepositoryState),
    TaskReady,
}

/// What a repository is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum RepositoryState {
    Clean,
    Edited,
    Refusing,
    Locked,
    Broken,
    Gone,
    Large,
}

impl ExampleResponse {
    pub(super) fn status(&self) -> Result<u16> {
        match (&self.error, self.status) {
            (Some(code), None) => {
                let known = ErrorCode::ALL.iter().find(|known| known.as_str() == code);
                Ok(known.with_context(|| format!("{code} is not in errors.yaml"))?.status())
            }
            (None, Some(status)) => Ok(status),
            _ => bail!("a response has either `status` or `error`"),
        }
    }
}

impl<'de> Deserialize<'de> for Step {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        step(&value).map_err(D::Error::custom)
    }
}

fn step(value: &Value) -> Result<Step> {
    if let Some(text) = value.as_str() {
        return Ok(if text == "a stranger" { Step::Stranger } else { Step::Success(text.to_owned()) });
    }
    let entry = value.as_object().filter(|map| map.len() == 1).and_then(|map| map.iter().next());
    let (name, value) = entry.with_context(|| format!("{value} is not a step"))?;
    Ok(match (name.as_str(), value) {
        ("server", Value::Object(settings)) => {
            Step::Server(settings.iter().map(|(name, value)| (name.clone(), plain(value))).collect())
        }
        ("later", Value::String(duration)) => Step::Later(parse_duration(duration)?),
        ("database", Value::String(state)) if state == "gone" => Step::DatabaseGone,
        ("database", Value::String(state)) if state == "broken" => Step::DatabaseBroken,
        ("repository", Value::String(_)) => Step::Repository(serde_json::from_value(value.clone())?),
        ("task", Value::String(state)) if state == "ready" => Step::TaskReady,
        _ => bail!("`{name}: {value}` is not a step"),
    })
}

fn parse_duration(text: &str) -> Result<Duration> {
    let (number, unit) = text.split_at(text.len().saturating_sub(1));
    let number: u64 = number.parse().with_context(|| format!("{text:?} is not a duration like 11m"))?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => bail!("{text:?} is not a duration like 11m"),
    };
    Ok(Duration::from_secs(number * seconds))
}

/// A scalar as it is in a query or a header.
pub(super) fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The example with that name in the file of an operation.
pub(super) fn load(operation: &OperationInfo, name: &str) -> Result<Example> {
    let file = format!("{}/{}.yaml", operation.surface, operation.id);
    let value = spec::read(&spec::folder().join("examples").join(&file))?;
    let example = value.get(name).with_context(|| format!("{file} has no example `{name}`"))?;
    serde_json::from_value(example.clone()).with_context(|| format!("in {file}, `{name}`"))
}

/// The names of the examples in the file of an operation.
pub(super) fn names(operation: &OperationInfo) -> Result<Vec<String>> {
    let path = spec::folder().join("examples").join(operation.surface).join(format!("{}.yaml", operation.id));
    let value = spec::read(&path)?;
    Ok(value.as_object().context("a file of examples is a mapping")?.keys().cloned().collect())
}

/// An example under `errors/`, and the operation that it is about, if any.
pub(super) fn load_error(path: &Path) -> Result<(Option<&'static OperationInfo>, Example)> {
    let example: Example =
        serde_json::from_value(spec::read(path)?).with_context(|| format!("in {}", path.display()))?;
    let operation = example.operation.as_deref().map(document::operation);
    Ok((operation, example))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_has_a_number_and_a_unit() {
        assert_eq!(parse_duration("11m").expect("it is one"), Duration::from_secs(660));
        for wrong in ["", "m", "11", "11 minutes", "-1s"] {
            assert!(parse_duration(wrong).is_err(), "{wrong:?}");
        }
    }
}
