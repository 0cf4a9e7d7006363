//! The OpenAPI 3.1 document: every operation, with its refusals and its idempotency key written out.

use super::json::Json;
use super::{catalogue, operation, rewrite, schemas};
use crate::document::{Documents, Route};
use crate::ir::Protocol;
use crate::lint::routes::item_of;
use crate::lint::types::ERROR_BODY;
use crate::source::{Node, ROUTE_MAP, Sources};

/// The document.
pub fn document(sources: &Sources, documents: &Documents, protocol: &Protocol) -> Json {
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
    let mentions = documents.operations().flat_map(|(_, operation)| &operation.mentions);
    let reached = documents.reachable(mentions.map(|mention| mention.name.as_str()).chain([ERROR_BODY]));
    components.put("schemas", schemas(sources, &reached, rewrite::to_json));
    let schemes = root.and_then(|node| node.get("components")).and_then(|node| node.get("securitySchemes"));
    if let Some(schemes) = schemes {
        components.put("securitySchemes", rewrite::to_json(schemes));
    }
    out.put("components", components);
    out.put("x-error-catalogue", catalogue(protocol.errors.values()));
    out
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
