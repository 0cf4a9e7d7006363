//! One operation of the bundled document: what the author wrote, and what the profile implies.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use indexmap::IndexMap;

use super::json::Json;
use super::rewrite;
use crate::ir::{ErrorDef, Operation};
use crate::source::Node;

/// The statuses whose answers say when to come back.
const WITH_RETRY_AFTER: [u16; 2] = [429, 503];

/// How long an idempotency key may be.
const MAX_KEY_LENGTH: i64 = 200;
/// Visible ASCII, so that it survives every header.
const KEY_PATTERN: &str = "^[!-~]+$";

/// The operation with its refusals and its idempotency key written out.
pub fn expand(source: &Node, operation: &Operation, errors: &IndexMap<String, ErrorDef>) -> Json {
    let mut out = rewrite::to_json(source);
    if operation.idempotent
        && let Some(parameters) = out.entry("parameters", || Json::List(Vec::new()))
    {
        parameters.push(idempotency_key());
    }
    let codes: Vec<&ErrorDef> = operation.errors.iter().filter_map(|code| errors.get(code)).collect();
    out.put("x-errors", Json::List(codes.iter().map(|error| Json::text(&error.code)).collect()));
    let mut by_status: BTreeMap<u16, Vec<&ErrorDef>> = BTreeMap::new();
    for error in codes {
        by_status.entry(error.status).or_default().push(error);
    }
    if let Some(responses) = out.entry("responses", Json::map) {
        for (status, errors) in by_status {
            responses.put(&status.to_string(), refusal(status, &errors));
        }
    }
    out
}

fn idempotency_key() -> Json {
    let mut schema = Json::map();
    schema.put("type", Json::text("string"));
    schema.put("minLength", Json::integer(1));
    schema.put("maxLength", Json::integer(MAX_KEY_LENGTH));
    schema.put("pattern", Json::text(KEY_PATTERN));
    let mut parameter = Json::map();
    parameter.put("name", Json::text("Idempotency-Key"));
    parameter.put("in", Json::text("header"));
    parameter.put("required", Json::boolean(false));
    parameter.put(
        "description",
        Json::text(
            "Makes the request safe to repeat: the same key with the same request is answered the same; with another \
             request it is refused.",
        ),
    );
    parameter.put("schema", schema);
    parameter
}

fn refusal(status: u16, errors: &[&ErrorDef]) -> Json {
    let mut description = String::new();
    for error in errors {
        let separator = if description.is_empty() { "" } else { "\n" };
        let _ = write!(description, "{separator}- `{}`: {} {}", error.code, error.message, error.action);
    }
    let mut out = Json::map();
    out.put("description", Json::text(&description));
    if WITH_RETRY_AFTER.contains(&status) {
        out.put("headers", retry_after());
    }
    let mut schema = Json::map();
    schema.put("$ref", Json::text("#/components/schemas/Error"));
    let mut media = Json::map();
    media.put("schema", schema);
    let mut content = Json::map();
    content.put("application/json", media);
    out.put("content", content);
    out
}

fn retry_after() -> Json {
    let mut schema = Json::map();
    schema.put("type", Json::text("integer"));
    schema.put("minimum", Json::integer(0));
    let mut header = Json::map();
    header.put("description", Json::text("How many seconds to wait before trying again."));
    header.put("schema", schema);
    let mut headers = Json::map();
    headers.put("Retry-After", header);
    headers
}
