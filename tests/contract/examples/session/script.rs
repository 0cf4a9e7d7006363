//! The format of a scripted session; `spec/examples/README.md` explains it.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use flightdeck_tests::spec;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _};
use serde_json::{Map, Value};

use crate::examples::example::{ExampleRequest, Step};

/// The client of scenes that do not say whose they are.
const THE_CLIENT: &str = "client";

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Script {
    #[serde(default)]
    pub(super) given: Vec<Step>,
    pub(super) session: Vec<Scene>,
}

/// One line of a script.
#[derive(Debug, Clone)]
pub(super) struct Scene {
    /// Which client acts, or sees something.
    pub(super) client: String,
    pub(super) action: Action,
}

#[derive(Debug, Clone)]
pub(super) enum Action {
    /// The client connects; the code, if it is refused.
    Connect {
        call: Box<Call>,
        refused: Option<String>,
    },
    Send(Value),
    /// The client types this.
    Type(String),
    /// These messages come, in whatever order.
    Expect(Vec<Value>),
    /// This is in the raw data that comes before the next message.
    Shows(String),
    /// The network goes away under the client, until it `Resumed`.
    Drop,
    /// The server is stopped and started again; clients are without it until they `Resumed`.
    Restart,
    /// The client is connected again, by itself, and goes on where it was.
    Resumed,
    /// The client is connected again, by itself, but without what it had.
    Renewed,
    /// The client's caller is told that events are missing.
    Resync(Option<String>),
    /// The client says goodbye.
    Close,
    /// The server closes with this code.
    Closed(String),
    /// Somebody calls an operation.
    Request(Box<Call>),
    /// As in `given`.
    Given(Step),
}

/// What differs from the success of an operation's example, or what a socket is opened with.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Call {
    /// `<surface>/<operationId>`; for requests only.
    #[serde(skip)]
    pub(super) operation: String,
    pub(super) credential: Option<String>,
    /// Of a socket.
    #[serde(default)]
    pub(super) parameters: Map<String, Value>,
    #[serde(default)]
    pub(super) path: Map<String, Value>,
    #[serde(default)]
    pub(super) query: Map<String, Value>,
    /// Fields in place of those of the example.
    #[serde(default)]
    pub(super) body: Map<String, Value>,
    /// The whole body of the answer.
    #[serde(default)]
    pub(super) response: Option<Value>,
    /// Again and again, until the answer is this one.
    #[serde(default)]
    pub(super) repeat: bool,
}

impl Call {
    /// Changes the request of the example.
    pub(super) fn apply(&self, request: &mut ExampleRequest) -> Result<()> {
        ensure!(self.parameters.is_empty(), "`parameters` are a socket's; an operation has `path` and `query`");
        if let Some(credential) = &self.credential {
            request.credential = Some(credential.clone());
        }
        request.path.extend(self.path.clone());
        request.query.extend(self.query.clone());
        // A request of its own has no key, or it would be answered like the first one.
        request.headers.remove("Idempotency-Key");
        if !self.body.is_empty() {
            let body = request.body.as_mut().and_then(Value::as_object_mut);
            body.context("the example sends no object that fields could be put into")?.extend(self.body.clone());
        }
        Ok(())
    }
}

impl<'de> Deserialize<'de> for Scene {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        scene(&value)
            .with_context(|| format!("in the step {value}"))
            .map_err(|error| D::Error::custom(format!("{error:#}")))
    }
}

fn scene(value: &Value) -> Result<Scene> {
    let mut map = match value {
        Value::String(word) => Map::from_iter([(word.clone(), Value::Null)]),
        Value::Object(map) => map.clone(),
        _ => bail!("a step is a word or a mapping"),
    };
    let mut option = |name: &str| -> Result<Option<String>> {
        let value = map.remove(name);
        value.map(|value| value.as_str().map(str::to_owned).with_context(|| format!("`{name}` is a name"))).transpose()
    };
    let client = option("as")?.unwrap_or_else(|| THE_CLIENT.to_owned());
    let refused = option("refused")?;
    let with = map.remove("with");
    let mut entries = map.iter();
    let (Some((name, content)), None) = (entries.next(), entries.next()) else { bail!("a step is about one thing") };
    ensure!(refused.is_none() || name == "connect", "`refused` belongs to `connect`");
    ensure!(with.is_none() || name == "request", "`with` belongs to `request`");
    let text = || content.as_str().map(str::to_owned).with_context(|| format!("`{name}` needs a text"));
    let call = |value: &Value| -> Result<Call> {
        Ok(if value.is_null() { Call::default() } else { serde_json::from_value(value.clone())? })
    };
    let action = match (name.as_str(), content) {
        ("connect", _) => Action::Connect { call: Box::new(call(content)?), refused },
        ("send", Value::Object(_)) => Action::Send(content.clone()),
        ("send", Value::String(text)) => Action::Type(text.clone()),
        ("expect", Value::String(text)) => Action::Shows(text.clone()),
        ("expect", Value::Object(_)) => Action::Expect(vec![content.clone()]),
        ("expect", Value::Array(messages)) => Action::Expect(messages.clone()),
        ("drop", Value::Null) => Action::Drop,
        ("restart", Value::Null) => Action::Restart,
        ("resumed", Value::Null) => Action::Resumed,
        ("renewed", Value::Null) => Action::Renewed,
        ("resync", Value::Null) => Action::Resync(None),
        ("resync", _) => Action::Resync(Some(text()?)),
        ("close", Value::Null) => Action::Close,
        ("closed", _) => Action::Closed(text()?),
        ("request", _) => Action::Request(Box::new(Call { operation: text()?, ..call(&with.unwrap_or_default())? })),
        (_, Value::Null) => Action::Given(serde_json::from_value(name.as_str().into())?),
        _ => Action::Given(serde_json::from_value(Value::Object(map.clone()))?),
    };
    Ok(Scene { client, action })
}

/// Reads the script in a file.
pub(super) fn load(path: &Path) -> Result<Script> {
    serde_json::from_value(spec::read(path)?).with_context(|| format!("in {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Scene> {
        Ok(serde_json::from_value(spec::parse(text)?)?)
    }

    #[test]
    fn a_step_may_say_whose_it_is() {
        let scene = parse("as: phone\nsend: { type: ping }").expect("it is a step");
        assert_eq!(scene.client, "phone");
        assert!(matches!(scene.action, Action::Send(_)));
        assert_eq!(parse("drop").expect("it is a step").client, THE_CLIENT);
    }

    #[test]
    fn what_is_no_step_is_told_as_such() {
        for wrong in [
            "send: 1",
            "drop: now",
            "expect: 1",
            "jump: 1",
            "closed: {}",
            "by: phone\nsend: {}",
            "refused: x",
            "with: {}",
            "1",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
