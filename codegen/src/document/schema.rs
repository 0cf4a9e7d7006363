//! A file of `schemas/`: one object, enum, union or alias.

use indexmap::IndexMap;

use super::fields::{Fields, wrong_kind};
use super::union::UnionDocument;
use super::value::{self, ValueDocument};
use super::{Mention, Reader, enumeration, union};
use crate::diagnostic::Code;
use crate::ir;
use crate::source::{Entry, FileId, Located, Node, Span};

/// A type.
#[derive(Debug)]
pub struct SchemaDocument {
    pub name: String,
    pub at: Span,
    pub source: String,
    pub description: String,
    pub deprecated: bool,
    /// Where it says that its names are inherited.
    pub inherited_names: Option<Span>,
    /// Absent where the file is not sound; that has been reported.
    pub shape: Option<SchemaShape>,
    pub mentions: Vec<Mention>,
}

/// The four kinds of type.
#[derive(Debug)]
pub enum SchemaShape {
    Object { properties: Vec<Property> },
    Enum { values: Vec<Located<String>>, descriptions: IndexMap<String, String> },
    Union(UnionDocument),
    Alias { ty: ir::Type, limits: ir::Limits },
}

/// A property of an object.
#[derive(Debug)]
pub struct Property {
    pub name: Located<String>,
    pub description: String,
    pub deprecated: bool,
    pub required: bool,
    pub secret: bool,
    /// Absent where it is not sound; that has been reported.
    pub kind: Option<PropertyKind>,
}

impl Property {
    /// The text that it always has, if it is a constant.
    pub const fn constant(&self) -> Option<&Located<String>> {
        match &self.kind {
            Some(PropertyKind::Constant(constant)) => Some(constant),
            _ => None,
        }
    }
}

/// What a property holds.
#[derive(Debug)]
pub enum PropertyKind {
    Constant(Located<String>),
    Value(ValueDocument),
}

/// Reads a file of `schemas/`.
pub fn read(reader: &mut Reader<'_>, file: FileId, name: &str, source: &str, root: &Node) -> SchemaDocument {
    let at = Span::start_of(file);
    let mut document = SchemaDocument {
        name: name.to_owned(),
        at,
        source: source.to_owned(),
        description: String::new(),
        deprecated: false,
        inherited_names: None,
        shape: None,
        mentions: Vec::new(),
    };
    if let Some(mut fields) = Fields::open(reader, root, at, "a type") {
        document.description = fields.need_prose(reader, "description");
        document.deprecated = fields.flag(reader, "deprecated").is_some();
        document.inherited_names = fields.flag(reader, "x-inherited-names");
        document.shape = shape(reader, &mut fields);
        fields.close(reader);
    }
    document.mentions = reader.take_mentions();
    document
}

fn shape(reader: &mut Reader<'_>, fields: &mut Fields<'_>) -> Option<SchemaShape> {
    if fields.has("oneOf") || fields.has("discriminator") {
        return union::read(reader, fields).map(SchemaShape::Union);
    }
    if fields.has("enum") {
        return enumeration::read(reader, fields);
    }
    let is_object = fields.get("type").and_then(|entry| entry.value.as_text()) == Some("object");
    let pure_map = fields.has("additionalProperties") && !fields.has("properties");
    if fields.has("properties") || (is_object && !pure_map) {
        return object(reader, fields);
    }
    if let Some(reference) = fields.get("$ref") {
        reader.problems.report(
            Code::WrongValue,
            reference.key_at,
            "a type that is only another type's name",
            "an alias names a scalar, list or map; refer to the other type directly",
        );
        return None;
    }
    let value = value::inline(reader, fields)?;
    if value.nullable {
        reader.problems.report(
            Code::NullableForm,
            fields.at,
            "a type of its own cannot be null",
            "say where it is used that it may be null: `anyOf: [{$ref: ...}, {type: \"null\"}]`",
        );
    }
    Some(SchemaShape::Alias { ty: value.ty, limits: value.limits })
}

fn object(reader: &mut Reader<'_>, fields: &mut Fields<'_>) -> Option<SchemaShape> {
    expect_type(reader, fields, "object");
    let entries = entries(reader, fields)?;
    let properties = entries.into_iter().map(|(entry, required)| property(reader, entry, required)).collect();
    Some(SchemaShape::Object { properties })
}

/// The entries of `properties`, each with whether `required` names it.
pub(super) fn entries<'a>(reader: &mut Reader<'_>, fields: &mut Fields<'a>) -> Option<Vec<(&'a Entry, bool)>> {
    let required = fields.texts(reader, "required");
    let properties = fields.need(reader, "properties")?;
    let Some(entries) = properties.value.as_map() else {
        wrong_kind(reader.problems, &properties.value, properties.value.at, "`properties`", "a mapping");
        return None;
    };
    for (index, name) in required.iter().enumerate() {
        if !entries.iter().any(|entry| entry.key == name.value) {
            let near = crate::names::nearest(&name.value, entries.iter().map(|entry| entry.key.as_str()));
            reader.problems.report(
                Code::RequiredUnknown,
                name.at,
                format!("`required` names `{name}`, which is no property"),
                near.map_or_else(
                    || "add the property, or drop the name".to_owned(),
                    |n| format!("did you mean `{n}`?"),
                ),
            );
        }
        if let Some(first) = required[..index].iter().find(|other| other.value == name.value) {
            reader.problems.report_with(
                Code::RequiredUnknown,
                name.at,
                format!("`required` names `{name}` twice"),
                "keep one of them",
                vec![(first.at, "first here".to_owned())],
            );
        }
    }
    let is_required = |entry: &Entry| required.iter().any(|name| name.value == entry.key);
    Some(entries.iter().map(|entry| (entry, is_required(entry))).collect())
}

fn property(reader: &mut Reader<'_>, entry: &Entry, required: bool) -> Property {
    let mut property = Property {
        name: Located::new(entry.key.clone(), entry.key_at),
        description: String::new(),
        deprecated: false,
        required,
        secret: false,
        kind: None,
    };
    let Some(mut fields) = Fields::open(reader, &entry.value, entry.key_at, "a property") else {
        return property;
    };
    property.description = fields.prose(reader, "description");
    property.deprecated = fields.flag(reader, "deprecated").is_some();
    let secret = fields.flag(reader, "x-secret");
    property.kind = if fields.has("const") {
        constant(reader, &mut fields).map(PropertyKind::Constant)
    } else {
        value::read(reader, &mut fields).map(PropertyKind::Value)
    };
    // What made a property unreadable has been said; its other keywords would only repeat it.
    if property.kind.is_some() {
        fields.close(reader);
    }
    match &property.kind {
        Some(PropertyKind::Value(value)) => check_secret(reader, secret, Some(&value.ty)),
        Some(PropertyKind::Constant(_)) => check_secret(reader, secret, None),
        None => {}
    }
    property.secret = secret.is_some();
    property
}

/// Anything but a text has parts that would be shown on their own, or nothing to hide.
pub(super) fn check_secret(reader: &mut Reader<'_>, secret: Option<Span>, ty: Option<&ir::Type>) {
    if let Some(at) = secret
        && ty != Some(&ir::Type::String)
    {
        reader.problems.report(
            Code::SecretForm,
            at,
            "a secret is a plain string",
            "drop `x-secret`, or write `type: string` without a format",
        );
    }
}

fn constant(reader: &mut Reader<'_>, fields: &mut Fields<'_>) -> Option<Located<String>> {
    if fields.has("type") {
        expect_type(reader, fields, "string");
    }
    fields.need_text(reader, "const")
}

/// Reports a `type` that is missing or another one.
pub(super) fn expect_type(reader: &mut Reader<'_>, fields: &mut Fields<'_>, wanted: &'static str) {
    if let Some(found) = fields.need_text(reader, "type")
        && found.value != wanted
    {
        let message = format!("the type here is `{wanted}`, not `{found}`");
        reader.problems.report(Code::WrongValue, found.at, message, format!("write `type: {wanted}`"));
    }
}
