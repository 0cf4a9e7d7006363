//! An enum of `schemas/`: its values, and a word about those that need one.

use indexmap::IndexMap;

use super::Reader;
use super::fields::{Fields, text, wrong_kind};
use super::schema::{SchemaShape, expect_type};
use crate::diagnostic::Code;
use crate::source::Span;

/// Reads an enum.
pub(super) fn read(reader: &mut Reader<'_>, fields: &mut Fields<'_>) -> Option<SchemaShape> {
    expect_type(reader, fields, "string");
    let at = fields.get("enum").map_or(fields.at, |entry| entry.key_at);
    let values = fields.texts(reader, "enum");
    let mut problem = |at: Span, message: String, related| {
        let hint = "an enum lists each of its values once, and describes only those";
        reader.problems.report_with(Code::EnumValues, at, message, hint, related);
    };
    if values.is_empty() {
        problem(at, "the enum has no values".to_owned(), Vec::new());
    }
    for (index, value) in values.iter().enumerate() {
        if let Some(first) = values[..index].iter().find(|other| other.value == value.value) {
            problem(value.at, format!("the value `{value}` occurs twice"), vec![(first.at, "first here".to_owned())]);
        }
    }
    let mut descriptions = IndexMap::new();
    if let Some(described) = fields.get("x-descriptions") {
        let Some(entries) = described.value.as_map() else {
            wrong_kind(reader.problems, &described.value, described.value.at, "`x-descriptions`", "a mapping");
            return None;
        };
        for entry in entries {
            if !values.iter().any(|value| value.value == entry.key) {
                reader.problems.report(
                    Code::EnumValues,
                    entry.key_at,
                    format!("`{}` is described, but is no value of this enum", entry.key),
                    "an enum lists each of its values once, and describes only those",
                );
            }
            if let Some(text) = text(reader, entry) {
                descriptions.insert(entry.key.clone(), text.value.trim().to_owned());
            }
        }
    }
    Some(SchemaShape::Enum { values, descriptions })
}
