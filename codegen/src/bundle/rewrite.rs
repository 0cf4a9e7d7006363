//! Nodes of the spec as JSON, with references to files turned into references inside the one document.

use super::json::Json;
use crate::source::{Node, Role, Value};

/// The same, as JSON. `$ref`s and discriminator mappings that name a type's file name its component instead.
pub fn to_json(node: &Node) -> Json {
    convert(node, "", "")
}

/// `key` is what the node stands under, `outer` what that mapping stands under.
fn convert(node: &Node, key: &str, outer: &str) -> Json {
    match &node.value {
        Value::Null => Json::Scalar(serde_json::Value::Null),
        Value::Boolean(value) => Json::boolean(*value),
        Value::Integer(value) => Json::integer(*value),
        Value::Number(value) => Json::Scalar((*value).into()),
        Value::Text(text) if key == "$ref" || outer == "mapping" => Json::text(&component(text)),
        // A block of text ends with a line feed that nobody meant.
        Value::Text(text) if key == "description" => Json::text(text.trim_end()),
        Value::Text(text) => Json::text(text),
        Value::List(items) => Json::List(items.iter().map(|item| convert(item, "", "")).collect()),
        Value::Map(entries) => {
            let mut out = Json::map();
            for entry in entries {
                out.put(&entry.key, convert(&entry.value, &entry.key, key));
            }
            out
        }
    }
}

/// `../../schemas/Run.yaml` becomes `#/components/schemas/Run`; anything else stays as it is.
fn component(reference: &str) -> String {
    let file = reference.rsplit('/').next().unwrap_or(reference);
    let path = format!("schemas/{file}");
    match Role::of(&path) {
        Role::Schema(name) => format!("#/components/schemas/{name}"),
        _ => reference.to_owned(),
    }
}
