//! The route map and the surfaces: every path item has one route, every path is well formed and no two clash, and the
//! tags are the surfaces.

use std::collections::BTreeMap;

use crate::diagnostic::{Code, Problems};
use crate::document::{Documents, OperationDocument, PathItem, Route};
use crate::ir::Place;
use crate::source::{Located, Span};

/// Checks the rules of this module.
pub fn check(documents: &Documents, problems: &mut Problems) {
    tags(documents, problems);
    path_items(documents, problems);
    let mut seen: BTreeMap<String, &Located<String>> = BTreeMap::new();
    for route in &documents.route_map.routes {
        let Some(parameters) = template(&route.path, problems) else {
            continue;
        };
        let pattern = pattern(&route.path.value);
        if let Some(first) = seen.insert(pattern, &route.path) {
            problems.report_with(
                Code::PathClash,
                route.path.at,
                format!("`{}` matches the same requests as `{first}`", route.path),
                "put both methods into one path item, or change one of the paths",
                vec![(first.at, "the other path".to_owned())],
            );
        }
        if let Some(item) = item_of(documents, route) {
            for operation in &item.operations {
                path_parameters(&route.path, &parameters, operation, problems);
            }
        }
    }
}

/// The path item behind a route.
pub fn item_of<'a>(documents: &'a Documents, route: &Route) -> Option<&'a PathItem> {
    let surface = documents.surfaces.get(&route.surface)?;
    surface.items.iter().find(|item| item.name.value == route.item.value)
}

fn tags(documents: &Documents, problems: &mut Problems) {
    let map = &documents.route_map;
    for (index, tag) in map.tags.iter().enumerate() {
        if let Some(first) = map.tags[..index].iter().find(|other| other.name.value == tag.name.value) {
            problems.report_with(
                Code::SurfaceTag,
                tag.name.at,
                format!("the tag `{}` occurs twice", tag.name),
                "keep one of them",
                vec![(first.name.at, "first here".to_owned())],
            );
        }
        if !documents.surfaces.contains_key(&tag.name.value) {
            problems.report(
                Code::SurfaceTag,
                tag.name.at,
                format!("the tag `{}` has no file openapi/paths/{}.yaml", tag.name, tag.name),
                "write the file, or drop the tag",
            );
        }
    }
    for surface in documents.surfaces.values() {
        if !map.tags.iter().any(|tag| tag.name.value == surface.name) {
            problems.report(
                Code::SurfaceTag,
                surface.at,
                format!("openapi.yaml has no tag `{}`", surface.name),
                "add it to `tags` there, with a description of the surface",
            );
        }
    }
}

fn path_items(documents: &Documents, problems: &mut Problems) {
    let routes = &documents.route_map.routes;
    for surface in documents.surfaces.values() {
        for item in &surface.items {
            let mut of_item =
                routes.iter().filter(|route| route.surface == surface.name && route.item.value == item.name.value);
            let Some(first) = of_item.next() else {
                problems.report(
                    Code::RouteMissing,
                    item.name.at,
                    format!("no route leads to `{}`", item.name),
                    format!(
                        "add it to `paths` in openapi.yaml: {{ $ref: \"{}#/{}\" }}",
                        short(&surface.source),
                        item.name
                    ),
                );
                continue;
            };
            for other in of_item {
                problems.report_with(
                    Code::RouteMissing,
                    other.item.at,
                    format!("two routes lead to `{}`", item.name),
                    "an operation has one path; give the other route an item of its own",
                    vec![(first.item.at, "the other route".to_owned())],
                );
            }
        }
    }
    for route in routes {
        let Some(surface) = documents.surfaces.get(&route.surface) else {
            continue;
        };
        if item_of(documents, route).is_none() {
            let names = surface.items.iter().map(|item| item.name.value.as_str());
            let near = crate::names::nearest(&route.item.value, names);
            problems.report(
                Code::ReferenceToNothing,
                route.item.at,
                format!("{} has no path item `{}`", surface.source, route.item),
                near.map_or_else(
                    || "write it, or correct the reference".to_owned(),
                    |near| format!("did you mean `{near}`?"),
                ),
            );
        }
    }
}

fn short(source: &str) -> &str {
    source.strip_prefix("openapi/").unwrap_or(source)
}

/// The parameters of a path, in its order; `None` if it is not well formed.
fn template(path: &Located<String>, problems: &mut Problems) -> Option<Vec<String>> {
    let parameters = parameters_of(&path.value);
    if parameters.is_none() {
        problems.report(
            Code::PathForm,
            path.at,
            format!("`{path}` is not a path of the profile"),
            "a path starts with `/` and does not end with one; each segment is `{parameter}`, or letters, digits, `.`, `_`, `-` and `~`",
        );
    }
    parameters
}

/// The parameters of a well-formed path, in its order.
pub fn parameters_of(path: &str) -> Option<Vec<String>> {
    let mut parameters = Vec::new();
    if path == "/" {
        return Some(parameters);
    }
    for segment in path.strip_prefix('/')?.split('/') {
        let inner = segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
        let text = inner.unwrap_or(segment);
        let allowed =
            |c: char| c.is_ascii_alphanumeric() || c == '_' || (inner.is_none() && matches!(c, '.' | '-' | '~'));
        if text.is_empty() || !text.chars().all(allowed) || matches!(text, "." | "..") {
            return None;
        }
        if inner.is_some() {
            if parameters.iter().any(|name| name == text) {
                return None;
            }
            parameters.push(text.to_owned());
        }
    }
    Some(parameters)
}

/// The path with its parameters' names taken out.
fn pattern(path: &str) -> String {
    let segments = path.split('/').map(|segment| if segment.starts_with('{') { "{}" } else { segment });
    segments.collect::<Vec<_>>().join("/")
}

fn path_parameters(path: &Located<String>, wanted: &[String], operation: &OperationDocument, problems: &mut Problems) {
    let found = operation.parameters.iter().filter(|parameter| parameter.place == Place::Path);
    let mut fault = |at: Span, message: String, hint: &str| {
        let related = vec![(path.at, "the path".to_owned())];
        problems.report_with(Code::PathParameters, at, message, hint, related);
    };
    for parameter in found.clone() {
        if !wanted.contains(&parameter.name.value) {
            let message = format!("`{}` is not part of `{path}`", parameter.name);
            fault(parameter.name.at, message, "correct the name, or say `in: query`");
        } else if !parameter.required {
            let message = format!("`{}` is part of the path, so it cannot be missing", parameter.name);
            fault(parameter.name.at, message, "write `required: true`");
        }
    }
    for name in wanted {
        if !found.clone().any(|parameter| parameter.name.value == *name) {
            fault(
                operation.at,
                format!("the operation does not declare `{name}`"),
                "add it to `parameters`, `in: path`",
            );
        }
    }
}
