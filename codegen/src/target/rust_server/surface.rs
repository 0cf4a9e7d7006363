//! One surface: its trait, its endpoints and the types that belong to its operations.

use anyhow::{Context, Result};
use serde::Serialize;

use super::limits::{PatternItem, Patterns};
use super::operation::{OperationItem, operation};
use super::{DIALECT, ROOT};
use crate::ir::{Protocol, Surface};
use crate::target::OutputFile;
use crate::target::rust::template::{Templates, module_docs};
use crate::target::rust::types::{From, TypeWriter};
use crate::target::rust::{identifier, imports};
use crate::target::scope::Scope;

#[derive(Serialize)]
struct SurfaceFile {
    docs: Vec<String>,
    imports: Vec<String>,
    /// As the spec calls it.
    name: String,
    /// What its types begin with.
    prefix: String,
    patterns: Vec<PatternItem>,
    operations: Vec<OperationItem>,
}

pub(super) fn emit(protocol: &Protocol, surface: &Surface, templates: &Templates) -> Result<OutputFile> {
    let module = identifier::module(&surface.name)?;
    let mut writer = TypeWriter::new(&DIALECT, From::Surface);
    for name in ["Context", "DeclaredErrors", "Refused", "ApiError"] {
        writer.imported(&format!("crate::support::{name}"));
    }
    writer
        .imports
        .extend(["std::sync::Arc", "poem_openapi::OpenApi", "crate::generated::errors::ErrorCode"].map(str::to_owned));
    let mut scope = Scope::new(format!("the operations of {}", surface.name));
    let mut operations = Vec::new();
    let mut patterns = Patterns::default();
    for each in &surface.operations {
        let item = operation(protocol, each, &mut patterns, &mut writer)
            .with_context(|| format!("in the operation {} of spec/{}", each.id, surface.source))?;
        scope.claim(item.function.clone(), &each.id)?;
        operations.push(item);
    }
    if !patterns.is_empty() {
        writer.imported("crate::support::Pattern");
    }
    let first = format!("The `{}` surface.", surface.name);
    let file = SurfaceFile {
        docs: module_docs(&first, &surface.description),
        imports: imports::lines(&writer.imports),
        name: surface.name.clone(),
        prefix: identifier::variant(&surface.name, &[])?,
        patterns: patterns.into_items(),
        operations,
    };
    let contents = templates.render("surface", &surface.source, file)?;
    Ok(OutputFile::new(format!("{ROOT}/{}.rs", identifier::file_stem(&module)), contents))
}
