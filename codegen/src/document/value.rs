//! What a property, parameter, item or alias may hold: a scalar, a reference, a list, a map or free JSON.

use super::fields::Fields;
use super::{Reader, limits};
use crate::diagnostic::Code;
use crate::ir::{Limits, Type};
use crate::source::{Entry, Located, Node, Value};

/// A value's type, whether it may be null, and its limits.
#[derive(Debug, Clone)]
pub struct ValueDocument {
    pub ty: Type,
    pub nullable: bool,
    pub limits: Limits,
}

impl ValueDocument {
    const fn plain(ty: Type, nullable: bool) -> Self {
        Self {
            ty,
            nullable,
            limits: Limits {
                min_length: None,
                max_length: None,
                pattern: None,
                minimum: None,
                maximum: None,
                min_items: None,
                max_items: None,
            },
        }
    }
}

/// Reads a reference, a nullable reference, any JSON or an inline value.
pub fn read(reader: &mut Reader<'_>, fields: &mut Fields<'_>) -> Option<ValueDocument> {
    if let Some(reference) = fields.text(reader, "$ref") {
        return reader.type_reference(&reference).map(|ty| ValueDocument::plain(ty, false));
    }
    if let Some(choice) = fields.get("anyOf") {
        return nullable_reference(reader, choice);
    }
    if fields.has("x-json") {
        // Null is JSON like any other, so there is no second bit to it.
        return fields.flag(reader, "x-json").map(|_| ValueDocument::plain(Type::Json, false));
    }
    inline(reader, fields)
}

/// `anyOf: [{$ref: ...}, {type: "null"}]`
fn nullable_reference(reader: &mut Reader<'_>, choice: &Entry) -> Option<ValueDocument> {
    let items = choice.value.as_list().unwrap_or_default();
    let is_null = |node: &Node| matches!(node.as_map(), Some([entry]) if entry.key == "type" && entry.value.as_text() == Some("null"));
    let reference = |node: &Node| match node.as_map() {
        Some([entry]) if entry.key == "$ref" => {
            entry.value.as_text().map(|text| Located::new(text.to_owned(), entry.value.at))
        }
        _ => None,
    };
    if let [first, second] = items
        && is_null(second)
        && let Some(reference) = reference(first)
    {
        return reader.type_reference(&reference).map(|ty| ValueDocument::plain(ty, true));
    }
    reader.problems.report(
        Code::NullableForm,
        choice.key_at,
        "`anyOf` has one form here: a reference, or null",
        "write `anyOf: [{$ref: ...}, {type: \"null\"}]`, with null quoted; a choice of types is a union in a file of its own",
    );
    None
}

/// Reads a value with a `type`.
pub fn inline(reader: &mut Reader<'_>, fields: &mut Fields<'_>) -> Option<ValueDocument> {
    if refuse_inline(reader, fields) {
        return None;
    }
    let entry = fields.need(reader, "type")?;
    let (name, nullable) = type_name(reader, entry)?;
    let ty = match name.value.as_str() {
        "array" => Type::List { item: Box::new(element(reader, fields, "items")?) },
        "object" => object(reader, fields)?,
        _ => scalar(reader, fields, &name)?,
    };
    let limits = limits::read(reader, fields, &ty);
    let ty = narrowed(ty, &limits);
    Some(ValueDocument { ty, nullable, limits })
}

/// Reports constructs that need a file of their own. Answers whether there was one.
fn refuse_inline(reader: &mut Reader<'_>, fields: &mut Fields<'_>) -> bool {
    let cases = [
        ("properties", Code::InlineObject, "an object is written inline"),
        ("oneOf", Code::InlineObject, "a union is written inline"),
        ("discriminator", Code::InlineObject, "a union is written inline"),
        ("enum", Code::InlineEnum, "an enum is written inline"),
    ];
    for (key, code, message) in cases {
        if fields.has(key) {
            let at = fields.get(key).map_or(fields.at, |entry| entry.key_at);
            let hint = "give it a file and a name in schemas/, and refer to that";
            reader.problems.report(code, at, message, hint);
            return true;
        }
    }
    false
}

/// `type: string` or `type: [string, "null"]`.
fn type_name(reader: &mut Reader<'_>, entry: &Entry) -> Option<(Located<String>, bool)> {
    let (name, nullable) = match &entry.value.value {
        Value::Text(_) => (entry.value.as_text(), false),
        Value::List(items) => match items.as_slice() {
            [name, null] if null.as_text() == Some("null") => (name.as_text(), true),
            _ => (None, false),
        },
        _ => (None, false),
    };
    match name {
        Some(name) if name != "null" => Some((Located::new(name.to_owned(), entry.value.at), nullable)),
        _ => {
            reader.problems.report(
                Code::NullableForm,
                entry.value.at,
                "this is neither one type nor one type or null",
                "write `type: string`, or `type: [string, \"null\"]` with null quoted and last",
            );
            None
        }
    }
}

fn scalar(reader: &mut Reader<'_>, fields: &mut Fields<'_>, name: &Located<String>) -> Option<Type> {
    let format = fields.text(reader, "format");
    let word = format.as_ref().map(|format| format.value.as_str());
    let ty = match (name.value.as_str(), word) {
        ("string", None) => Type::String,
        ("string", Some("uuid")) => Type::Uuid,
        ("string", Some("date-time")) => Type::DateTime,
        ("string", Some("uri")) => Type::Uri,
        ("string", Some("int64")) => Type::Int64Text,
        ("integer", None) => Type::Integer,
        ("integer", Some("int32")) => Type::Int32,
        ("number", None) => Type::Number,
        ("boolean", None) => Type::Boolean,
        ("integer", Some("int64")) => {
            reader.problems.report(
                Code::BareInt64,
                format.map_or(name.at, |format| format.at),
                "JavaScript rounds 64-bit integers",
                "leave the format out (an integer stays within 2^53 - 1), or write `type: string` with `format: int64`",
            );
            return None;
        }
        (kind @ ("string" | "integer" | "number" | "boolean"), Some(other)) => {
            let known = match kind {
                "string" => "`uuid`, `date-time`, `uri` and `int64`",
                "integer" => "`int32`",
                _ => "none",
            };
            let message = format!("unknown format `{other}` of {kind}");
            let at = format.as_ref().map_or(name.at, |format| format.at);
            reader.problems.report(Code::UnknownType, at, message, format!("the formats of {kind}: {known}"));
            return None;
        }
        (other, _) => {
            reader.problems.report(
                Code::UnknownType,
                name.at,
                format!("unknown type `{other}`"),
                "the types are string, integer, number, boolean, array and object",
            );
            return None;
        }
    };
    Some(ty)
}

/// A map or a free JSON object.
fn object(reader: &mut Reader<'_>, fields: &mut Fields<'_>) -> Option<Type> {
    let Some(entry) = fields.get("additionalProperties") else {
        reader.problems.report(
            Code::InlineObject,
            fields.at,
            "an object of unknown shape",
            "refer to a type, or write `additionalProperties: true` for any JSON object",
        );
        return None;
    };
    match entry.value.value {
        Value::Boolean(true) => Some(Type::JsonObject),
        Value::Boolean(false) => {
            reader.problems.report(
                Code::RefusedKeyword,
                entry.value.at,
                "an object without properties that admits none",
                "a map is `additionalProperties: <scalar or $ref>`, a free object `additionalProperties: true`",
            );
            None
        }
        _ => Some(Type::Map { value: Box::new(element(reader, fields, "additionalProperties")?) }),
    }
}

/// What a list or map holds: a reference or a plain scalar.
fn element(reader: &mut Reader<'_>, fields: &mut Fields<'_>, key: &'static str) -> Option<Type> {
    let entry = fields.need(reader, key)?;
    let what = if key == "items" { "the items of a list" } else { "the values of a map" };
    let mut inner = Fields::open(reader, &entry.value, entry.key_at, what)?;
    if let Some(reference) = inner.text(reader, "$ref") {
        inner.close(reader);
        return reader.type_reference(&reference);
    }
    if refuse_inline(reader, &mut inner) {
        return None;
    }
    let hint = "name the inner type with an alias in schemas/ and refer to that";
    let type_entry = inner.need(reader, "type")?;
    let (name, nullable) = type_name(reader, type_entry)?;
    if nullable || matches!(name.value.as_str(), "array" | "object") {
        let message = format!("{what} are neither a plain scalar nor a reference");
        reader.problems.report(Code::NestedContainer, name.at, message, hint);
        return None;
    }
    let mut ty = scalar(reader, &mut inner, &name)?;
    if ty == Type::Integer
        && matches!(inner.get("minimum"), Some(entry) if matches!(entry.value.value, Value::Integer(0)))
    {
        ty = Type::Unsigned;
    }
    for limit in limits::KEYWORDS {
        if let Some(entry) = inner.get(limit).filter(|_| ty != Type::Unsigned || *limit != "minimum") {
            let message = format!("{what} have a limit of their own");
            reader.problems.report(Code::NestedContainer, entry.key_at, message, hint);
        }
    }
    inner.close(reader);
    Some(ty)
}

/// An integer that cannot be negative is another type in every target.
fn narrowed(ty: Type, limits: &Limits) -> Type {
    match (ty, limits.minimum) {
        (Type::Integer, Some(0..)) => Type::Unsigned,
        (ty, _) => ty,
    }
}
