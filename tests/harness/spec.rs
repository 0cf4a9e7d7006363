//! The spec as it is written, for what the bundled document does not tell: which errors an operation declares itself,
//! and the examples.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use saphyr::{LoadableYamlNode, Scalar, Yaml};
use serde_json::{Map, Value};

/// The protocol's folder.
#[must_use]
pub fn folder() -> PathBuf {
    root().join("spec")
}

/// The work tree.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests are inside the work tree").to_owned()
}

/// An operation's own `x-errors`.
///
/// # Errors
/// The spec can't be read, or has no such operation.
pub fn declared_errors(surface: &str, id: &str) -> Result<Vec<String>> {
    let paths = read(&folder().join("openapi/paths").join(format!("{surface}.yaml")))?;
    let items = paths.as_object().context("a surface is a mapping")?.values();
    let mut operations = items.filter_map(Value::as_object).flat_map(|item| item.values());
    let operation = operations.find(|operation| operation["operationId"] == id).context("the operation is gone")?;
    let errors = operation["x-errors"].as_array().into_iter().flatten();
    Ok(errors.filter_map(Value::as_str).map(str::to_owned).collect())
}

/// The codes that follow from an operation's shape, or belong to no operation.
///
/// # Errors
/// The spec can't be read.
pub fn implied_errors() -> Result<Vec<String>> {
    let catalogue = read(&folder().join("errors.yaml"))?;
    let entries = catalogue.as_object().context("the catalogue is a mapping")?.iter();
    Ok(entries.filter(|(_, entry)| entry.get("implied_by").is_some()).map(|(code, _)| code.clone()).collect())
}

/// Reads a file that holds one document.
///
/// # Errors
/// The file can't be read, or is not YAML that JSON can express.
pub fn read(path: &Path) -> Result<Value> {
    let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    parse(&text).with_context(|| format!("in {}", path.display()))
}

/// Reads one document.
///
/// # Errors
/// It is not YAML that JSON can express.
pub fn parse(text: &str) -> Result<Value> {
    let documents = Yaml::load_from_str(text)?;
    let [document] = &documents[..] else { bail!("there are {} documents instead of one", documents.len()) };
    convert(document)
}

fn convert(yaml: &Yaml<'_>) -> Result<Value> {
    Ok(match yaml {
        Yaml::Value(scalar) => match scalar {
            Scalar::Null => Value::Null,
            Scalar::Boolean(value) => Value::from(*value),
            Scalar::Integer(value) => Value::from(*value),
            Scalar::FloatingPoint(value) => Value::from(value.into_inner()),
            Scalar::String(value) => Value::from(value.as_ref()),
        },
        Yaml::Sequence(items) => items.iter().map(convert).collect::<Result<Vec<_>>>()?.into(),
        Yaml::Mapping(entries) => {
            let entries = entries.iter().map(|(key, value)| Ok((text(key)?, convert(value)?)));
            Value::Object(entries.collect::<Result<Map<_, _>>>()?)
        }
        other => bail!("{other:?} has no counterpart in JSON"),
    })
}

/// A key. Statuses are written as numbers.
fn text(key: &Yaml<'_>) -> Result<String> {
    match convert(key)? {
        Value::String(text) => Ok(text),
        Value::Number(number) => Ok(number.to_string()),
        other => bail!("{other} is not a key"),
    }
}
