//! The whole protocol as one OpenAPI 3.1 document, for the server to serve and for tools that know nothing of the
//! profile. Written from the source documents, so nothing that an author wrote is lost; what the profile implies
//! (refusals, the idempotency key) is written out.

pub mod json;
pub mod operation;
pub mod rewrite;

use json::Json;

use crate::document::{Documents, Route};
use crate::ir::Protocol;
use crate::lint::routes::item_of;
use crate::source::{Node, ROUTE_MAP, Role, Sources};
use crate::target::OutputFile;

/// Where the document goes, relative to the repository's root.
pub const PATH: &str = "api/src/generated/openapi.json";

/// The document as a file.
///
/// # Errors
/// Only if serialisation itself fails, which would be a fault of this program.
pub fn emit(sources: &Sources, documents: &Documents, protocol: &Protocol) -> anyhow::Result<Vec<OutputFile>> {
    let mut text = serde_json::to_string_pretty(&document(sources, documents, protocol))?;
    text.push('\n');
    Ok(vec![OutputFile { path: PATH.into(), contents: text }])
}

fn document(sources: &Sources, documents: &Documents, protocol: &Protocol) -> Json {
    let root = sources.find(ROUTE_MAP).and_then(|(_, file)| file.root.as_ref());
    let part = |key: &str| root.and_then(|node| node.get(key)).map(rewrite::to_json);
    let mut out = Json::map();
    out.put("openapi", Json::text("3.1.0"));
    for key in ["info", "servers", "tags"] {
        if let Some(value) = part(key) {
            out.put(key, value);
        }
    }
    let mut paths = Json::map();
    for route in &documents.route_map.routes {
        if let Some(item) = path_item(sources, documents, protocol, route) {
            paths.put(&route.path.value, item);
        }
    }
    out.put("paths", paths);
    let mut components = Json::map();
    components.put("schemas", schemas(sources));
    let schemes = root.and_then(|node| node.get("components")).and_then(|node| node.get("securitySchemes"));
    if let Some(schemes) = schemes {
        components.put("securitySchemes", rewrite::to_json(schemes));
    }
    out.put("components", components);
    out.put("x-error-catalogue", catalogue(protocol));
    out
}

fn schemas(sources: &Sources) -> Json {
    let mut schemas = Json::map();
    for (_, file) in sources.iter() {
        if let (Role::Schema(name), Some(root)) = (Role::of(&file.path), &file.root) {
            schemas.put(name, rewrite::to_json(root));
        }
    }
    schemas
}

fn path_item(sources: &Sources, documents: &Documents, protocol: &Protocol, route: &Route) -> Option<Json> {
    let item = item_of(documents, route)?;
    let surface = documents.surfaces.get(&route.surface)?;
    let source = sources.find(&surface.source)?.1.root.as_ref()?.get(&item.name.value)?;
    let mut out = Json::map();
    for operation in &item.operations {
        let lowered = protocol.surfaces.iter().flat_map(|surface| &surface.operations);
        let lowered = lowered.into_iter().find(|lowered| lowered.id == operation.id.value)?;
        let (key, node) = method_entry(source, &operation.id.value)?;
        out.put(key, operation::expand(node, lowered, &protocol.errors));
    }
    Some(out)
}

/// The method and node of the operation with this id.
fn method_entry<'a>(item: &'a Node, id: &str) -> Option<(&'a str, &'a Node)> {
    let mut entries = item.as_map()?.iter();
    let entry = entries.find(|entry| entry.value.get("operationId").and_then(Node::as_text) == Some(id))?;
    Some((&entry.key, &entry.value))
}

/// The catalogue, for readers that want to explain a code.
fn catalogue(protocol: &Protocol) -> Json {
    let mut catalogue = Json::map();
    for error in protocol.errors.values() {
        let mut entry = Json::map();
        entry.put("status", Json::integer(i64::from(error.status)));
        entry.put("retryable", Json::boolean(error.retryable));
        entry.put("message", Json::text(&error.message));
        entry.put("action", Json::text(&error.action));
        catalogue.put(&error.code, entry);
    }
    catalogue
}
