//! Unions: the mapping names every variant, every variant carries its tag as a constant, and no constant is left over.

use std::collections::BTreeMap;

use crate::diagnostic::{Code, Problems};
use crate::document::{Documents, SchemaShape, UnionDocument};
use crate::source::{Located, Span};

/// Checks the rules of this module.
pub fn check(documents: &Documents, problems: &mut Problems) {
    let owners = owners(documents);
    for schema in documents.schemas.values() {
        let Some(SchemaShape::Union(union)) = &schema.shape else {
            continue;
        };
        mapping(union, problems);
        for variant in &union.variants {
            check_variant(documents, union, variant, problems);
            if let Some(owner) = owners.get(variant.value.as_str())
                && owner.discriminator.value != union.discriminator.value
            {
                problems.report_with(
                    Code::UnionVariant,
                    variant.at,
                    format!("`{variant}` belongs to two unions with different discriminators"),
                    format!("use the discriminator of `{}` here too, or another type", owner.name),
                    vec![(owner.discriminator.at, "the other discriminator".to_owned())],
                );
            }
        }
    }
    stray_constants(documents, &owners, problems);
}

/// Who writes the discriminator of a type: a union, or a socket for its messages.
#[derive(Debug, Clone, Copy)]
pub struct Owner<'a> {
    pub name: &'a str,
    pub is_socket: bool,
    pub discriminator: &'a Located<String>,
    /// Where it says that the type is its own.
    pub at: Span,
}

/// The first owner of each type that has one.
pub fn owners(documents: &Documents) -> BTreeMap<&str, Owner<'_>> {
    let mut owners = BTreeMap::new();
    for schema in documents.schemas.values() {
        let Some(SchemaShape::Union(union)) = &schema.shape else {
            continue;
        };
        for variant in &union.variants {
            let discriminator = &union.discriminator;
            let owner = Owner { name: &schema.name, is_socket: false, discriminator, at: variant.at };
            owners.entry(variant.value.as_str()).or_insert(owner);
        }
    }
    for socket in documents.sockets.values() {
        for message in &socket.messages {
            if let (Some(discriminator), Some(payload)) = (&socket.discriminator, &message.payload)
                && documents.tag_of(socket, message).is_some()
            {
                let owner = Owner { name: &socket.name, is_socket: true, discriminator, at: payload.at };
                owners.entry(payload.value.as_str()).or_insert(owner);
            }
        }
    }
    owners
}

/// Whether a union or socket that could not be read mentions a type. Its discriminator is not known, so no constant is
/// stray.
fn of_broken_union(documents: &Documents, name: &str) -> bool {
    let unions = documents.schemas.values().filter(|schema| schema.shape.is_none()).map(|schema| &schema.mentions);
    let sockets = documents.sockets.values().filter(|socket| socket.discriminator.is_none());
    let mut mentions = unions.chain(sockets.map(|socket| &socket.mentions)).flatten();
    mentions.any(|mention| mention.as_variant && mention.name == name)
}

fn mapping(union: &UnionDocument, problems: &mut Problems) {
    let mut fault = |at: Span, message: String, related: Vec<(Span, String)>| {
        let hint = "the mapping names every variant once, by its file";
        problems.report_with(Code::UnionMapping, at, message, hint, related);
    };
    for (index, variant) in union.variants.iter().enumerate() {
        if let Some(first) = union.variants[..index].iter().find(|other| other.value == variant.value) {
            fault(variant.at, format!("`{variant}` is a variant twice"), vec![(first.at, "first here".to_owned())]);
        }
        if !union.mapping.iter().any(|(_, name)| name.value == variant.value) {
            fault(variant.at, format!("the mapping does not name `{variant}`"), Vec::new());
        }
    }
    for (index, (_, name)) in union.mapping.iter().enumerate() {
        if !union.variants.iter().any(|variant| variant.value == name.value) {
            fault(name.at, format!("the mapping names `{name}`, which is no variant"), Vec::new());
        }
        if let Some((_, first)) = union.mapping[..index].iter().find(|(_, other)| other.value == name.value) {
            fault(name.at, format!("the mapping names `{name}` twice"), vec![(first.at, "first here".to_owned())]);
        }
    }
}

fn check_variant(documents: &Documents, union: &UnionDocument, variant: &Located<String>, problems: &mut Problems) {
    let Some(shape) = documents.schemas.get(&variant.value).and_then(|schema| schema.shape.as_ref()) else {
        return;
    };
    let discriminator = &union.discriminator.value;
    let hint = format!("give it `{discriminator}: {{type: string, const: ...}}`, and require it");
    let SchemaShape::Object { properties } = shape else {
        problems.report(Code::UnionVariant, variant.at, format!("`{variant}` is not an object"), hint);
        return;
    };
    let Some(property) = properties.iter().find(|property| property.name.value == *discriminator) else {
        let message = format!("`{variant}` has no property `{discriminator}`");
        problems.report(Code::UnionVariant, variant.at, message, hint);
        return;
    };
    if property.kind.is_none() {
        return;
    }
    match property.constant() {
        Some(constant) if property.required => {
            let tag = union.mapping.iter().find(|(_, name)| name.value == variant.value).map(|(tag, _)| tag);
            if let Some(tag) = tag.filter(|tag| tag.value != constant.value) {
                problems.report_with(
                    Code::UnionVariant,
                    constant.at,
                    format!("`{variant}` calls itself `{constant}`, and the mapping calls it `{tag}`"),
                    "make the two the same",
                    vec![(tag.at, "the mapping".to_owned())],
                );
            }
        }
        _ => {
            let message = format!("`{discriminator}` is not a required constant of `{variant}`");
            problems.report_with(
                Code::UnionVariant,
                property.name.at,
                message,
                hint,
                vec![(union.discriminator.at, "the discriminator".to_owned())],
            );
        }
    }
}

fn stray_constants(documents: &Documents, owners: &BTreeMap<&str, Owner<'_>>, problems: &mut Problems) {
    for schema in documents.schemas.values() {
        let Some(SchemaShape::Object { properties }) = &schema.shape else {
            continue;
        };
        let discriminator = owners.get(schema.name.as_str()).map(|owner| owner.discriminator.value.as_str());
        if of_broken_union(documents, &schema.name) {
            continue;
        }
        for property in properties {
            if property.constant().is_some() && discriminator != Some(property.name.value.as_str()) {
                problems.report(
                    Code::StrayConstant,
                    property.name.at,
                    format!("`{}` is a constant, and discriminates neither variants nor messages", property.name),
                    "make it an enum of one value, or a discriminator",
                );
            }
        }
    }
}
