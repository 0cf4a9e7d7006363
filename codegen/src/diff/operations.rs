//! Operations: routes, parameters, bodies, answers, refusals, credentials.

use super::direction::Direction;
use super::{Changes, Verdict, limits, type_name};
use crate::ir::{Content, Operation, Parameter, Protocol, Success, Surface};

/// Compares every operation.
pub fn compare(old: &Protocol, new: &Protocol, changes: &mut Changes) {
    for surface in &old.surfaces {
        if let Some(other) = new.surfaces.iter().find(|other| other.name == surface.name) {
            let subject = format!("surface {}", surface.name);
            changes.words(&subject, "description", &surface.description, &other.description);
        }
    }
    for (surface, operation) in all(old) {
        let subject = format!("operation {}", operation.id);
        match all(new).find(|(_, other)| other.id == operation.id) {
            None => removed(&subject, operation, new, changes),
            Some((new_surface, other)) => {
                if surface.name != new_surface.name {
                    let message = format!("moved from the surface {} to {}", surface.name, new_surface.name);
                    changes.add(Verdict::Breaking, &subject, message);
                }
                one(&subject, operation, other, changes);
            }
        }
    }
    for (_, operation) in all(new) {
        if !all(old).any(|(_, other)| other.id == operation.id) {
            changes.add(Verdict::Compatible, &format!("operation {}", operation.id), "was added");
        }
    }
}

fn all(protocol: &Protocol) -> impl Iterator<Item = (&Surface, &Operation)> {
    protocol.surfaces.iter().flat_map(|surface| surface.operations.iter().map(move |operation| (surface, operation)))
}

fn removed(subject: &str, operation: &Operation, new: &Protocol, changes: &mut Changes) {
    let successor = all(new).find(|(_, other)| other.method == operation.method && other.path == operation.path);
    let message = successor.map_or_else(
        || "was removed".to_owned(),
        |(_, other)| format!("is called {} now; its route is the same, its name in every SDK is not", other.id),
    );
    changes.add(Verdict::Breaking, subject, message);
}

fn one(subject: &str, old: &Operation, new: &Operation, changes: &mut Changes) {
    changes.words(subject, "summary", &old.summary, &new.summary);
    changes.words(subject, "description", &old.description, &new.description);
    changes.deprecation(subject, old.deprecated, new.deprecated);
    if (old.method, &old.path) != (new.method, &new.path) {
        let message = format!("was {:?} {} and is {:?} {}", old.method, old.path, new.method, new.path);
        changes.add(Verdict::Breaking, subject, message);
    }
    parameters(subject, &old.parameters, &new.parameters, changes);
    match (&old.body, &new.body) {
        (None, None) => {}
        (None, Some(_)) => changes.add(Verdict::Breaking, subject, "takes a body now"),
        (Some(_), None) => changes.add(Verdict::Breaking, subject, "takes no body any more"),
        (Some(old), Some(new)) if old == new => {}
        (Some(old), Some(new)) => {
            changes.add(Verdict::Breaking, subject, format!("the body was {old} and is {new}"));
        }
    }
    successes(subject, &old.successes, &new.successes, changes);
    changes.codes(subject, "refuse with", &old.errors, &new.errors);
    security(subject, &old.security, &new.security, changes);
    match (old.idempotent, new.idempotent) {
        (true, false) => changes.add(Verdict::Breaking, subject, "takes no idempotency key any more"),
        (false, true) => changes.add(Verdict::Compatible, subject, "takes an idempotency key now"),
        _ => {}
    }
    match (old.repeatable, new.repeatable) {
        (true, false) => changes.add(Verdict::Breaking, subject, "may not be repeated without a key any more"),
        (false, true) => changes.add(Verdict::Compatible, subject, "may be repeated without a key now"),
        _ => {}
    }
    match (&old.pagination, &new.pagination) {
        (old, new) if old == new => {}
        (None, Some(_)) => changes.add(Verdict::Compatible, subject, "has pages now"),
        _ => changes.add(Verdict::Breaking, subject, "its pages are followed in another way, or not at all"),
    }
}

/// Compares the parameters of an operation or socket.
pub(super) fn parameters(subject: &str, old: &[Parameter], new: &[Parameter], changes: &mut Changes) {
    let same = |one: &Parameter, other: &Parameter| one.name == other.name && one.place == other.place;
    for parameter in old {
        let subject = format!("{subject}, parameter {}", parameter.name);
        match new.iter().find(|other| same(parameter, other)) {
            None => changes.add(Verdict::Breaking, &subject, "was removed"),
            Some(other) => one_parameter(&subject, parameter, other, changes),
        }
    }
    for parameter in new.iter().filter(|it| !old.iter().any(|other| same(it, other))) {
        let subject = format!("{subject}, parameter {}", parameter.name);
        if parameter.required {
            changes.add(Verdict::Breaking, &subject, "was added, and requests need it");
        } else {
            changes.add(Verdict::Compatible, &subject, "was added");
        }
    }
}

fn one_parameter(subject: &str, old: &Parameter, new: &Parameter, changes: &mut Changes) {
    changes.words(subject, "description", &old.description, &new.description);
    changes.deprecation(subject, old.deprecated, new.deprecated);
    match (old.required, new.required) {
        (false, true) => changes.add(Verdict::Breaking, subject, "was optional and is required"),
        (true, false) => changes.add(Verdict::Compatible, subject, "was required and is optional"),
        _ => {}
    }
    if old.ty != new.ty {
        let message = format!("the type was {} and is {}", type_name(&old.ty), type_name(&new.ty));
        changes.add(Verdict::Breaking, subject, message);
    } else {
        limits::compare(subject, Direction::SENT, &old.limits, &new.limits, changes);
    }
    if old.default != new.default {
        let text =
            |value: &Option<serde_json::Value>| value.as_ref().map_or_else(|| "none".to_owned(), ToString::to_string);
        let message = format!("the default was {} and is {}", text(&old.default), text(&new.default));
        changes.add(Verdict::Breaking, subject, message);
    }
}

fn successes(subject: &str, old: &[Success], new: &[Success], changes: &mut Changes) {
    for success in old {
        match new.iter().find(|other| other.status == success.status) {
            None => changes.add(Verdict::Breaking, subject, format!("does not answer {} any more", success.status)),
            Some(other) => {
                let subject = format!("{subject}, answer {}", success.status);
                changes.words(&subject, "description", &success.description, &other.description);
                if success.content != other.content {
                    let message = format!("was {} and is {}", content(&success.content), content(&other.content));
                    changes.add(Verdict::Breaking, &subject, message);
                }
            }
        }
    }
    for success in new.iter().filter(|success| !old.iter().any(|other| other.status == success.status)) {
        changes.add(
            Verdict::Breaking,
            subject,
            format!("can answer {} now, which clients do not expect", success.status),
        );
    }
}

fn content(content: &Content) -> String {
    match content {
        Content::Empty => "empty".to_owned(),
        Content::Text => "plain text".to_owned(),
        Content::Json { ty } => ty.clone(),
        Content::JsonList { ty } => format!("a list of {ty}"),
    }
}

/// Compares the credentials that an operation or socket accepts.
pub(super) fn security(subject: &str, old: &[Vec<String>], new: &[Vec<String>], changes: &mut Changes) {
    // No alternatives at all is the empty alternative.
    let alternatives = |security: &[Vec<String>]| {
        if security.is_empty() { vec![Vec::new()] } else { security.to_vec() }
    };
    let name = |schemes: &[String]| {
        if schemes.is_empty() { "no credential".to_owned() } else { schemes.join(" with ") }
    };
    let (old, new) = (alternatives(old), alternatives(new));
    for schemes in old.iter().filter(|schemes| !new.contains(schemes)) {
        changes.add(Verdict::Breaking, subject, format!("does not accept {} any more", name(schemes)));
    }
    for schemes in new.iter().filter(|schemes| !old.contains(schemes)) {
        changes.add(Verdict::Compatible, subject, format!("accepts {} now", name(schemes)));
    }
}
