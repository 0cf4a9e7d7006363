//! The Rust SDK: types that are open on read and closed on write, a method for each operation, and the messages of each
//! socket. Retries, signing, connecting again and the like are the SDK's hand-written runtime.

mod errors;
mod operation;
mod parameters;
mod resume;
mod sockets;
mod stream;
mod surface;
mod types;

use anyhow::Result;
use serde::Serialize;

use super::OutputFile;
use super::rust::template::Templates;
use super::rust::types::Dialect;
use super::rust::{documentation, identifier};
use super::scope::Scope;
use crate::ir::{Protocol, Shape, Type};

const ROOT: &str = "sdk/rust/src/generated";

const DIALECT: Dialect = Dialect {
    timestamp: "crate::runtime::Timestamp",
    int64: "crate::generated::int64::Int64",
    json_object: "serde_json::Map",
    json_object_type: "Map<String, serde_json::Value>",
    json: "serde_json::Value",
};

/// Every file of the SDK's generated part, not yet formatted.
///
/// # Errors
///
/// Two names become the same in Rust, or the spec uses something that the SDK cannot express.
pub fn emit(protocol: &Protocol) -> Result<Vec<OutputFile>> {
    let templates = Templates::new(&[
        ("module", include_str!("../../../templates/rust_sdk/module.rs.jinja")),
        ("int64", include_str!("../../../templates/rust_sdk/int64.rs")),
        ("errors", include_str!("../../../templates/rust_sdk/errors.rs.jinja")),
        ("types", include_str!("../../../templates/rust/types.rs.jinja")),
        ("debug", include_str!("../../../templates/rust/debug.rs.jinja")),
        ("type", include_str!("../../../templates/rust_sdk/type.rs.jinja")),
        ("parameters", include_str!("../../../templates/rust_sdk/parameters.rs.jinja")),
        ("surface", include_str!("../../../templates/rust_sdk/surface.rs.jinja")),
        ("sockets", include_str!("../../../templates/rust_sdk/sockets.rs.jinja")),
        ("socket", include_str!("../../../templates/rust_sdk/socket.rs.jinja")),
        ("close_code", include_str!("../../../templates/rust_sdk/close_code.rs.jinja")),
    ])?;
    let has_int64 = types_of(protocol).any(is_int64);
    let mut files = vec![module(protocol, has_int64, &templates)?, errors::emit(protocol, &templates)?];
    if has_int64 {
        let contents = templates.render("int64", "README.md", ())?;
        files.push(OutputFile::new(format!("{ROOT}/int64.rs"), contents));
    }
    files.extend(types::emit(protocol, &templates)?);
    for surface in &protocol.surfaces {
        files.push(surface::emit(protocol, surface, &templates)?);
    }
    if !protocol.sockets.is_empty() {
        files.extend(sockets::emit(protocol, &templates)?);
    }
    Ok(files)
}

#[derive(Serialize)]
struct Module {
    docs: Vec<String>,
    modules: Vec<String>,
    has_int64: bool,
}

fn module(protocol: &Protocol, has_int64: bool, templates: &Templates) -> Result<OutputFile> {
    let mut scope = Scope::new("the surfaces and the modules `errors`, `int64`, `sockets` and `types`");
    let mut modules = Vec::new();
    for own in ["errors", "sockets", "types"] {
        let module = scope.claim(own.to_owned(), own)?;
        if own != "sockets" || !protocol.sockets.is_empty() {
            modules.push(module);
        }
    }
    scope.claim("int64".to_owned(), "int64")?;
    for surface in &protocol.surfaces {
        modules.push(scope.claim(identifier::module(&surface.name)?, &surface.name)?);
    }
    let title = format!("{} {}.", protocol.title, protocol.version);
    let docs = documentation::paragraphs([title.as_str(), &protocol.description]);
    let contents = templates.render("module", "openapi/openapi.yaml", Module { docs, modules, has_int64 })?;
    Ok(OutputFile::new(format!("{ROOT}/mod.rs"), contents))
}

fn types_of(protocol: &Protocol) -> impl Iterator<Item = &Type> {
    let fields = protocol.types.values().flat_map(|definition| match &definition.shape {
        Shape::Object { fields } => fields.iter().map(|field| &field.ty).collect(),
        Shape::Alias { ty, .. } => vec![ty],
        Shape::Enum { .. } | Shape::Union { .. } => Vec::new(),
    });
    let operations = protocol.surfaces.iter().flat_map(|surface| &surface.operations);
    let of_operations = operations.flat_map(|operation| operation.parameters.iter().map(|parameter| &parameter.ty));
    let of_sockets = protocol.sockets.iter().flat_map(|socket| &socket.parameters);
    fields.chain(of_operations).chain(of_sockets.map(|parameter| &parameter.parameter.ty))
}

fn is_int64(ty: &Type) -> bool {
    match ty {
        Type::Int64Text => true,
        Type::List { item: inner } | Type::Map { value: inner } => is_int64(inner),
        _ => false,
    }
}

/// The types that answers consist of on their own, which the runtime has to be able to decode.
fn answered(protocol: &Protocol) -> Vec<&str> {
    let operations = protocol.surfaces.iter().flat_map(|surface| &surface.operations);
    let contents = operations.flat_map(|operation| operation.successes.iter().map(|success| &success.content));
    let names = contents.filter_map(|content| match content {
        crate::ir::Content::Json { ty } => Some(ty.as_str()),
        _ => None,
    });
    names.collect()
}
