//! The error catalogue as a closed enum.

use anyhow::{Context, Result};
use serde::Serialize;

use super::ROOT;
use crate::ir::Protocol;
use crate::target::OutputFile;
use crate::target::rust::template::Templates;
use crate::target::rust::{documentation, identifier, literal};
use crate::target::scope::Scope;

/// What `api/src/support` says on its own.
const NEEDED: &[&str] = &[
    "internal",
    "unavailable",
    "invalid_request",
    "unsupported_media_type",
    "body_too_large",
    "body_timeout",
    "route_not_found",
    "method_not_allowed",
];

/// What it says besides, where there are sockets.
const NEEDED_BY_SOCKETS: &[&str] = &["not_json", "unknown_message", "invalid_message"];

#[derive(Serialize)]
struct Errors {
    codes: Vec<Code>,
}

#[derive(Serialize)]
struct Code {
    name: String,
    docs: Vec<String>,
    code: String,
    status: u16,
    retryable: bool,
    message: String,
    action: String,
}

pub(super) fn emit(protocol: &Protocol, templates: &Templates) -> Result<OutputFile> {
    let by_sockets = if protocol.sockets.is_empty() { &[] } else { NEEDED_BY_SOCKETS };
    for needed in NEEDED.iter().chain(by_sockets) {
        protocol
            .errors
            .get(*needed)
            .with_context(|| format!("errors.yaml has no code `{needed}`, which the server's stubs need; add it"))?;
    }
    let mut scope = Scope::new("the error codes (spec/errors.yaml)");
    let mut codes = Vec::new();
    for error in protocol.errors.values() {
        codes.push(Code {
            name: scope.claim(variant(&error.code)?, &error.code)?,
            docs: documentation::lines(&error.message),
            code: literal::string(&error.code),
            status: error.status,
            retryable: error.retryable,
            message: literal::string(&error.message),
            action: literal::string(&error.action),
        });
    }
    let contents = templates.render("errors", "errors.yaml", Errors { codes })?;
    Ok(OutputFile::new(format!("{ROOT}/errors.rs"), contents))
}

/// The variant of a code.
pub(super) fn variant(code: &str) -> Result<String> {
    identifier::variant(code, &[])
}
