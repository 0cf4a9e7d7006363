//! One surface: the accessor on the client, a method for each operation, and the types that belong to them.

use anyhow::{Context, Result};
use serde::Serialize;

use super::operation::{OperationItem, operation};
use super::{DIALECT, ROOT};
use crate::ir::{Protocol, Surface};
use crate::target::OutputFile;
use crate::target::rust::template::{Templates, module_docs};
use crate::target::rust::types::{From, TypeWriter};
use crate::target::rust::{identifier, imports};
use crate::target::scope::Scope;

/// Methods that the client has of its own.
const CLIENT_METHODS: &[&str] =
    &["base_url", "builder", "call", "clone", "from_env", "new", "request", "shared", "sockets", "with_credentials"];

#[derive(Serialize)]
struct SurfaceFile {
    docs: Vec<String>,
    imports: Vec<String>,
    /// As the spec calls it.
    name: String,
    accessor: String,
    struct_name: String,
    operations: Vec<OperationItem>,
}

pub(super) fn emit(protocol: &Protocol, surface: &Surface, templates: &Templates) -> Result<OutputFile> {
    let module = identifier::module(&surface.name)?;
    let mut writer = TypeWriter::new(&DIALECT, From::Surface);
    writer.imports.extend(["Call", "Method", "Operation"].map(|name| format!("crate::runtime::{name}")));
    writer.imported("crate::Client");
    if surface.operations.iter().any(|operation| !operation.security.is_empty()) {
        writer.imported("crate::runtime::Security");
    }
    let mut scope = Scope::new(format!("the operations of {}", surface.name));
    let mut operations = Vec::new();
    for each in &surface.operations {
        let item = operation(protocol, each, &mut writer)
            .with_context(|| format!("in the operation {} of spec/{}", each.id, surface.source))?;
        scope.claim(item.function.clone(), &each.id)?;
        operations.push(item);
    }
    let first = format!("The `{}` surface.", surface.name);
    let file = SurfaceFile {
        docs: module_docs(&first, &surface.description),
        imports: imports::lines(&writer.imports),
        name: surface.name.clone(),
        accessor: identifier::value_beside(&surface.name, CLIENT_METHODS)?,
        struct_name: identifier::type_name(&surface.name)?,
        operations,
    };
    let contents = templates.render("surface", &surface.source, file)?;
    Ok(OutputFile::new(format!("{ROOT}/{}.rs", identifier::file_stem(&module)), contents))
}
