//! Types of the spec as types of Rust, in the words of one target.

use std::collections::BTreeSet;

use anyhow::{Context, Result};

use super::identifier;
use crate::ir::{Limits, Protocol, Shape, Type, TypeDef};

/// What a target calls the scalars. The paths are for `use`; files name a type by the last part of its path.
pub(crate) struct Dialect {
    pub(crate) timestamp: &'static str,
    pub(crate) int64: &'static str,
    pub(crate) json_object: &'static str,
    /// How the target calls a JSON object's type, e.g. `Map<String, Value>`.
    pub(crate) json_object_type: &'static str,
    /// Any JSON value.
    pub(crate) json: &'static str,
}

/// Where a type is named, which decides how types of the spec are reached.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum From {
    /// A file of `types`, which imports what it names.
    Types,
    /// A file beside `types`, which imports the module.
    Surface,
}

/// Writes types, and remembers what has to be imported for them.
pub(crate) struct TypeWriter<'a> {
    dialect: &'a Dialect,
    from: From,
    pub(crate) imports: BTreeSet<String>,
}

impl<'a> TypeWriter<'a> {
    pub(crate) fn new(dialect: &'a Dialect, from: From) -> Self {
        Self { dialect, from, imports: BTreeSet::new() }
    }

    pub(crate) fn write(&mut self, ty: &Type) -> Result<String> {
        Ok(match ty {
            Type::String | Type::Uri => "String".to_owned(),
            Type::Uuid => self.imported("uuid::Uuid"),
            Type::DateTime => self.imported(self.dialect.timestamp),
            Type::Int64Text => self.imported(self.dialect.int64),
            Type::Integer => "i64".to_owned(),
            Type::Unsigned => "u64".to_owned(),
            Type::Int32 => "i32".to_owned(),
            Type::Number => "f64".to_owned(),
            Type::Boolean => "bool".to_owned(),
            Type::JsonObject => {
                self.imports.insert(self.dialect.json_object.to_owned());
                self.dialect.json_object_type.to_owned()
            }
            Type::Json => self.imported(self.dialect.json),
            Type::List { item } => format!("Vec<{}>", self.write(item)?),
            Type::Map { value } => {
                self.imports.insert("std::collections::BTreeMap".to_owned());
                format!("BTreeMap<String, {}>", self.write(value)?)
            }
            Type::Named { name } => self.named(name)?,
        })
    }

    pub(crate) fn named(&mut self, name: &str) -> Result<String> {
        let name = identifier::type_name(name)?;
        Ok(match self.from {
            From::Types => self.imported(&format!("super::{name}")),
            From::Surface => {
                self.imports.insert("crate::generated::types".to_owned());
                format!("types::{name}")
            }
        })
    }

    /// Imports a path and gives its last part.
    pub(crate) fn imported(&mut self, path: &str) -> String {
        self.imports.insert(path.to_owned());
        path.rsplit("::").next().unwrap_or(path).to_owned()
    }
}

/// A named type's definition.
pub(crate) fn definition<'a>(protocol: &'a Protocol, name: &str) -> Result<&'a TypeDef> {
    protocol.types.get(name).with_context(|| format!("the model has no type {name}; it is not consistent"))
}

/// What an alias stands for, with its limits; other types stand for themselves, with the limits given.
pub(crate) fn resolved<'a>(protocol: &'a Protocol, ty: &'a Type, limits: &Limits) -> Result<(&'a Type, Limits)> {
    let (mut ty, mut limits) = (ty, limits.clone());
    let mut seen = BTreeSet::new();
    while let Type::Named { name } = ty {
        let Shape::Alias { ty: target, limits: own } = &definition(protocol, name)?.shape else {
            break;
        };
        anyhow::ensure!(seen.insert(name), "the alias {name} stands for itself");
        limits = merged(limits, own);
        ty = target;
    }
    Ok((ty, limits))
}

/// The nearer limits win.
fn merged(near: Limits, far: &Limits) -> Limits {
    Limits {
        min_length: near.min_length.or(far.min_length),
        max_length: near.max_length.or(far.max_length),
        pattern: near.pattern.or_else(|| far.pattern.clone()),
        minimum: near.minimum.or(far.minimum),
        maximum: near.maximum.or(far.maximum),
        min_items: near.min_items.or(far.min_items),
        max_items: near.max_items.or(far.max_items),
    }
}

/// The named types that a type mentions.
pub(crate) fn mentioned<'a>(ty: &'a Type, names: &mut Vec<&'a str>) {
    match ty {
        Type::Named { name } => names.push(name),
        Type::List { item: inner } | Type::Map { value: inner } => mentioned(inner, names),
        _ => {}
    }
}

/// Every type that the given ones consist of, themselves included.
pub(crate) fn reachable<'a>(protocol: &'a Protocol, from: impl IntoIterator<Item = &'a str>) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut open: Vec<&str> = from.into_iter().collect();
    while let Some(name) = open.pop() {
        if !reached.insert(name) {
            continue;
        }
        match protocol.types.get(name).map(|definition| &definition.shape) {
            Some(Shape::Object { fields }) => fields.iter().for_each(|field| mentioned(&field.ty, &mut open)),
            Some(Shape::Union { variants, .. }) => {
                open.extend(variants.iter().map(|variant| variant.ty.as_str()));
            }
            Some(Shape::Alias { ty, .. }) => mentioned(ty, &mut open),
            Some(Shape::Enum { .. }) | None => {}
        }
    }
    reached
}
