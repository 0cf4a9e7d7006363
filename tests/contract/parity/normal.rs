//! The form in which the authored document can be compared with what poem and schemars derive.
//!
//! What is left out, because one side does not know it:
//! - prose (`description`, `summary`, `title`, `tags`, examples, all that begins with `x-`), and what concerns credentials (`security`);
//! - the width of integers (`format: uint64`): the spec has limits instead. An unsigned one has `minimum: 0`;
//! - the limits of `Idempotency-Key`, which belongs to the server and not to the stubs;
//! - against poem, which speaks OpenAPI 3.0, whether a property may be null, and that a text is a URI: schemars knows it,
//!   and is asked, too.
//!
//! What is written differently, and means the same:
//! - a reference is the name that it leads to;
//! - a union is its discriminator and the variants by their tags; the discriminator belongs to the union, so it is no
//!   property of the variants;
//! - parameters go by place and name, headers in lower case, content types without their parameters;
//! - limits are integers (`200.0` is `200`), and anything goes is `true`.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

const PROSE: [&str; 10] = [
    "$schema",
    "deprecated",
    "description",
    "example",
    "explode",
    "security",
    "summary",
    "tags",
    "title",
    "externalDocs",
];

/// Whether it matters that a property may be null.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Null {
    Kept,
    LeftOut,
}

/// The operations by their path and method.
pub(super) fn paths(document: &Value) -> Value {
    let mut operations = Map::new();
    for (path, item) in document["paths"].as_object().into_iter().flatten() {
        for (method, described) in item.as_object().into_iter().flatten() {
            operations.insert(format!("{} {path}", method.to_uppercase()), operation(described));
        }
    }
    Value::Object(operations)
}

/// The schemas by their name.
pub(super) fn schemas(schemas: &Value, null: Null) -> Value {
    let unions = wrappers(schemas);
    let entries = schemas.as_object().into_iter().flatten();
    let entries = entries.filter(|(name, _)| !unions.contains_key(*name));
    Value::Object(entries.map(|(name, value)| (name.clone(), schema(value, null, &unions))).collect())
}

/// poem wraps each variant of a union in a schema of its own; this leads from those to the variants.
fn wrappers(schemas: &Value) -> BTreeMap<String, String> {
    let wrapped = |value: &Value| value["allOf"].as_array()?.iter().find_map(reference);
    let entries = schemas.as_object().into_iter().flatten();
    entries.filter_map(|(name, value)| Some((name.clone(), wrapped(value)?))).collect()
}

fn operation(described: &Value) -> Value {
    let nothing = BTreeMap::new();
    let schema = |value: &Value| schema(value, Null::LeftOut, &nothing);
    let mut parameters = Map::new();
    for parameter in described["parameters"].as_array().into_iter().flatten() {
        let place = parameter["in"].as_str().unwrap_or_default();
        let name = parameter["name"].as_str().unwrap_or_default();
        let name = if place == "header" { name.to_lowercase() } else { name.to_owned() };
        let shape = if name == "idempotency-key" { Value::Null } else { schema(&parameter["schema"]) };
        let required = parameter["required"].as_bool().unwrap_or_default();
        parameters.insert(format!("{place} {name}"), json!({"required": required, "schema": shape}));
    }
    let content = |holder: &Value| -> Value {
        let entries = holder["content"].as_object().into_iter().flatten();
        let plain = |name: &str| name.split(';').next().unwrap_or_default().to_owned();
        Value::Object(entries.map(|(name, media)| (plain(name), schema(&media["schema"]))).collect())
    };
    let mut responses = Map::new();
    for (status, response) in described["responses"].as_object().into_iter().flatten() {
        let headers = response["headers"].as_object().into_iter().flatten();
        let headers = headers.map(|(name, header)| (name.to_lowercase(), schema(&header["schema"])));
        let headers = Value::Object(headers.collect());
        responses.insert(status.clone(), json!({"content": content(response), "headers": headers}));
    }
    json!({
        "operationId": described["operationId"],
        "parameters": parameters,
        "body": {"content": content(&described["requestBody"]), "required": described["requestBody"]["required"]},
        "responses": responses,
    })
}

fn schema(value: &Value, null: Null, unions: &BTreeMap<String, String>) -> Value {
    let Value::Object(map) = value else { return number(value) };
    if let Some(union) = union(map, unions) {
        return union;
    }
    let mut normal = Map::new();
    for (key, value) in map.iter().filter(|(key, _)| !PROSE.contains(&key.as_str()) && !key.starts_with("x-")) {
        let value = match key.as_str() {
            "$ref" => reference(&Value::Object(map.clone())).map_or_else(|| value.clone(), Value::from),
            "properties" => match properties(value, null, unions) {
                // An object of which nothing but its discriminator is known.
                Value::Object(map) if map.is_empty() => continue,
                properties => properties,
            },
            "anyOf" => value.as_array().into_iter().flatten().map(|part| schema(part, null, unions)).collect(),
            "items" => schema(value, null, unions),
            "additionalProperties" if *value == json!({}) => json!(true),
            "additionalProperties" => schema(value, null, unions),
            "format" if matches!(value.as_str(), Some("uint64" | "int64" | "double")) => continue,
            "format" if null == Null::LeftOut && value == "uri" => continue,
            _ => number(value),
        };
        normal.insert(key.clone(), value);
    }
    if map.get("format").is_some_and(|format| format == "uint64") && !normal.contains_key("minimum") {
        normal.insert("minimum".to_owned(), json!(0));
    }
    required(&mut normal, map, null);
    if null == Null::LeftOut {
        return without_null(normal);
    }
    Value::Object(normal)
}

fn properties(value: &Value, null: Null, unions: &BTreeMap<String, String>) -> Value {
    let entries = value.as_object().into_iter().flatten().filter(|(_, property)| property.get("const").is_none());
    Value::Object(entries.map(|(name, property)| (name.clone(), schema(property, null, unions))).collect())
}

/// In order, without discriminators, and without what may be null if that is left out: poem takes it for optional.
fn required(normal: &mut Map<String, Value>, original: &Map<String, Value>, null: Null) {
    let names = original.get("required").and_then(Value::as_array).into_iter().flatten();
    let mut names: Vec<_> = names
        .filter(|name| {
            let property = &original["properties"][name.as_str().unwrap_or_default()];
            property.get("const").is_none() && (null == Null::Kept || !is_nullable(property))
        })
        .cloned()
        .collect();
    names.sort_by_key(Value::to_string);
    normal.remove("required");
    if !names.is_empty() {
        normal.insert("required".to_owned(), names.into());
    }
}

fn is_nullable(property: &Value) -> bool {
    let by_type = property["type"].as_array().is_some_and(|types| types.contains(&json!("null")));
    by_type || property["anyOf"].as_array().is_some_and(|parts| parts.contains(&json!({"type": "null"})))
}

fn without_null(mut normal: Map<String, Value>) -> Value {
    if let Some(Value::Array(types)) = normal.get("type") {
        let rest: Vec<_> = types.iter().filter(|name| **name != "null").cloned().collect();
        if let [only] = &rest[..] {
            normal.insert("type".to_owned(), only.clone());
        }
    }
    // The other part is what may be null, or, with poem, what is said about it in words.
    for several in ["anyOf", "allOf"] {
        let parts = normal.get(several).and_then(Value::as_array);
        if let Some(only) = parts.and_then(|parts| parts.iter().find_map(reference)) {
            normal.remove(several);
            normal.insert("$ref".to_owned(), only.into());
        }
    }
    Value::Object(normal)
}

/// A union, by its tags. The spec and poem have a discriminator; schemars has a constant in each variant.
fn union(map: &Map<String, Value>, unions: &BTreeMap<String, String>) -> Option<Value> {
    let variants = map.get("oneOf")?.as_array()?;
    if let Some(discriminator) = map.get("discriminator") {
        let mapping = discriminator["mapping"].as_object()?.iter();
        let tags: Map<_, _> = mapping
            .map(|(tag, target)| {
                let name = last(target.as_str().unwrap_or_default());
                (tag.clone(), unions.get(name).map_or(name, String::as_str).into())
            })
            .collect();
        return Some(json!({"discriminator": discriminator["propertyName"], "variants": tags}));
    }
    let mut tags = Map::new();
    let mut discriminator = Value::Null;
    for variant in variants {
        let (property, tag) = variant["properties"].as_object()?.iter().next()?;
        discriminator = property.clone().into();
        tags.insert(tag["const"].as_str()?.to_owned(), reference(variant)?.into());
    }
    Some(json!({"discriminator": discriminator, "variants": tags}))
}

fn reference(value: &Value) -> Option<String> {
    Some(last(value.get("$ref")?.as_str()?).to_owned())
}

fn last(reference: &str) -> &str {
    reference.rsplit('/').next().unwrap_or_default()
}

/// `200.0` is `200`.
fn number(value: &Value) -> Value {
    match value.as_f64() {
        Some(float) if !value.is_i64() && !value.is_u64() && float.fract() == 0.0 && float.abs() < 1e15 => {
            json!(float as i64)
        }
        _ => value.clone(),
    }
}
