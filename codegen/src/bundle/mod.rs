//! The whole protocol as two documents, for the server to serve and for tools that know nothing of the profile: its
//! operations in OpenAPI 3.1, its sockets in AsyncAPI 3.0. Written from the source documents, so nothing that an author
//! wrote is lost; what the profile implies (refusals, the idempotency key) is written out.

pub mod asyncapi;
pub mod json;
pub mod openapi;
pub mod operation;
pub mod rewrite;

use std::collections::BTreeSet;

use json::Json;

use crate::document::Documents;
use crate::ir::{ErrorDef, Protocol};
use crate::source::{Node, Role, Sources};
use crate::target::OutputFile;

/// Where the document of the operations goes, relative to the repository's root.
pub const OPENAPI: &str = "api/src/generated/openapi.json";
/// Where the document of the sockets goes, if there are any.
pub const ASYNCAPI: &str = "api/src/generated/asyncapi.json";

/// The documents as files.
///
/// # Errors
/// Only if serialisation itself fails, which would be a fault of this program.
pub fn emit(sources: &Sources, documents: &Documents, protocol: &Protocol) -> anyhow::Result<Vec<OutputFile>> {
    let mut files = vec![file(OPENAPI, &openapi::document(sources, documents, protocol))?];
    if let Some(document) = asyncapi::document(sources, documents, protocol) {
        files.push(file(ASYNCAPI, &document)?);
    }
    Ok(files)
}

fn file(path: &str, document: &Json) -> anyhow::Result<OutputFile> {
    let mut text = serde_json::to_string_pretty(document)?;
    text.push('\n');
    Ok(OutputFile { path: path.into(), contents: text })
}

/// The types of a document, each written by `write`.
fn schemas(sources: &Sources, reached: &BTreeSet<&str>, write: fn(&Node) -> Json) -> Json {
    let mut schemas = Json::map();
    for (_, file) in sources.iter() {
        if let (Role::Schema(name), Some(root)) = (Role::of(&file.path), &file.root)
            && reached.contains(name)
        {
            schemas.put(name, write(root));
        }
    }
    schemas
}

/// Codes with what they mean, for readers that want to explain one.
fn catalogue<'a>(errors: impl Iterator<Item = &'a ErrorDef>) -> Json {
    let mut catalogue = Json::map();
    for error in errors {
        let mut entry = Json::map();
        entry.put("status", Json::integer(i64::from(error.status)));
        entry.put("retryable", Json::boolean(error.retryable));
        entry.put("message", Json::text(&error.message));
        entry.put("action", Json::text(&error.action));
        catalogue.put(&error.code, entry);
    }
    catalogue
}
