//! A parameter of an operation or of a socket, with its default.

use super::fields::Fields;
use super::value::{self, ValueDocument};
use super::{Reader, schema};
use crate::diagnostic::Code;
use crate::ir::Place;
use crate::source::{Entry, Located, Node, Span, Value};

/// A parameter.
#[derive(Debug)]
pub struct ParameterDocument {
    pub name: Located<String>,
    pub place: Place,
    pub description: String,
    pub required: bool,
    pub deprecated: bool,
    /// Where it says that its name is inherited.
    pub inherited_name: Option<Span>,
    /// Where the schema is.
    pub schema_at: Span,
    /// Absent where it is not sound; that has been reported.
    pub value: Option<ValueDocument>,
    pub default: Option<Located<serde_json::Value>>,
    /// A credential. Only sockets have such: a browser cannot give them headers.
    pub secret: bool,
}

/// Reads a parameter.
pub fn read(reader: &mut Reader<'_>, node: &Node) -> Option<ParameterDocument> {
    let mut fields = Fields::open(reader, node, node.at, "a parameter")?;
    let name = fields.need_text(reader, "name");
    let place = fields.need_text(reader, "in");
    if let Some(name) = &name {
        fields.at = name.at;
    }
    let description = fields.need_prose(reader, "description");
    let required = fields.boolean(reader, "required").unwrap_or_default();
    let deprecated = fields.flag(reader, "deprecated").is_some();
    let inherited_name = fields.flag(reader, "x-inherited-names");
    let schema = fields.need(reader, "schema");
    let mut default = None;
    let value = schema.and_then(|entry| {
        let mut inner = Fields::open(reader, &entry.value, entry.key_at, "a parameter's schema")?;
        default = inner.get("default").and_then(|entry| scalar(reader, &entry.value));
        let value = value::read(reader, &mut inner)?;
        inner.close(reader);
        Some(value)
    });
    fields.close(reader);
    let place = place.and_then(|place| read_place(reader, &place))?;
    let name = name?;
    Some(ParameterDocument {
        schema_at: schema.map_or(name.at, |entry| entry.key_at),
        name,
        place,
        description,
        required,
        deprecated,
        inherited_name,
        value,
        default,
        secret: false,
    })
}

/// Reads a property of a socket's query.
pub fn read_query(reader: &mut Reader<'_>, entry: &Entry, required: bool) -> Option<ParameterDocument> {
    let mut fields = Fields::open(reader, &entry.value, entry.key_at, "a parameter")?;
    let description = fields.need_prose(reader, "description");
    let deprecated = fields.flag(reader, "deprecated").is_some();
    let inherited_name = fields.flag(reader, "x-inherited-names");
    let secret = fields.flag(reader, "x-secret");
    let default = fields.get("default").and_then(|entry| scalar(reader, &entry.value));
    let value = value::read(reader, &mut fields);
    if let Some(value) = &value {
        fields.close(reader);
        schema::check_secret(reader, secret, Some(&value.ty));
    }
    Some(ParameterDocument {
        name: Located::new(entry.key.clone(), entry.key_at),
        place: Place::Query,
        description,
        required,
        deprecated,
        inherited_name,
        schema_at: entry.key_at,
        value,
        default,
        secret: secret.is_some(),
    })
}

fn read_place(reader: &mut Reader<'_>, place: &Located<String>) -> Option<Place> {
    match place.value.as_str() {
        "path" => Some(Place::Path),
        "query" => Some(Place::Query),
        "header" => Some(Place::Header),
        other => {
            let message = format!("a parameter in `{other}`");
            reader.problems.report(Code::WrongValue, place.at, message, "a parameter is in path, query or header");
            None
        }
    }
}

fn scalar(reader: &mut Reader<'_>, node: &Node) -> Option<Located<serde_json::Value>> {
    let value = match &node.value {
        Value::Boolean(value) => serde_json::Value::from(*value),
        Value::Integer(value) => serde_json::Value::from(*value),
        Value::Number(value) => serde_json::Value::from(*value),
        Value::Text(value) => serde_json::Value::from(value.as_str()),
        Value::Null | Value::List(_) | Value::Map(_) => {
            let message = format!("a default that is {}", node.kind());
            reader.problems.report(
                Code::DefaultValue,
                node.at,
                message,
                "a default is a scalar of the parameter's type",
            );
            return None;
        }
    };
    Some(Located::new(value, node.at))
}
