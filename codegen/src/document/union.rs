//! A union of `schemas/`, as it is written. Whether variants and mapping agree is for [`lint`](crate::lint::unions).

use super::Reader;
use super::fields::{Fields, text, wrong_kind};
use crate::diagnostic::Code;
use crate::source::{Entry, Located};

/// A union as written: variants and mapping may still disagree.
#[derive(Debug)]
pub struct UnionDocument {
    pub variants: Vec<Located<String>>,
    pub discriminator: Located<String>,
    /// Tags and the types that they name.
    pub mapping: Vec<(Located<String>, Located<String>)>,
}

/// Reads a union.
pub(super) fn read(reader: &mut Reader<'_>, fields: &mut Fields<'_>) -> Option<UnionDocument> {
    let hint = "write `oneOf: [{$ref: ...}, ...]` and `discriminator: {propertyName, mapping}`";
    for key in ["oneOf", "discriminator"] {
        if !fields.has(key) {
            let message = format!("a union without `{key}`");
            reader.problems.report(Code::UnionForm, fields.at, message, hint);
        }
    }
    let mut variants = Vec::new();
    for node in fields.list(reader, "oneOf").unwrap_or_default() {
        let reference = match node.as_map() {
            Some([entry]) if entry.key == "$ref" => text(reader, entry),
            _ => {
                reader.problems.report(Code::UnionForm, node.at, "a variant that is not just a reference", hint);
                None
            }
        };
        if let Some(reference) = reference
            && let Some(name) = reader.mention(&reference, true)
        {
            variants.push(Located::new(name, reference.at));
        }
    }
    let discriminator = fields.get("discriminator")?;
    let mut inner = Fields::open(reader, &discriminator.value, discriminator.key_at, "a discriminator")?;
    let property = inner.need_text(reader, "propertyName");
    let mut mapping = Vec::new();
    if let Some(entry) = inner.need(reader, "mapping")
        && let Some(mut tags) = mapping_entries(reader, entry)
    {
        mapping.append(&mut tags);
    }
    inner.close(reader);
    Some(UnionDocument { variants, discriminator: property?, mapping })
}

fn mapping_entries(reader: &mut Reader<'_>, entry: &Entry) -> Option<Vec<(Located<String>, Located<String>)>> {
    let Some(entries) = entry.value.as_map() else {
        wrong_kind(reader.problems, &entry.value, entry.value.at, "`mapping`", "a mapping");
        return None;
    };
    let mut mapping = Vec::new();
    for entry in entries {
        let Some(text) = text(reader, entry) else {
            continue;
        };
        if let Some(name) = reader.mention(&text, true) {
            mapping.push((Located::new(entry.key.clone(), entry.key_at), Located::new(name, text.at)));
        }
    }
    Some(mapping)
}
