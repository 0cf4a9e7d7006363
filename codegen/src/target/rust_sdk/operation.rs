//! One operation as a method.

use anyhow::{Result, bail};
use serde::Serialize;

use super::parameters::{self, ParametersItem};
use super::stream::{self, StreamItem};
use crate::ir::{Content, Operation, Protocol, Success};
use crate::target::rust::operation::{
    Segment, method, path_parameters, route, security, segments, success_variant, type_named_after,
};
use crate::target::rust::types::TypeWriter;
use crate::target::rust::{documentation, identifier, literal};
use crate::target::scope::Scope;

/// Names that a method uses besides the parameters of the path.
pub(super) const TAKEN: &[&str] = &["body", "parameters", "client", "cursor", "page", "call"];

#[derive(Serialize)]
pub(super) struct OperationItem {
    pub(super) function: String,
    docs: Vec<String>,
    deprecated: bool,
    /// For the `Operation`.
    constant: String,
    id: String,
    method: String,
    path: String,
    security: Vec<Vec<String>>,
    idempotent: bool,
    repeatable: bool,
    /// Of the method.
    arguments: Vec<String>,
    /// An expression.
    url: String,
    /// The calls that fill the request in, e.g. `query("limit", &parameters.limit)`.
    fillings: Vec<String>,
    output: String,
    parameters: Option<ParametersItem>,
    successes: Option<SuccessesItem>,
    stream: Option<StreamItem>,
}

#[derive(Serialize)]
struct SuccessesItem {
    name: String,
    variants: Vec<SuccessItem>,
}

#[derive(Serialize)]
struct SuccessItem {
    docs: Vec<String>,
    name: String,
    status: u16,
    /// Empty if the answer has no content.
    ty: String,
}

pub(super) fn operation(
    protocol: &Protocol,
    operation: &Operation,
    writer: &mut TypeWriter<'_>,
) -> Result<OperationItem> {
    let mut scope = Scope::new(format!("the parameters of {}", operation.id));
    let mut arguments = Vec::new();
    for parameter in path_parameters(operation) {
        let name = scope.claim(identifier::value_beside(&parameter.name, TAKEN)?, &parameter.name)?;
        arguments.push(format!("{name}: {}", borrowed(&writer.write(&parameter.ty)?)));
    }
    let (parameters, mut fillings) = parameters::of(protocol, operation, &mut scope, writer)?;
    if let Some(parameters) = &parameters {
        arguments.push(format!("parameters: &{}", parameters.name));
    }
    if let Some(body) = &operation.body {
        arguments.push(format!("body: &{}", writer.named(body)?));
        fillings.push("json(body)".to_owned());
    }
    let (output, successes) = match operation.successes.as_slice() {
        [] => bail!("{} has no success", operation.id),
        [only] => (content(&only.content, writer)?, None),
        several => {
            let successes = successes(operation, several, writer)?;
            (successes.name.clone(), Some(successes))
        }
    };
    let stream = operation
        .pagination
        .as_ref()
        .map(|pagination| stream::of(protocol, operation, pagination, parameters.as_ref(), writer))
        .transpose()?;
    Ok(OperationItem {
        function: identifier::value(&operation.id)?,
        docs: docs(operation),
        deprecated: operation.deprecated,
        constant: identifier::constant(&operation.id)?,
        id: literal::string(&operation.id),
        method: variant_of_method(operation),
        path: literal::string(&operation.path),
        security: security(&operation.security),
        idempotent: operation.idempotent,
        repeatable: operation.repeatable,
        arguments,
        url: url(operation, writer)?,
        fillings,
        output,
        parameters,
        successes,
        stream,
    })
}

fn docs(operation: &Operation) -> Vec<String> {
    let sentence = format!("{}.", operation.summary.trim_end_matches('.'));
    let mut docs = documentation::paragraphs([sentence.as_str(), &operation.description]);
    let codes: Vec<String> = operation.errors.iter().map(|code| format!("`{}`", code.replace('`', ""))).collect();
    docs.extend([String::new(), route(operation)]);
    if !codes.is_empty() {
        docs.extend([String::new(), "# Errors".to_owned(), String::new()]);
        docs.extend(documentation::lines(&format!("The server may refuse with {}.", codes.join(", "))));
    }
    docs
}

fn variant_of_method(operation: &Operation) -> String {
    let name = method(operation.method);
    format!("{}{}", &name[..1], name[1..].to_lowercase())
}

fn borrowed(ty: &str) -> String {
    if ty == "String" { "&str".to_owned() } else { format!("&{ty}") }
}

fn url(operation: &Operation, writer: &mut TypeWriter<'_>) -> Result<String> {
    let mut template = String::new();
    let mut values = Vec::new();
    for part in segments(operation)? {
        match part {
            Segment::Literal(text) => template.push_str(&format!("/{text}")),
            Segment::Parameter(name) => {
                template.push_str("/{}");
                let name = identifier::value_beside(name, TAKEN)?;
                values.push(format!("{}({name})", writer.imported("crate::runtime::segment")));
            }
        }
    }
    let template = literal::string(&template);
    Ok(if values.is_empty() { template } else { format!("format!({template}, {})", values.join(", ")) })
}

fn content(content: &Content, writer: &mut TypeWriter<'_>) -> Result<String> {
    Ok(match content {
        Content::Empty => "()".to_owned(),
        Content::Text => "String".to_owned(),
        Content::Json { ty } => writer.named(ty)?,
        Content::JsonList { ty } => format!("Vec<{}>", writer.named(ty)?),
    })
}

fn successes(operation: &Operation, several: &[Success], writer: &mut TypeWriter<'_>) -> Result<SuccessesItem> {
    writer.imports.extend(["Answer", "DecodeError"].map(|name| format!("crate::runtime::{name}")));
    let mut variants = Vec::new();
    for success in several {
        variants.push(SuccessItem {
            docs: documentation::lines(&success.description),
            name: success_variant(success.status),
            status: success.status,
            ty: if success.content == Content::Empty { String::new() } else { content(&success.content, writer)? },
        });
    }
    Ok(SuccessesItem { name: type_named_after(operation, "Success")?, variants })
}
