//! What both Rust targets say about an operation in the same way.

use anyhow::{Result, bail, ensure};

use super::{identifier, literal};
use crate::ir::{Method, Operation, Parameter, Place};

/// A path of the spec, taken apart at its parameters.
pub(crate) enum Segment<'a> {
    Literal(&'a str),
    Parameter(&'a str),
}

pub(crate) fn segments(operation: &Operation) -> Result<Vec<Segment<'_>>> {
    let Some(path) = operation.path.strip_prefix('/') else {
        bail!("the path {:?} of {} does not begin with a slash", operation.path, operation.id);
    };
    path.split('/')
        .map(|segment| {
            let name = segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
            match name {
                Some(name) => Ok(Segment::Parameter(name)),
                None => {
                    ensure!(
                        !segment.contains(['{', '}']) && !segment.starts_with([':', '*']),
                        "the path {:?} of {} has a segment that is only partly a parameter, which Rust targets cannot route",
                        operation.path,
                        operation.id
                    );
                    Ok(Segment::Literal(segment))
                }
            }
        })
        .collect()
}

/// The parameters of the path, in the order of the path.
pub(crate) fn path_parameters(operation: &Operation) -> impl Iterator<Item = &Parameter> {
    operation.parameters.iter().filter(|parameter| parameter.place == Place::Path)
}

/// The parameters of the query and the headers.
pub(crate) fn other_parameters(operation: &Operation) -> impl Iterator<Item = &Parameter> {
    operation.parameters.iter().filter(|parameter| parameter.place != Place::Path)
}

pub(crate) const fn method(method: Method) -> &'static str {
    match method {
        Method::Get => "GET",
        Method::Post => "POST",
        Method::Put => "PUT",
        Method::Patch => "PATCH",
        Method::Delete => "DELETE",
    }
}

/// A name that begins with the operation's, such as `ListRunsParameters`.
pub(crate) fn type_named_after(operation: &Operation, suffix: &str) -> Result<String> {
    Ok(format!("{}{suffix}", identifier::variant(&operation.id, &[])?))
}

/// The variant of one success of several.
pub(crate) fn success_variant(status: u16) -> String {
    match status {
        200 => "Ok".to_owned(),
        201 => "Created".to_owned(),
        202 => "Accepted".to_owned(),
        204 => "NoContent".to_owned(),
        other => format!("Status{other}"),
    }
}

/// `POST /bridge/event`, as code in a doc comment.
pub(crate) fn route(operation: &Operation) -> String {
    format!("`{} {}`", method(operation.method), operation.path.replace('`', ""))
}

/// Security alternatives as string literals.
pub(crate) fn security(alternatives: &[Vec<String>]) -> Vec<Vec<String>> {
    let literals = |schemes: &Vec<String>| schemes.iter().map(|scheme| literal::string(scheme)).collect();
    alternatives.iter().map(literals).collect()
}
