//! How an operation succeeds: what the trait's method gives, and what the handler makes of it.

use anyhow::Result;
use serde::Serialize;

use crate::ir::{Content, Operation, Success};
use crate::target::rust::documentation;
use crate::target::rust::operation::{success_variant, type_named_after};
use crate::target::rust::types::TypeWriter;

/// Several ways to succeed, as one enum.
#[derive(Serialize)]
pub(super) struct SuccessesItem {
    pub(super) name: String,
    variants: Vec<SuccessItem>,
}

#[derive(Serialize)]
struct SuccessItem {
    docs: Vec<String>,
    name: String,
    /// Empty if the answer has no content.
    ty: String,
    answer: String,
    wrapped: String,
}

/// One way to succeed.
pub(super) struct Single {
    pub(super) output: String,
    pub(super) answer: String,
    pub(super) given: String,
    pub(super) wrapped: String,
}

impl Single {
    pub(super) fn of(success: &Success, writer: &mut TypeWriter<'_>) -> Result<Self> {
        let value = "value".to_owned();
        let (output, answer, given, wrapped) = match &success.content {
            Content::Empty => {
                writer.imported("crate::support::NoContent");
                ("()".to_owned(), "NoContent".to_owned(), "()".to_owned(), "NoContent".to_owned())
            }
            Content::Text => {
                writer.imported("poem_openapi::payload::PlainText");
                ("String".to_owned(), "PlainText<String>".to_owned(), value, "PlainText(value)".to_owned())
            }
            Content::Json { ty } => {
                writer.imported("crate::support::Json");
                let ty = writer.named(ty)?;
                (ty.clone(), format!("Json<{ty}>"), value, "Json(value)".to_owned())
            }
            Content::JsonList { ty } => {
                writer.imported("crate::support::Json");
                let ty = format!("Vec<{}>", writer.named(ty)?);
                (ty.clone(), format!("Json<{ty}>"), value, "Json(value)".to_owned())
            }
        };
        if success.status == 200 {
            return Ok(Self { output, answer, given, wrapped });
        }
        writer.imported("crate::support::Answer");
        let answer = format!("Answer<{}, {answer}>", success.status);
        Ok(Self { output, answer, given, wrapped: format!("Answer({wrapped})") })
    }
}

pub(super) fn several(
    operation: &Operation,
    several: &[Success],
    writer: &mut TypeWriter<'_>,
) -> Result<SuccessesItem> {
    writer.imports.extend(["Answer", "answers"].map(|name| format!("crate::support::{name}")));
    let mut variants = Vec::new();
    for success in several {
        let single = Single::of(&Success { status: 0, ..success.clone() }, writer)?;
        variants.push(SuccessItem {
            docs: documentation::lines(&success.description),
            name: success_variant(success.status),
            ty: if success.content == Content::Empty { String::new() } else { single.output },
            answer: single.answer.replacen("Answer<0,", &format!("Answer<{},", success.status), 1),
            wrapped: format!("Answer::<{}, _>{}", success.status, single.wrapped.trim_start_matches("Answer")),
        });
    }
    Ok(SuccessesItem { name: type_named_after(operation, "Success")?, variants })
}
