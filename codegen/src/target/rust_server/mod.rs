//! The server's stubs: wire types that derive poem-openapi, serde and schemars together, a trait for each surface and
//! each socket, and what forwards to it. What an operation or a message does is written by hand, in the server.

mod errors;
mod limits;
mod operation;
mod parameters;
mod sockets;
mod successes;
mod surface;
mod types;

use anyhow::Result;
use serde::Serialize;

use super::OutputFile;
use super::rust::identifier;
use super::rust::operation::{method, security, type_named_after};
use super::rust::template::Templates;
use super::rust::types::Dialect;
use super::rust::{documentation, literal};
use super::scope::Scope;
use crate::ir::Protocol;

const ROOT: &str = "api/src/generated";

const DIALECT: Dialect = Dialect {
    timestamp: "crate::support::Timestamp",
    int64: "crate::support::Int64",
    json_object: "crate::support::JsonObject",
    json_object_type: "JsonObject",
    json: "crate::support::JsonValue",
};

/// Every file of the stubs, not yet formatted.
///
/// # Errors
///
/// Two names become the same in Rust, or the spec uses something that Rust stubs cannot express.
pub fn emit(protocol: &Protocol) -> Result<Vec<OutputFile>> {
    let templates = Templates::new(&[
        ("module", include_str!("../../../templates/rust_server/module.rs.jinja")),
        ("errors", include_str!("../../../templates/rust_server/errors.rs.jinja")),
        ("types", include_str!("../../../templates/rust/types.rs.jinja")),
        ("debug", include_str!("../../../templates/rust/debug.rs.jinja")),
        ("type", include_str!("../../../templates/rust_server/type.rs.jinja")),
        ("surface", include_str!("../../../templates/rust_server/surface.rs.jinja")),
        ("sockets", include_str!("../../../templates/rust_server/sockets.rs.jinja")),
        ("socket", include_str!("../../../templates/rust_server/socket.rs.jinja")),
        ("close_code", include_str!("../../../templates/rust_server/close_code.rs.jinja")),
    ])?;
    let mut files = vec![module(protocol, &templates)?, errors::emit(protocol, &templates)?];
    files.extend(types::emit(protocol, &templates)?);
    for surface in &protocol.surfaces {
        files.push(surface::emit(protocol, surface, &templates)?);
    }
    files.extend(sockets::emit(protocol, &templates)?);
    Ok(files)
}

#[derive(Serialize)]
struct Module {
    docs: Vec<String>,
    modules: Vec<String>,
    operations: Vec<OperationInfo>,
}

/// Literals for an `OperationInfo`.
#[derive(Serialize)]
struct OperationInfo {
    id: String,
    method: String,
    path: String,
    surface: String,
    security: Vec<Vec<String>>,
    /// The path of its declared errors.
    errors: String,
    idempotent: bool,
    repeatable: bool,
}

fn module(protocol: &Protocol, templates: &Templates) -> Result<OutputFile> {
    let mut scope = Scope::new("the surfaces and the modules `errors`, `sockets` and `types`");
    let mut modules = Vec::new();
    for own in ["errors", "sockets", "types"] {
        modules.push(scope.claim(own.to_owned(), own)?);
    }
    let mut operations = Vec::new();
    for surface in &protocol.surfaces {
        modules.push(scope.claim(identifier::module(&surface.name)?, &surface.name)?);
        for operation in &surface.operations {
            operations.push(OperationInfo {
                id: literal::string(&operation.id),
                method: literal::string(method(operation.method)),
                path: literal::string(&operation.path),
                surface: literal::string(&surface.name),
                security: security(&operation.security),
                errors: format!("{}::{}", identifier::module(&surface.name)?, type_named_after(operation, "Errors")?),
                idempotent: operation.idempotent,
                repeatable: operation.repeatable,
            });
        }
    }
    let title = format!("{} {}.", protocol.title, protocol.version);
    let docs = documentation::paragraphs([title.as_str(), &protocol.description]);
    let contents = templates.render("module", "openapi/openapi.yaml", Module { docs, modules, operations })?;
    Ok(OutputFile::new(format!("{ROOT}/mod.rs"), contents))
}
