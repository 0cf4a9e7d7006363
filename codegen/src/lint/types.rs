//! How types use each other: none unused, none that contains itself without end, no variant on its own.

use std::collections::BTreeSet;

use super::unions;
use crate::diagnostic::{Code, Problems};
use crate::document::{Documents, PropertyKind, SchemaDocument, SchemaShape};
use crate::ir::Type;

/// Checks the rules of this module.
pub fn check(documents: &Documents, problems: &mut Problems) {
    unused(documents, problems);
    variants_alone(documents, problems);
    alias_cycles(documents, problems);
    endless(documents, problems);
}

/// The body of every refusal; used without being mentioned.
pub const ERROR_BODY: &str = "Error";

fn unused(documents: &Documents, problems: &mut Problems) {
    let mentioned = documents.mentions().map(|mention| mention.name.as_str());
    let reached = documents.reachable(mentioned.chain([ERROR_BODY]));
    for schema in documents.schemas.values() {
        if !reached.contains(schema.name.as_str()) {
            problems.report(
                Code::UnusedType,
                schema.at,
                format!("no operation or socket reaches `{}`", schema.name),
                "refer to it from an operation, a socket or a type that one uses, or delete the file",
            );
        }
    }
}

/// A variant or message keeps its discriminator only inside its union or socket.
fn variants_alone(documents: &Documents, problems: &mut Problems) {
    let owners = unions::owners(documents);
    let of_types = documents.schemas.values().flat_map(|schema| &schema.mentions);
    for mention in of_types.chain(documents.mentions()).filter(|mention| !mention.as_variant) {
        let Some(owner) = owners.get(mention.name.as_str()) else {
            continue;
        };
        let (kind, hint, word) = if owner.is_socket {
            let kind = format!("a message of the socket `{}`", owner.name);
            (kind, "give this place a type of its own".to_owned(), "a message here")
        } else {
            let hint = format!("refer to `{}.yaml`, or give this place a type of its own", owner.name);
            (format!("a variant of `{}`", owner.name), hint, "a variant here")
        };
        problems.report_with(
            Code::VariantAlone,
            mention.at,
            format!("`{}` is {kind} and cannot be used without it", mention.name),
            hint,
            vec![(owner.at, word.to_owned())],
        );
    }
}

/// Most languages cannot write down an alias of itself.
fn alias_cycles(documents: &Documents, problems: &mut Problems) {
    let next = |schema: &SchemaDocument| match &schema.shape {
        Some(SchemaShape::Alias { ty, .. }) => named(ty).and_then(|name| documents.schemas.get(name)),
        _ => None,
    };
    for schema in documents.schemas.values() {
        let mut seen = BTreeSet::new();
        let mut current = next(schema);
        while let Some(inner) = current {
            if inner.name == schema.name {
                problems.report(
                    Code::AliasCycle,
                    schema.at,
                    format!("the alias `{}` contains itself", schema.name),
                    "put an object between: most languages cannot name such a type",
                );
                break;
            }
            if !seen.insert(inner.name.as_str()) {
                break;
            }
            current = next(inner);
        }
    }
}

fn named(ty: &Type) -> Option<&str> {
    match ty {
        Type::Named { name } => Some(name),
        Type::List { item } => named(item),
        Type::Map { value } => named(value),
        _ => None,
    }
}

/// A type is finite when a value of it can be written down. Lists and maps can be empty, optional fields missing and
/// nullable ones null, so only required fields count; a union needs one finite variant.
fn endless(documents: &Documents, problems: &mut Problems) {
    let mut finite: BTreeSet<&str> = BTreeSet::new();
    loop {
        let found: Vec<&str> = documents
            .schemas
            .values()
            .filter(|schema| !finite.contains(schema.name.as_str()) && is_finite(schema, documents, &finite))
            .map(|schema| schema.name.as_str())
            .collect();
        if found.is_empty() {
            break;
        }
        finite.extend(found);
    }
    for schema in documents.schemas.values().filter(|schema| !finite.contains(schema.name.as_str())) {
        problems.report(
            Code::EndlessType,
            schema.at,
            format!("no finite value of `{}` exists", schema.name),
            "make a field on the way back to it optional, nullable or a list",
        );
    }
}

fn is_finite(schema: &SchemaDocument, documents: &Documents, finite: &BTreeSet<&str>) -> bool {
    // A name that is not there has been reported already.
    let known = |name: &str| finite.contains(name) || !documents.schemas.contains_key(name);
    match &schema.shape {
        None | Some(SchemaShape::Enum { .. } | SchemaShape::Alias { .. }) => true,
        Some(SchemaShape::Object { properties }) => properties.iter().all(|property| match &property.kind {
            Some(PropertyKind::Value(value)) if property.required && !value.nullable => match &value.ty {
                Type::Named { name } => known(name),
                _ => true,
            },
            _ => true,
        }),
        Some(SchemaShape::Union(union)) => {
            union.variants.is_empty() || union.variants.iter().any(|variant| known(&variant.value))
        }
    }
}
