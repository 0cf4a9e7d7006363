//! Schemas as tests read them: closed, so that a field that the spec does not name is a fault, and with formats checked.

use anyhow::{Context, Result, bail};
use jsonschema::Validator;
use serde_json::{Map, Value, json};

/// The schemas of a document's `components`, with every object closed.
#[must_use]
pub fn closed(document: &Value) -> Value {
    let mut schemas = document["components"]["schemas"].clone();
    for schema in schemas.as_object_mut().into_iter().flat_map(Map::values_mut) {
        close(schema);
    }
    schemas
}

/// Compiles one schema that refers to those of `components`, which are closed already.
///
/// # Errors
/// It is not a schema, or refers to one that is not there.
pub fn compile(name: &str, schema: &Value, components: &Value) -> Result<Validator> {
    let mut root = schema.clone();
    close(&mut root);
    let root = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "allOf": [root],
        "components": {"schemas": components},
    });
    jsonschema::options()
        .should_validate_formats(true)
        .build(&root)
        .with_context(|| format!("compiling the schema of {name}"))
}

/// Checks a value.
///
/// # Errors
/// It has another shape; the message lists every fault.
pub fn check(validator: &Validator, value: &Value) -> Result<()> {
    let faults: Vec<_> =
        validator.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect();
    if faults.is_empty() { Ok(()) } else { bail!("it is not as declared:\n{}\n{value:#}", faults.join("\n")) }
}

fn close(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            let names_properties = map.get("properties").is_some_and(Value::is_object) || is_bare_object(map);
            if names_properties && !map.contains_key("additionalProperties") {
                map.insert("additionalProperties".to_owned(), Value::Bool(false));
            }
            map.values_mut().for_each(close);
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}

fn is_bare_object(map: &Map<String, Value>) -> bool {
    map.get("type").and_then(Value::as_str) == Some("object")
}
