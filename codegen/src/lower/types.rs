//! Types. A variant loses its discriminator here: the union owns it.

use std::collections::BTreeMap;

use indexmap::IndexMap;

use crate::document::{Documents, PropertyKind, SchemaShape};
use crate::ir::{EnumValue, Field, Shape, TypeDef, Variant};

/// Every type, sorted by name.
pub fn lower(documents: &Documents) -> IndexMap<String, TypeDef> {
    // Documents are read in the order of their paths, which is that of their names; sorting makes it a promise.
    let sorted: BTreeMap<&String, TypeDef> = documents
        .schemas
        .values()
        .filter_map(|schema| {
            let definition = TypeDef {
                name: schema.name.clone(),
                description: schema.description.clone(),
                deprecated: schema.deprecated,
                source: schema.source.clone(),
                shape: shape(schema.shape.as_ref()?),
            };
            Some((&schema.name, definition))
        })
        .collect();
    sorted.into_iter().map(|(name, definition)| (name.clone(), definition)).collect()
}

fn shape(shape: &SchemaShape) -> Shape {
    match shape {
        SchemaShape::Object { properties } => Shape::Object {
            fields: properties
                .iter()
                .filter_map(|property| match property.kind.as_ref()? {
                    PropertyKind::Constant(_) => None,
                    PropertyKind::Value(value) => Some(Field {
                        name: property.name.value.clone(),
                        description: property.description.clone(),
                        deprecated: property.deprecated,
                        ty: value.ty.clone(),
                        required: property.required,
                        nullable: value.nullable,
                        limits: value.limits.clone(),
                        secret: property.secret,
                        recursive: false,
                    }),
                })
                .collect(),
        },
        SchemaShape::Enum { values, descriptions } => Shape::Enum {
            values: values
                .iter()
                .map(|value| EnumValue {
                    value: value.value.clone(),
                    description: descriptions.get(&value.value).cloned().unwrap_or_default(),
                })
                .collect(),
        },
        SchemaShape::Union(union) => Shape::Union {
            discriminator: union.discriminator.value.clone(),
            variants: union
                .mapping
                .iter()
                .map(|(tag, name)| Variant { tag: tag.value.clone(), ty: name.value.clone() })
                .collect(),
        },
        SchemaShape::Alias { ty, limits } => Shape::Alias { ty: ty.clone(), limits: limits.clone() },
    }
}
