//! One operation: the trait's method, the handler that forwards to it, and what goes with both.

use anyhow::{Result, bail};
use serde::Serialize;

use super::errors;
use super::limits::{Checks, Patterns, located};
use super::parameters::{self, DefaultItem, ParameterItem};
use super::successes::{self, Single, SuccessesItem};
use crate::ir::{Operation, Protocol, Shape, Type};
use crate::target::rust::operation::{
    Segment, method, other_parameters, path_parameters, route, segments, type_named_after,
};
use crate::target::rust::types::{TypeWriter, definition, resolved};
use crate::target::rust::{documentation, identifier, literal};
use crate::target::scope::Scope;

#[derive(Serialize)]
pub(super) struct OperationItem {
    pub(super) function: String,
    id: String,
    /// For the trait's method.
    docs: Vec<String>,
    /// For the handler, which poem's document shows.
    summary: Vec<String>,
    /// The content of the handler's `oai` attribute.
    attribute: String,
    deprecated: bool,
    /// Of the trait's method, after the context.
    arguments: Vec<String>,
    /// What the handler passes for them.
    passed: Vec<String>,
    path_parameters: Vec<ParameterItem>,
    parameters: Option<ParametersItem>,
    body: Option<String>,
    body_checks: Vec<String>,
    checked: bool,
    defaults: Vec<DefaultItem>,
    /// What the trait's method gives.
    output: String,
    /// What the handler answers with.
    answer: String,
    /// The pattern of the output, and the expression that makes the answer of it.
    given: String,
    wrapped: String,
    successes: Option<SuccessesItem>,
    errors: String,
    codes: Vec<String>,
}

/// The query and header parameters of an operation, as one struct.
#[derive(Serialize)]
struct ParametersItem {
    name: String,
    fields: Vec<ParameterItem>,
}

pub(super) fn operation(
    protocol: &Protocol,
    operation: &Operation,
    patterns: &mut Patterns,
    writer: &mut TypeWriter<'_>,
) -> Result<OperationItem> {
    let function = identifier::value_beside(&operation.id, &["new"])?;
    let mut scope = Scope::new(format!("the parameters of {}", operation.id));
    let mut collect = |parameter: &crate::ir::Parameter, writer: &mut TypeWriter<'_>| {
        let item = parameters::parameter(protocol, operation, parameter, patterns, writer)?;
        scope.claim(item.name.clone(), &parameter.name)?;
        anyhow::Ok(item)
    };
    let mut path = Vec::new();
    for parameter in path_parameters(operation) {
        path.push(collect(parameter, writer)?);
    }
    let mut others = Vec::new();
    for parameter in other_parameters(operation) {
        others.push(collect(parameter, writer)?);
    }
    let body = operation.body.as_deref().map(|body| writer.named(body)).transpose()?;
    let body_checks = body_checks(protocol, operation)?;
    let checked = !body_checks.is_empty() || path.iter().chain(&others).any(|item| !item.checks.is_empty());
    if checked {
        writer.imports.extend(["Location", "Problems"].map(|name| format!("crate::support::{name}")));
    }
    let mut defaults = Vec::new();
    for item in path.iter_mut().chain(&mut others) {
        defaults.extend(item.default.take());
    }

    let mut arguments: Vec<String> = path.iter().map(|item| format!("{}: {}", item.name, item.ty)).collect();
    let mut passed: Vec<String> = path.iter().map(|item| item.name.clone()).collect();
    let parameters = if others.is_empty() {
        None
    } else {
        let name = type_named_after(operation, "Parameters")?;
        arguments.push(format!("parameters: {name}"));
        passed.push("parameters".to_owned());
        Some(ParametersItem { name, fields: others })
    };
    if let Some(body) = &body {
        arguments.push(format!("body: {body}"));
        passed.push("body.0".to_owned());
        writer.imported("crate::support::Json");
    }

    let errors = type_named_after(operation, "Errors")?;
    let (output, answer, given, wrapped, successes) = match operation.successes.as_slice() {
        [] => bail!("{} has no success", operation.id),
        [only] => {
            let single = Single::of(only, writer)?;
            if operation.long_poll {
                writer.imported("crate::support::Later");
                let later = format!("Later<{}>", single.output);
                (later.clone(), later, "later".to_owned(), "later".to_owned(), None)
            } else {
                (single.output, single.answer, single.given, single.wrapped, None)
            }
        }
        several => {
            let successes = successes::several(operation, several, writer)?;
            let name = successes.name.clone();
            (name.clone(), name, "value".to_owned(), "value".to_owned(), Some(successes))
        }
    };
    let sentence = format!("{}.", operation.summary.trim_end_matches('.'));
    let refusals = format!("An error that is not among [`{errors}`] becomes `internal`.");
    let mut docs = documentation::paragraphs([sentence.as_str(), &operation.description]);
    docs.extend([String::new(), route(operation), String::new(), "# Errors".to_owned(), String::new(), refusals]);
    Ok(OperationItem {
        function,
        id: literal::string(&operation.id),
        docs,
        summary: documentation::lines(&operation.summary),
        attribute: attribute(operation)?,
        deprecated: operation.deprecated,
        arguments,
        passed,
        path_parameters: path,
        parameters,
        body,
        body_checks,
        checked,
        defaults,
        output,
        answer,
        given,
        wrapped,
        successes,
        errors,
        codes: operation.errors.iter().map(|code| errors::variant(code)).collect::<Result<_>>()?,
    })
}

/// Objects and unions are checked when they are decoded. A body that is a list of them has limits of its own.
fn body_checks(protocol: &Protocol, operation: &Operation) -> Result<Vec<String>> {
    let Some(body) = &operation.body else {
        return Ok(Vec::new());
    };
    let Shape::Alias { ty, limits } = &definition(protocol, body)?.shape else {
        return Ok(Vec::new());
    };
    let (ty, limits) = resolved(protocol, ty, limits)?;
    let of_objects = match ty {
        Type::List { item } => match resolved(protocol, item, &limits)?.0 {
            Type::Named { name } => !matches!(definition(protocol, name)?.shape, Shape::Enum { .. }),
            _ => false,
        },
        _ => false,
    };
    if !of_objects {
        bail!("the body of {} is {body}, which is neither an object, a union nor a list of those", operation.id);
    }
    let bounds = crate::ir::Limits { min_items: limits.min_items, max_items: limits.max_items, ..Default::default() };
    let list = Type::List { item: Box::new(Type::Boolean) };
    let mut checks = Checks { protocol, patterns: &mut Patterns::default(), place: String::new() };
    Ok(located(checks.of(&list, &bounds, "&body.0", "&here")?, "Location::Body"))
}

fn attribute(operation: &Operation) -> Result<String> {
    let mut path = String::new();
    for segment in segments(operation)? {
        match segment {
            Segment::Literal(text) => path.push_str(&format!("/{text}")),
            Segment::Parameter(name) => path.push_str(&format!("/:{name}")),
        }
    }
    let mut attribute = format!(
        "path = {}, method = \"{}\", operation_id = {}",
        literal::string(&path),
        method(operation.method).to_lowercase(),
        literal::string(&operation.id)
    );
    if operation.idempotent {
        attribute.push_str(", request_header(name = \"Idempotency-Key\", ty = \"Option<String>\")");
    }
    if operation.deprecated {
        attribute.push_str(", deprecated");
    }
    Ok(attribute)
}
