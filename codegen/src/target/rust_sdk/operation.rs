//! One operation as a method.

use anyhow::{Context, Result, bail, ensure};
use serde::Serialize;

use super::types::{FieldItem, Given};
use crate::ir::{
    Content, Field, Operation, Pagination, Parameter, Place, Protocol, Shape, Success, Type,
};
use crate::target::rust::operation::{
    Segment, method, other_parameters, path_parameters, route, security, segments, success_variant,
    type_named_after,
};
use crate::target::rust::types::{TypeWriter, definition, resolved};
use crate::target::rust::{documentation, identifier, literal};
use crate::target::scope::Scope;

/// Names that a method uses besides the parameters of the path.
const TAKEN: &[&str] = &["body", "parameters", "client", "cursor", "page", "call"];

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

/// The query and header parameters of an operation, as one struct.
#[derive(Serialize)]
struct ParametersItem {
    name: String,
    fields: Vec<FieldItem>,
    has_default: bool,
    required: Vec<FieldItem>,
    optional: Vec<FieldItem>,
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

/// All pages as one stream.
#[derive(Serialize)]
struct StreamItem {
    function: String,
    item: String,
    /// Clones of the path parameters.
    owned: Vec<String>,
    passed: Vec<String>,
    cursor: String,
    items: String,
    next: String,
}

pub(super) fn operation(
    protocol: &Protocol,
    operation: &Operation,
    writer: &mut TypeWriter<'_>,
) -> Result<OperationItem> {
    let mut scope = Scope::new(format!("the parameters of {}", operation.id));
    let mut arguments = Vec::new();
    for parameter in path_parameters(operation) {
        let name = scope.claim(
            identifier::value_beside(&parameter.name, TAKEN)?,
            &parameter.name,
        )?;
        arguments.push(format!(
            "{name}: {}",
            borrowed(&writer.write(&parameter.ty)?)
        ));
    }
    let (parameters, mut fillings) = parameters(protocol, operation, &mut scope, writer)?;
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
        .map(|pagination| stream(protocol, operation, pagination, parameters.as_ref(), writer))
        .transpose()?;
    Ok(OperationItem {
        function: identifier::value(&operation.id)?,
        docs: docs(operation),
        deprecated: operation.deprecated,
        constant: identifier::constant(&operation.id)?,
        id: literal::string(&operation.id),
        method: variant_of_method(operation),
        path: literal::string(&operation.path),
        security: security(operation),
        idempotent: operation.idempotent,
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
    let codes: Vec<String> = operation
        .errors
        .iter()
        .map(|code| format!("`{}`", code.replace('`', "")))
        .collect();
    docs.extend([String::new(), route(operation)]);
    if !codes.is_empty() {
        docs.extend([String::new(), "# Errors".to_owned(), String::new()]);
        docs.extend(documentation::lines(&format!(
            "The server may refuse with {}.",
            codes.join(", ")
        )));
    }
    docs
}

fn variant_of_method(operation: &Operation) -> String {
    let name = method(operation.method);
    format!("{}{}", &name[..1], name[1..].to_lowercase())
}

fn borrowed(ty: &str) -> String {
    if ty == "String" {
        "&str".to_owned()
    } else {
        format!("&{ty}")
    }
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
                values.push(format!(
                    "{}({name})",
                    writer.imported("crate::runtime::segment")
                ));
            }
        }
    }
    let template = literal::string(&template);
    Ok(if values.is_empty() {
        template
    } else {
        format!("format!({template}, {})", values.join(", "))
    })
}

fn parameters(
    protocol: &Protocol,
    operation: &Operation,
    scope: &mut Scope,
    writer: &mut TypeWriter<'_>,
) -> Result<(Option<ParametersItem>, Vec<String>)> {
    let (mut fields, mut required, mut optional, mut fillings) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for parameter in other_parameters(operation) {
        let name = scope.claim(identifier::value(&parameter.name)?, &parameter.name)?;
        let (item, filling) = self::parameter(protocol, parameter, name, writer)?;
        fillings.push(filling);
        if parameter.required {
            required.push(item.clone());
        } else {
            optional.push(item.clone());
        };
        fields.push(item);
    }
    if fields.is_empty() {
        return Ok((None, fillings));
    }
    let name = type_named_after(operation, "Parameters")?;
    let has_default = required.is_empty();
    Ok((
        Some(ParametersItem {
            name,
            fields,
            has_default,
            required,
            optional,
        }),
        fillings,
    ))
}

fn parameter(
    protocol: &Protocol,
    parameter: &Parameter,
    name: String,
    writer: &mut TypeWriter<'_>,
) -> Result<(FieldItem, String)> {
    let bare = writer.write(&parameter.ty)?;
    let (resolved_type, _) = resolved(protocol, &parameter.ty, &parameter.limits)?;
    let is_list = matches!(resolved_type, Type::List { .. });
    let wire_name = literal::string(&parameter.name);
    let given = Given::of(&parameter.ty, &bare, false, &name);
    let (ty, stored) = if parameter.required || is_list {
        (bare.clone(), given.stored)
    } else {
        (format!("Option<{bare}>"), format!("Some({})", given.stored))
    };
    let held = format!("parameters.{name}");
    // What can be copied is not lent.
    let lent = if is_copy(resolved_type) {
        held.clone()
    } else {
        format!("&{held}")
    };
    let filling = match (parameter.place, parameter.required && !is_list) {
        (Place::Header, true) => format!("header({wire_name}, {lent})"),
        (Place::Header, false) if lent == held => format!("header_option({wire_name}, {held})"),
        (Place::Header, false) => format!("header_option({wire_name}, {held}.as_ref())"),
        (_, true) => format!("query({wire_name}, {lent})"),
        (_, false) => format!("query_option({wire_name}, {lent})"),
    };
    let deprecated = if parameter.deprecated {
        "Deprecated."
    } else {
        ""
    };
    let default = parameter.default.as_ref().map(|default| {
        format!(
            "The server's default: `{}`.",
            default.to_string().replace('`', "")
        )
    });
    let docs = documentation::paragraphs([
        parameter.description.as_str(),
        default.as_deref().unwrap_or_default(),
        deprecated,
    ]);
    let item = FieldItem {
        docs,
        attributes: Vec::new(),
        bare_name: identifier::unraw(&name).to_owned(),
        name,
        ty,
        argument: given.argument,
        stored,
    };
    Ok((item, filling))
}

const fn is_copy(ty: &Type) -> bool {
    matches!(
        ty,
        Type::Uuid
            | Type::DateTime
            | Type::Int64Text
            | Type::Integer
            | Type::Unsigned
            | Type::Int32
            | Type::Number
            | Type::Boolean
    )
}

fn content(content: &Content, writer: &mut TypeWriter<'_>) -> Result<String> {
    Ok(match content {
        Content::Empty => "()".to_owned(),
        Content::Text => "String".to_owned(),
        Content::Json { ty } => writer.named(ty)?,
        Content::JsonList { ty } => format!("Vec<{}>", writer.named(ty)?),
    })
}

fn successes(
    operation: &Operation,
    several: &[Success],
    writer: &mut TypeWriter<'_>,
) -> Result<SuccessesItem> {
    writer
        .imports
        .extend(["Answer", "DecodeError"].map(|name| format!("crate::runtime::{name}")));
    let mut variants = Vec::new();
    for success in several {
        variants.push(SuccessItem {
            docs: documentation::lines(&success.description),
            name: success_variant(success.status),
            status: success.status,
            ty: if success.content == Content::Empty {
                String::new()
            } else {
                content(&success.content, writer)?
            },
        });
    }
    Ok(SuccessesItem {
        name: type_named_after(operation, "Success")?,
        variants,
    })
}

fn stream(
    protocol: &Protocol,
    operation: &Operation,
    pagination: &Pagination,
    parameters: Option<&ParametersItem>,
    writer: &mut TypeWriter<'_>,
) -> Result<StreamItem> {
    let [
        Success {
            content: Content::Json { ty },
            ..
        },
    ] = operation.successes.as_slice()
    else {
        bail!(
            "{} is paginated, so it must succeed with one object",
            operation.id
        );
    };
    let Shape::Object { fields } = &definition(protocol, ty)?.shape else {
        bail!(
            "{} is paginated, but its answer {ty} is not an object",
            operation.id
        );
    };
    let field = |name: &str| {
        let field = fields.iter().find(|field| field.name == name);
        field.with_context(|| format!("{ty}, the page of {}, has no property {name}", operation.id))
    };
    let cursor = identifier::value(&pagination.cursor)?;
    let parameters = parameters
        .with_context(|| format!("{} is paginated, but takes no cursor", operation.id))?;
    let takes_cursor = parameters
        .optional
        .iter()
        .any(|field| field.name == cursor && field.ty == "Option<String>");
    ensure!(
        takes_cursor,
        "the cursor of {} must be an optional text",
        operation.id
    );

    let (mut owned, mut passed) = (Vec::new(), Vec::new());
    for parameter in path_parameters(operation) {
        let name = identifier::value_beside(&parameter.name, TAKEN)?;
        owned.push(format!("let {name} = {name}.to_owned();"));
        passed.push(format!("&{name}"));
    }
    passed.push("&parameters".to_owned());
    writer.imported("crate::runtime::paginate");
    writer.imported("crate::Result");
    writer.imported("futures_util::Stream");
    Ok(StreamItem {
        function: format!(
            "{}_stream",
            identifier::unraw(&identifier::value(&operation.id)?)
        ),
        item: writer.write(&Type::Named {
            name: pagination.item.clone(),
        })?,
        owned,
        passed,
        cursor,
        items: plain(field(&pagination.items)?, "unwrap_or_default")?,
        next: optional(field(&pagination.next)?)?,
    })
}

/// The expression of a field that holds a list.
fn plain(field: &Field, otherwise: &str) -> Result<String> {
    let access = format!("page.{}", identifier::value(&field.name)?);
    Ok(match (field.required, field.nullable) {
        (true, false) => access,
        (false, true) => format!("{access}.into_value().{otherwise}()"),
        _ => format!("{access}.{otherwise}()"),
    })
}

/// The expression of a field as an `Option`.
fn optional(field: &Field) -> Result<String> {
    let access = format!("page.{}", identifier::value(&field.name)?);
    Ok(match (field.required, field.nullable) {
        (true, false) => format!("Some({access})"),
        (false, true) => format!("{access}.into_value()"),
        _ => access,
    })
}
