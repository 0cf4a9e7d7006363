//! `openapi/openapi.yaml`: what the protocol is called, its tags, its security schemes, and every route.

use indexmap::IndexMap;

use super::fields::{Fields, text, wrong_kind};
use super::{Reader, info};
use crate::diagnostic::Code;
use crate::ir::SecurityScheme;
use crate::source::{Entry, FileId, Located, Node, Span, reference};

/// The route map.
#[derive(Debug, Default)]
pub struct RouteMap {
    pub title: String,
    pub version: String,
    pub description: String,
    /// Where the tags are written, for those that are missing.
    pub tags_at: Option<Span>,
    pub tags: Vec<Tag>,
    pub schemes: IndexMap<String, Located<SecurityScheme>>,
    pub routes: Vec<Route>,
}

/// A surface's name and what it is for.
#[derive(Debug)]
pub struct Tag {
    pub name: Located<String>,
    pub description: String,
}

/// A path and the path item behind it.
#[derive(Debug)]
pub struct Route {
    pub path: Located<String>,
    pub surface: String,
    /// The name of the path item in the surface's file, at the reference.
    pub item: Located<String>,
}

/// Reads the route map.
pub fn read(reader: &mut Reader<'_>, file: FileId, root: &Node) -> RouteMap {
    let mut map = RouteMap::default();
    let Some(mut fields) = Fields::open(reader, root, Span::start_of(file), "the route map") else {
        return map;
    };
    if let Some(version) = fields.need_text(reader, "openapi")
        && version.value != "3.1.0"
        && version.value != "3.1.1"
    {
        let message = format!("OpenAPI {version} is not read");
        reader.problems.report(Code::WrongValue, version.at, message, "write `openapi: 3.1.0`");
    }
    if let Some(info) = fields.need(reader, "info").and_then(|entry| info::read(reader, entry, true)) {
        map.title = info.title;
        map.version = info.version.map(|version| version.value).unwrap_or_default();
        map.description = info.description;
    }
    for server in fields.list(reader, "servers").unwrap_or_default() {
        if let Some(mut server_fields) = Fields::open(reader, server, server.at, "a server") {
            server_fields.need_text(reader, "url");
            server_fields.prose(reader, "description");
            server_fields.close(reader);
        }
    }
    map.tags_at = fields.need(reader, "tags").map(|entry| entry.key_at);
    for tag in fields.list(reader, "tags").unwrap_or_default() {
        map.tags.extend(read_tag(reader, tag));
    }
    if let Some(components) = fields.get("components")
        && let Some(mut inner) = Fields::open(reader, &components.value, components.key_at, "`components`")
    {
        if let Some(schemes) = inner.get("securitySchemes") {
            read_schemes(reader, schemes, &mut map);
        }
        inner.close(reader);
    }
    if let Some(paths) = fields.need(reader, "paths") {
        read_routes(reader, paths, &mut map);
    }
    fields.close(reader);
    map
}

fn read_tag(reader: &mut Reader<'_>, node: &Node) -> Option<Tag> {
    let mut fields = Fields::open(reader, node, node.at, "a tag")?;
    let name = fields.need_text(reader, "name");
    let description = fields.need_prose(reader, "description");
    fields.close(reader);
    Some(Tag { name: name?, description })
}

fn read_schemes(reader: &mut Reader<'_>, entry: &Entry, map: &mut RouteMap) {
    let Some(schemes) = entry.value.as_map() else {
        wrong_kind(reader.problems, &entry.value, entry.value.at, "`securitySchemes`", "a mapping");
        return;
    };
    for scheme in schemes {
        if let Some(read) = read_scheme(reader, scheme) {
            map.schemes.insert(scheme.key.clone(), Located::new(read, scheme.key_at));
        }
    }
}

fn read_scheme(reader: &mut Reader<'_>, entry: &Entry) -> Option<SecurityScheme> {
    let mut fields = Fields::open(reader, &entry.value, entry.key_at, "a security scheme")?;
    let kind = fields.need_text(reader, "type")?;
    let description = fields.need_prose(reader, "description");
    let scheme = match kind.value.as_str() {
        "apiKey" => {
            let place = fields.need_text(reader, "in");
            let header = fields.need_text(reader, "name");
            (place?.value == "header").then_some(SecurityScheme::ApiKey { header: header?.value, description })
        }
        "http" => {
            let scheme = fields.need_text(reader, "scheme");
            (scheme?.value == "bearer").then_some(SecurityScheme::Bearer { description })
        }
        _ => None,
    };
    if scheme.is_none() {
        reader.problems.report(
            Code::SecurityScheme,
            entry.key_at,
            format!("`{}` is of a kind that the profile leaves out", entry.key),
            "a scheme is `type: apiKey` with `in: header`, or `type: http` with `scheme: bearer`",
        );
        return None;
    }
    fields.close(reader);
    scheme
}

fn read_routes(reader: &mut Reader<'_>, entry: &Entry, map: &mut RouteMap) {
    let Some(paths) = entry.value.as_map() else {
        wrong_kind(reader.problems, &entry.value, entry.value.at, "`paths`", "a mapping");
        return;
    };
    for path in paths {
        let Some(mut fields) = Fields::open(reader, &path.value, path.key_at, "a route") else {
            continue;
        };
        let item = fields.need(reader, "$ref").and_then(|entry| text(reader, entry));
        fields.close(reader);
        let Some(item) = item else { continue };
        if let Some((surface, name)) = reference::path_item(reader.sources, item.at, &item.value, reader.problems) {
            let path = Located::new(path.key.clone(), path.key_at);
            map.routes.push(Route { path, surface, item: Located::new(name, item.at) });
        }
    }
}
