//! The protocol's bundled document, asked the questions that tests have: which operation a request is for, what it
//! may answer, whether a body has the promised shape.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{LazyLock, Mutex};

use anyhow::{Context, Result, bail};
use flightdeck_api::generated::OPERATIONS;
use flightdeck_api::support::OperationInfo;
use jsonschema::Validator;
use serde_json::{Value, json};

use crate::schema;

/// The document as it is generated, and as the server serves it.
pub const TEXT: &str = include_str!("../../api/src/generated/openapi.json");

static DOCUMENT: LazyLock<Value> = LazyLock::new(|| serde_json::from_str(TEXT).expect("the bundled document is JSON"));

static CLOSED_SCHEMAS: LazyLock<Value> = LazyLock::new(|| schema::closed(&DOCUMENT));

static VALIDATORS: LazyLock<Mutex<BTreeMap<String, &'static Validator>>> = LazyLock::new(Mutex::default);

/// The document.
#[must_use]
pub fn document() -> &'static Value {
    &DOCUMENT
}

/// The operation with this id.
///
/// # Panics
/// There is none.
#[must_use]
pub fn operation(id: &str) -> &'static OperationInfo {
    OPERATIONS.iter().find(|operation| operation.id == id).unwrap_or_else(|| panic!("the spec has no operation {id}"))
}

/// The operation that a request is for.
#[must_use]
pub fn find(method: &str, path: &str) -> Option<&'static OperationInfo> {
    // A fixed segment goes before a parameter: /v1/approvals/decisions is not an approval's id.
    let fits = |operation: &&OperationInfo| operation.method == method && matches(operation.path, path);
    OPERATIONS.iter().filter(fits).min_by_key(|operation| operation.path.matches('{').count())
}

/// Whether some operation has this path, by whatever method.
#[must_use]
pub fn has_path(path: &str) -> bool {
    OPERATIONS.iter().any(|operation| matches(operation.path, path))
}

fn matches(template: &str, path: &str) -> bool {
    let template: Vec<_> = template.split('/').collect();
    let path: Vec<_> = path.split('/').collect();
    template.len() == path.len()
        && template.iter().zip(&path).all(|(wanted, got)| wanted == got || (wanted.starts_with('{') && !got.is_empty()))
}

/// What the document says of an operation.
#[must_use]
pub fn describe(operation: &OperationInfo) -> &'static Value {
    let item = &DOCUMENT["paths"][operation.path][operation.method.to_ascii_lowercase()];
    assert!(item.is_object(), "the document does not describe {}", operation.id);
    item
}

/// The statuses with which an operation succeeds.
#[must_use]
pub fn successes(operation: &OperationInfo) -> BTreeSet<u16> {
    let responses = describe(operation)["responses"].as_object().into_iter().flatten();
    responses.filter_map(|(status, _)| status.parse().ok()).filter(|status| (200..300).contains(status)).collect()
}

/// Checks a body against the shape that the document gives for this answer. `content_type` is without parameters.
///
/// # Errors
/// The answer is not declared, or the body has another shape; the message lists every fault.
pub fn check_body(operation: &OperationInfo, status: u16, content_type: Option<&str>, body: &[u8]) -> Result<()> {
    let response = &describe(operation)["responses"][status.to_string()];
    if !response.is_object() {
        bail!("the status {status} is not declared");
    }
    let Some(content) = resolve(response)["content"].as_object().filter(|content| !content.is_empty()) else {
        return if body.is_empty() { Ok(()) } else { bail!("there is a body where none is declared") };
    };
    let content_type = content_type.context("the answer does not say its content type")?;
    let declared = content.get(content_type).with_context(|| {
        format!("the content type {content_type} is not declared, only {:?}", content.keys().collect::<Vec<_>>())
    })?;
    if content_type != "application/json" {
        std::str::from_utf8(body).context("the text is not UTF-8")?;
        return Ok(());
    }
    let body = serde_json::from_slice(body).context("the body is not JSON")?;
    check(&format!("{} {status}", operation.id), &declared["schema"], &body)
}

/// Checks a refusal outside any operation.
///
/// # Errors
/// The body has another shape than `Error`.
pub fn check_refusal(body: &[u8]) -> Result<()> {
    let body = serde_json::from_slice(body).context("the body is not JSON")?;
    check("Error", &json!({"$ref": "#/components/schemas/Error"}), &body)
}

fn check(name: &str, schema: &Value, body: &Value) -> Result<()> {
    schema::check(validator(name, schema)?, body).context("the body")
}

/// Compiled once for each answer, and kept: the tests see the same few answers thousands of times.
fn validator(name: &str, schema: &Value) -> Result<&'static Validator> {
    let mut validators = VALIDATORS.lock().expect("no test panics while it compiles a schema");
    if let Some(validator) = validators.get(name) {
        return Ok(validator);
    }
    let validator = Box::leak(Box::new(schema::compile(name, schema, &CLOSED_SCHEMAS)?));
    validators.insert(name.to_owned(), validator);
    Ok(validator)
}

fn resolve(value: &'static Value) -> &'static Value {
    match value["$ref"].as_str().and_then(|reference| reference.strip_prefix('#')) {
        Some(pointer) => DOCUMENT.pointer(pointer).expect("the document's references lead somewhere"),
        None => value,
    }
}
