//! The error catalogue as an open enum: a newer server may refuse with a code that this version does not know.

use anyhow::Result;
use serde::Serialize;

use super::ROOT;
use crate::ir::Protocol;
use crate::target::OutputFile;
use crate::target::rust::template::Templates;
use crate::target::rust::{documentation, identifier, literal};
use crate::target::scope::Scope;

#[derive(Serialize)]
struct Errors {
    codes: Vec<Code>,
}

#[derive(Serialize)]
struct Code {
    name: String,
    docs: Vec<String>,
    code: String,
    retryable: bool,
}

pub(super) fn emit(protocol: &Protocol, templates: &Templates) -> Result<OutputFile> {
    let mut scope = Scope::new("the error codes (spec/errors.yaml)");
    let mut codes = Vec::new();
    for error in protocol.errors.values() {
        let variant = identifier::variant(&error.code, &["Unknown"])?;
        codes.push(Code {
            name: scope.claim(variant, &error.code)?,
            docs: documentation::paragraphs([error.message.as_str(), &error.action]),
            code: literal::string(&error.code),
            retryable: error.retryable,
        });
    }
    let contents = templates.render("errors", "errors.yaml", Errors { codes })?;
    Ok(OutputFile::new(format!("{ROOT}/errors.rs"), contents))
}
