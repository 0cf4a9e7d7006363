//! The responses of an operation: successes only, because refusals come from the catalogue.

use super::Reader;
use super::fields::{Fields, text, wrong_kind};
use crate::diagnostic::Code;
use crate::ir::Content;
use crate::source::{Entry, Node, Span};

/// A success.
#[derive(Debug)]
pub struct SuccessDocument {
    pub status: u16,
    /// Where the status is written.
    pub at: Span,
    pub description: String,
    /// Absent where it is not sound; that has been reported.
    pub content: Option<Content>,
}

/// Reads `responses`.
pub fn read_all(reader: &mut Reader<'_>, entry: &Entry) -> Vec<SuccessDocument> {
    let Some(entries) = entry.value.as_map() else {
        wrong_kind(reader.problems, &entry.value, entry.value.at, "`responses`", "a mapping of statuses");
        return Vec::new();
    };
    if entries.is_empty() {
        let message = "an operation without a success";
        reader.problems.report(Code::SuccessStatus, entry.key_at, message, "add the status that it answers with");
    }
    entries.iter().filter_map(|entry| read_one(reader, entry)).collect()
}

fn read_one(reader: &mut Reader<'_>, entry: &Entry) -> Option<SuccessDocument> {
    let status = match entry.key.as_str() {
        "200" => 200,
        "201" => 201,
        "202" => 202,
        "204" => 204,
        other => {
            let hint = if other.starts_with(['4', '5']) || other == "default" {
                "refusals are named in `x-errors`, by their code in errors.yaml"
            } else {
                "a success is 200, 201, 202 or 204"
            };
            let message = format!("`{other}` is no success that the profile knows");
            reader.problems.report(Code::SuccessStatus, entry.key_at, message, hint);
            return None;
        }
    };
    let mut fields = Fields::open(reader, &entry.value, entry.key_at, "a response")?;
    let description = fields.need_prose(reader, "description");
    let content = match fields.get("content") {
        None => Some(Content::Empty),
        Some(content) => read_content(reader, content),
    };
    fields.close(reader);
    if status == 204 && content.as_ref().is_some_and(|content| *content != Content::Empty) {
        let message = "204 means no content, and here is some";
        reader.problems.report(Code::ResponseContent, entry.key_at, message, "drop the content, or answer 200");
    }
    Some(SuccessDocument { status, at: entry.key_at, description, content })
}

const HINT: &str =
    "the content is `application/json` with a `$ref` or a list of one, `text/plain` with `type: string`, or left out";

fn read_content(reader: &mut Reader<'_>, entry: &Entry) -> Option<Content> {
    let Some([media]) = entry.value.as_map() else {
        reader.problems.report(Code::ResponseContent, entry.key_at, "not exactly one kind of content", HINT);
        return None;
    };
    let mut fields = Fields::open(reader, &media.value, media.key_at, "a response's content")?;
    let schema = fields.need(reader, "schema")?;
    fields.close(reader);
    match media.key.as_str() {
        "application/json" if reference_of(schema).is_some() => return read_json(reader, schema),
        "text/plain" if is_text(schema) => return Some(Content::Text),
        _ => {}
    }
    reader.problems.report(Code::ResponseContent, media.key_at, "content that the profile does not know", HINT);
    None
}

/// `{type: string}`
fn is_text(schema: &Entry) -> bool {
    matches!(schema.value.as_map(), Some([entry]) if entry.key == "type" && entry.value.as_text() == Some("string"))
}

fn read_json(reader: &mut Reader<'_>, schema: &Entry) -> Option<Content> {
    let reference = reference_of(schema)?;
    let listed = schema.value.get("items").is_some();
    let reference = text(reader, reference)?;
    let ty = reader.mention(&reference, false)?;
    Some(if listed { Content::JsonList { ty } } else { Content::Json { ty } })
}

/// The `$ref` of `{$ref}` or of `{type: array, items: {$ref}}`.
fn reference_of(schema: &Entry) -> Option<&Entry> {
    match schema.value.as_map()? {
        [reference] if reference.key == "$ref" => Some(reference),
        entries @ [_, _] if schema.value.get("type").and_then(Node::as_text) == Some("array") => {
            let items = entries.iter().find(|entry| entry.key == "items")?;
            match items.value.as_map()? {
                [reference] if reference.key == "$ref" => Some(reference),
                _ => None,
            }
        }
        _ => None,
    }
}
