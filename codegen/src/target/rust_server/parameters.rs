//! How parameters reach a handler: poem's extractor for each, with its default and the limits that it shows.

use anyhow::{Context, Result, bail};
use serde::Serialize;

use super::limits::{Checks, Patterns, located, validators};
use crate::ir::{Operation, Parameter, Place, Protocol, Shape, Type};
use crate::target::rust::types::{TypeWriter, definition, resolved};
use crate::target::rust::{documentation, identifier, literal};

/// Names that a handler and a trait's method use besides the spec's parameters.
pub(super) const TAKEN: &[&str] = &["context", "body", "parameters", "problems", "here", "value", "error"];

/// A parameter of one operation.
#[derive(Serialize)]
pub(super) struct ParameterItem {
    pub(super) docs: Vec<String>,
    /// Of the argument.
    pub(super) name: String,
    /// In the struct of the operation's parameters.
    pub(super) field: String,
    /// As the trait sees it.
    pub(super) ty: String,
    /// As the handler receives it, e.g. `Query<Option<Uuid>>`.
    pub(super) extractor: String,
    /// What the handler makes of it, e.g. `limit.0`.
    pub(super) taken: String,
    /// For the handler's argument.
    pub(super) attribute: String,
    pub(super) default: Option<DefaultItem>,
    /// Statements.
    pub(super) checks: Vec<String>,
}

/// A function that gives a default.
#[derive(Serialize)]
pub(super) struct DefaultItem {
    pub(super) function: String,
    pub(super) ty: String,
    pub(super) value: String,
}

pub(super) fn parameter(
    protocol: &Protocol,
    operation: &Operation,
    parameter: &Parameter,
    patterns: &mut Patterns,
    writer: &mut TypeWriter<'_>,
) -> Result<ParameterItem> {
    let function = identifier::value(&operation.id)?;
    let name = identifier::value_beside(&parameter.name, TAKEN)?;
    let field = identifier::value(&parameter.name)?;
    let base = writer.write(&parameter.ty)?;
    let (resolved_type, limits) = resolved(protocol, &parameter.ty, &parameter.limits)?;
    let is_list = matches!(resolved_type, Type::List { .. });
    let default = default(protocol, parameter, &base)?.map(|value| {
        let function = format!("default_{}_{}", identifier::unraw(&function), identifier::unraw(&name));
        DefaultItem { function, ty: base.clone(), value }
    });
    let optional = !parameter.required && default.is_none();
    let (ty, received, taken) = match (optional, is_list) {
        (true, true) => (base.clone(), format!("Option<{base}>"), format!("{name}.0.unwrap_or_default()")),
        (true, false) => (format!("Option<{base}>"), format!("Option<{base}>"), format!("{name}.0")),
        (false, _) => (base.clone(), base.clone(), format!("{name}.0")),
    };
    let extractor = match parameter.place {
        Place::Path => "Path",
        Place::Query => "Query",
        Place::Header => "Header",
    };
    writer.imported(&format!("crate::support::{extractor}"));

    let mut oai = vec![format!("name = {}", literal::string(&parameter.name))];
    oai.extend(default.as_ref().map(|default| format!("default = \"{}\"", default.function)));
    let validators = validators(resolved_type, &limits, false);
    if !validators.is_empty() {
        oai.push(format!("validator({})", validators.join(", ")));
    }
    if parameter.deprecated {
        oai.push("deprecated".to_owned());
    }

    let is_path = parameter.place == Place::Path;
    let source = if is_path { name.clone() } else { format!("parameters.{field}") };
    let constant = identifier::constant(&format!("{}_{}", operation.id, parameter.name))?;
    let mut lines = Checks { protocol, patterns, place: constant };
    let checks = checks(&mut lines, parameter, &source, optional && !is_list, is_list)?;
    Ok(ParameterItem {
        docs: documentation::lines(&parameter.description),
        ty,
        extractor: format!("{extractor}<{received}>"),
        taken,
        attribute: format!("oai({})", oai.join(", ")),
        default,
        checks,
        name,
        field,
    })
}

/// Statements about the expression `source`.
pub(super) fn checks(
    lines: &mut Checks<'_>,
    parameter: &Parameter,
    source: &str,
    optional: bool,
    is_list: bool,
) -> Result<Vec<String>> {
    let value = if optional { "value".to_owned() } else { format!("&{source}") };
    let mut checks = lines.of(&parameter.ty, &parameter.limits, &value, "&here")?;
    if parameter.required && is_list && parameter.limits.min_items.is_none() {
        // A list is repeated keys, so an empty one is a missing one.
        checks.push(format!("problems.min_items(&here, {source}.len(), 1);"));
    }
    if checks.is_empty() {
        return Ok(checks);
    }
    let location = format!("Location::Parameter({})", literal::string(&parameter.name));
    let opening = optional.then(|| format!("if let Some(value) = &{source} {{"));
    let closing = optional.then(|| "}".to_owned());
    Ok(opening.into_iter().chain(located(checks, &location)).chain(closing).collect())
}

/// The default as an expression.
pub(super) fn default(protocol: &Protocol, parameter: &Parameter, ty: &str) -> Result<Option<String>> {
    let Some(default) = &parameter.default else {
        return Ok(None);
    };
    let place = || format!("the default of the parameter {} does not fit its type", parameter.name);
    let (resolved_type, _) = resolved(protocol, &parameter.ty, &parameter.limits)?;
    Ok(Some(match resolved_type {
        Type::String | Type::Uri => {
            let text = default.as_str().with_context(place)?;
            format!("{}.to_owned()", literal::string(text))
        }
        Type::Boolean => default.as_bool().with_context(place)?.to_string(),
        Type::Integer | Type::Unsigned | Type::Int32 => literal::integer(default.as_i64().with_context(place)?),
        Type::Number => literal::float(default.as_f64().with_context(place)?),
        Type::Named { name } => match &definition(protocol, name)?.shape {
            Shape::Enum { values } => {
                let text = default.as_str().with_context(place)?;
                values.iter().find(|value| value.value == text).with_context(place)?;
                format!("{ty}::{}", identifier::variant(text, &[])?)
            }
            _ => bail!(place()),
        },
        _ => bail!(place()),
    }))
}
