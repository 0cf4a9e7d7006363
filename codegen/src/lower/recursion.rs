//! Marks the fields by which a type contains itself without a list or map between.

use std::collections::BTreeSet;

use indexmap::IndexMap;

use crate::ir::{Shape, Type, TypeDef};

/// Marks every recursive field.
pub fn mark(types: &mut IndexMap<String, TypeDef>) {
    let mut marks = Vec::new();
    for definition in types.values() {
        let Shape::Object { fields } = &definition.shape else {
            continue;
        };
        for (index, field) in fields.iter().enumerate() {
            if let Type::Named { name } = &field.ty
                && contains(types, name, &definition.name)
            {
                marks.push((definition.name.clone(), index));
            }
        }
    }
    for (name, index) in marks {
        if let Some(TypeDef { shape: Shape::Object { fields }, .. }) = types.get_mut(&name) {
            fields[index].recursive = true;
        }
    }
}

/// Whether a value of `outer` holds a value of `inner` in place.
fn contains(types: &IndexMap<String, TypeDef>, outer: &str, inner: &str) -> bool {
    let mut seen = BTreeSet::new();
    let mut waiting = vec![outer];
    while let Some(name) = waiting.pop() {
        if name == inner {
            return true;
        }
        if !seen.insert(name) {
            continue;
        }
        match types.get(name).map(|definition| &definition.shape) {
            Some(Shape::Object { fields }) => {
                waiting.extend(fields.iter().filter_map(|field| match &field.ty {
                    Type::Named { name } => Some(name.as_str()),
                    _ => None,
                }));
            }
            Some(Shape::Union { variants, .. }) => {
                waiting.extend(variants.iter().map(|variant| variant.ty.as_str()));
            }
            // An alias names a scalar, list or map: nothing in place.
            Some(Shape::Enum { .. } | Shape::Alias { .. }) | None => {}
        }
    }
    false
}
