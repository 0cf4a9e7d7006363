//! Types, field by field, value by value, variant by variant.

use super::direction::{Direction, Directions};
use super::{Changes, Verdict, limits, type_name};
use crate::ir::{EnumValue, Field, Protocol, Shape, TypeDef, Variant};

/// Compares every type.
pub fn compare(old: &Protocol, new: &Protocol, changes: &mut Changes) {
    let (before, after) = (Directions::of(old), Directions::of(new));
    for (name, old_type) in &old.types {
        let subject = format!("type {name}");
        match new.types.get(name) {
            None => changes.add(Verdict::Breaking, &subject, "was removed"),
            Some(new_type) => {
                // A type that starts to travel another way is held to both.
                let (before, after) = (before.get(name), after.get(name));
                let direction =
                    Direction { sent: before.sent || after.sent, received: before.received || after.received };
                one(&subject, direction, old_type, new_type, changes);
            }
        }
    }
    for name in new.types.keys().filter(|name| !old.types.contains_key(*name)) {
        changes.add(Verdict::Compatible, &format!("type {name}"), "was added");
    }
}

fn one(subject: &str, direction: Direction, old: &TypeDef, new: &TypeDef, changes: &mut Changes) {
    changes.words(subject, "description", &old.description, &new.description);
    changes.deprecation(subject, old.deprecated, new.deprecated);
    match (&old.shape, &new.shape) {
        (Shape::Object { fields: old }, Shape::Object { fields: new }) => {
            fields(subject, direction, old, new, changes);
        }
        (Shape::Enum { values: old }, Shape::Enum { values: new }) => {
            values(subject, old, new, changes);
        }
        (
            Shape::Union { discriminator: old_property, variants: old },
            Shape::Union { discriminator: new_property, variants: new },
        ) => {
            if old_property != new_property {
                let message = format!("the discriminator was `{old_property}` and is `{new_property}`");
                changes.add(Verdict::Breaking, subject, message);
            }
            variants(subject, old, new, changes);
        }
        (Shape::Alias { ty: old, limits: old_limits }, Shape::Alias { ty: new, limits: new_limits }) => {
            if old != new {
                let message = format!("the type was {} and is {}", type_name(old), type_name(new));
                changes.add(Verdict::Breaking, subject, message);
            } else {
                limits::compare(subject, direction, old_limits, new_limits, changes);
            }
        }
        (old, new) => {
            let message = format!("was {} and is {}", kind(old), kind(new));
            changes.add(Verdict::Breaking, subject, message);
        }
    }
}

const fn kind(shape: &Shape) -> &'static str {
    match shape {
        Shape::Object { .. } => "an object",
        Shape::Enum { .. } => "an enum",
        Shape::Union { .. } => "a union",
        Shape::Alias { .. } => "an alias",
    }
}

fn fields(subject: &str, direction: Direction, old: &[Field], new: &[Field], changes: &mut Changes) {
    for old_field in old {
        let subject = format!("{subject}, field {}", old_field.name);
        match new.iter().find(|field| field.name == old_field.name) {
            None => changes.add(Verdict::Breaking, &subject, "was removed"),
            Some(new_field) => field(&subject, direction, old_field, new_field, changes),
        }
    }
    for new_field in new.iter().filter(|field| !old.iter().any(|other| other.name == field.name)) {
        let subject = format!("{subject}, field {}", new_field.name);
        if new_field.required && direction.sent {
            changes.add(Verdict::Breaking, &subject, "was added, and what clients send needs it");
        } else {
            changes.add(Verdict::Compatible, &subject, "was added");
        }
    }
}

fn field(subject: &str, direction: Direction, old: &Field, new: &Field, changes: &mut Changes) {
    changes.words(subject, "description", &old.description, &new.description);
    changes.deprecation(subject, old.deprecated, new.deprecated);
    if old.ty != new.ty {
        let message = format!("the type was {} and is {}", type_name(&old.ty), type_name(&new.ty));
        changes.add(Verdict::Breaking, subject, message);
    } else {
        limits::compare(subject, direction, &old.limits, &new.limits, changes);
    }
    match (old.required, new.required) {
        (false, true) => changes.add(direction.narrowed(), subject, "was optional and is required"),
        (true, false) => changes.add(direction.widened(), subject, "was required and is optional"),
        _ => {}
    }
    match (old.nullable, new.nullable) {
        (true, false) => changes.add(direction.narrowed(), subject, "could be null and cannot be any more"),
        (false, true) => changes.add(direction.widened(), subject, "can be null now"),
        _ => {}
    }
    match (old.secret, new.secret) {
        (true, false) => changes.add(Verdict::Compatible, subject, "is no secret any more, and logs may show it"),
        (false, true) => changes.add(Verdict::Compatible, subject, "is a secret now, and hidden from logs"),
        _ => {}
    }
}

fn values(subject: &str, old: &[EnumValue], new: &[EnumValue], changes: &mut Changes) {
    for value in old {
        match new.iter().find(|other| other.value == value.value) {
            None => changes.add(Verdict::Breaking, subject, format!("the value `{}` was removed", value.value)),
            Some(other) => {
                let subject = format!("{subject}, value {}", value.value);
                changes.words(&subject, "description", &value.description, &other.description);
            }
        }
    }
    for value in new.iter().filter(|value| !old.iter().any(|other| other.value == value.value)) {
        changes.add(Verdict::Compatible, subject, format!("the value `{}` was added", value.value));
    }
}

fn variants(subject: &str, old: &[Variant], new: &[Variant], changes: &mut Changes) {
    for variant in old {
        match new.iter().find(|other| other.tag == variant.tag) {
            None => changes.add(Verdict::Breaking, subject, format!("the variant `{}` was removed", variant.tag)),
            Some(other) if other.ty != variant.ty => {
                let message = format!("the variant `{}` was {} and is {}", variant.tag, variant.ty, other.ty);
                changes.add(Verdict::Breaking, subject, message);
            }
            Some(_) => {}
        }
    }
    for variant in new.iter().filter(|variant| !old.iter().any(|other| other.tag == variant.tag)) {
        changes.add(Verdict::Compatible, subject, format!("the variant `{}` was added", variant.tag));
    }
}
