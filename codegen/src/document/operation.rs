//! A file of `openapi/paths/`: the path items of one surface and their operations.

use super::fields::{Fields, wrong_kind};
use super::parameter::{self, ParameterDocument};
use super::response::{self, SuccessDocument};
use super::{Mention, Reader};
use crate::diagnostic::Code;
use crate::ir::Method;
use crate::source::{Entry, FileId, Located, Node, Span};

/// The operations of one surface.
#[derive(Debug)]
pub struct SurfaceDocument {
    pub name: String,
    pub at: Span,
    pub source: String,
    pub items: Vec<PathItem>,
}

/// What can be done at one path.
#[derive(Debug)]
pub struct PathItem {
    pub name: Located<String>,
    pub operations: Vec<OperationDocument>,
}

/// An operation.
#[derive(Debug)]
pub struct OperationDocument {
    pub method: Method,
    /// Where the method is written.
    pub at: Span,
    /// Empty where it is missing; that has been reported.
    pub id: Located<String>,
    pub tags: Vec<Located<String>>,
    pub summary: String,
    pub description: String,
    pub deprecated: bool,
    pub parameters: Vec<ParameterDocument>,
    pub has_body: bool,
    /// The body's type, if it is sound.
    pub body: Option<Located<String>>,
    pub successes: Vec<SuccessDocument>,
    /// The declared codes only.
    pub errors: Vec<Located<String>>,
    /// Alternatives, each a list of schemes that go together.
    pub security: Vec<Vec<Located<String>>>,
    pub idempotent: Option<Span>,
    /// Where it says that it may be repeated.
    pub repeatable: Option<Span>,
    /// Where `x-long-poll: true` stands.
    pub long_poll: Option<Span>,
    pub pagination: Option<PaginationDocument>,
    pub mentions: Vec<Mention>,
}

/// The three names of `x-pagination`.
#[derive(Debug)]
pub struct PaginationDocument {
    pub at: Span,
    pub items: Located<String>,
    pub next: Located<String>,
    pub cursor: Located<String>,
}

/// Reads a surface's file.
pub fn read_surface(reader: &mut Reader<'_>, file: FileId, name: &str, source: &str, root: &Node) -> SurfaceDocument {
    let at = Span::start_of(file);
    let mut surface = SurfaceDocument { name: name.to_owned(), at, source: source.to_owned(), items: Vec::new() };
    let Some(entries) = root.as_map() else {
        wrong_kind(reader.problems, root, at, "a surface", "a mapping of path items");
        return surface;
    };
    surface.items = entries.iter().map(|entry| read_item(reader, entry)).collect();
    surface
}

const METHODS: [(&str, Method); 5] = [
    ("get", Method::Get),
    ("post", Method::Post),
    ("put", Method::Put),
    ("patch", Method::Patch),
    ("delete", Method::Delete),
];

fn read_item(reader: &mut Reader<'_>, entry: &Entry) -> PathItem {
    let name = Located::new(entry.key.clone(), entry.key_at);
    let mut item = PathItem { name, operations: Vec::new() };
    let Some(mut fields) = Fields::open(reader, &entry.value, entry.key_at, "a path item") else {
        return item;
    };
    let mut found: Vec<(&Entry, Method)> =
        METHODS.iter().filter_map(|(key, method)| Some((fields.get(key)?, *method))).collect();
    // As written, so that documents and generated code keep the author's order.
    found.sort_by_key(|(entry, _)| entry.key_at);
    if found.is_empty() {
        let message = "a path item without operations";
        reader.problems.report(
            Code::MissingKeyword,
            entry.key_at,
            message,
            "add `get:`, `post:`, ... or drop the item",
        );
    }
    item.operations = found.into_iter().filter_map(|(entry, method)| read_one(reader, entry, method)).collect();
    fields.close(reader);
    item
}

fn read_one(reader: &mut Reader<'_>, entry: &Entry, method: Method) -> Option<OperationDocument> {
    let mut fields = Fields::open(reader, &entry.value, entry.key_at, "an operation")?;
    let id = fields.need_text(reader, "operationId");
    fields.need(reader, "tags");
    let mut operation = OperationDocument {
        method,
        at: entry.key_at,
        id: id.unwrap_or_else(|| Located::new(String::new(), entry.key_at)),
        tags: fields.texts(reader, "tags"),
        summary: fields.need_prose(reader, "summary"),
        description: fields.need_prose(reader, "description"),
        deprecated: fields.flag(reader, "deprecated").is_some(),
        parameters: Vec::new(),
        has_body: fields.has("requestBody"),
        body: None,
        successes: Vec::new(),
        errors: fields.texts(reader, "x-errors"),
        security: Vec::new(),
        idempotent: fields.flag(reader, "x-idempotent"),
        repeatable: fields.flag(reader, "x-repeatable"),
        long_poll: fields.flag(reader, "x-long-poll"),
        pagination: None,
        mentions: Vec::new(),
    };
    let parameters = fields.list(reader, "parameters").unwrap_or_default();
    operation.parameters = parameters.iter().filter_map(|node| parameter::read(reader, node)).collect();
    operation.body = fields.get("requestBody").and_then(|body| read_body(reader, body));
    if let Some(responses) = fields.need(reader, "responses") {
        operation.successes = response::read_all(reader, responses);
    }
    let alternatives = fields.list(reader, "security").unwrap_or_default();
    operation.security = alternatives.iter().filter_map(|node| read_security(reader, node)).collect();
    operation.pagination = fields.get("x-pagination").and_then(|entry| read_pagination(reader, entry));
    operation.mentions = reader.take_mentions();
    fields.close(reader);
    Some(operation)
}

/// A required JSON body by reference.
fn read_body(reader: &mut Reader<'_>, entry: &Entry) -> Option<Located<String>> {
    let hint = "write `required: true` and `content: {application/json: {schema: {$ref: ...}}}`";
    let mut fields = Fields::open(reader, &entry.value, entry.key_at, "a body")?;
    if fields.flag(reader, "required").is_none() && !fields.has("required") {
        reader.problems.report(Code::BodyForm, fields.at, "a body that may be missing", hint);
    }
    let content = fields.need(reader, "content")?;
    fields.close(reader);
    let reference = match content.value.as_map() {
        Some([media]) if media.key == "application/json" => {
            let mut media_fields = Fields::open(reader, &media.value, media.key_at, "a body's content")?;
            let schema = media_fields.need(reader, "schema")?;
            media_fields.close(reader);
            match schema.value.as_map() {
                Some([reference]) if reference.key == "$ref" => super::fields::text(reader, reference),
                _ => None,
            }
        }
        _ => None,
    };
    let Some(reference) = reference else {
        reader.problems.report(Code::BodyForm, content.key_at, "a body that is not JSON by reference", hint);
        return None;
    };
    let name = reader.mention(&reference, false)?;
    Some(Located::new(name, reference.at))
}

/// One alternative: `{scheme: []}`, several that go together, or `{}`.
pub(super) fn read_security(reader: &mut Reader<'_>, node: &Node) -> Option<Vec<Located<String>>> {
    let Some(entries) = node.as_map() else {
        wrong_kind(reader.problems, node, node.at, "a security alternative", "a mapping such as `{deviceToken: []}`");
        return None;
    };
    for entry in entries {
        if entry.value.as_list().is_none_or(|scopes| !scopes.is_empty()) {
            let message = "the profile knows no scopes";
            reader.problems.report(Code::SecurityScheme, entry.value.at, message, format!("write `{}: []`", entry.key));
        }
    }
    Some(entries.iter().map(|entry| Located::new(entry.key.clone(), entry.key_at)).collect())
}

fn read_pagination(reader: &mut Reader<'_>, entry: &Entry) -> Option<PaginationDocument> {
    let mut fields = Fields::open(reader, &entry.value, entry.key_at, "`x-pagination`")?;
    let items = fields.need_text(reader, "items");
    let next = fields.need_text(reader, "next");
    let cursor = fields.need_text(reader, "cursor");
    fields.close(reader);
    Some(PaginationDocument { at: entry.key_at, items: items?, next: next?, cursor: cursor? })
}
