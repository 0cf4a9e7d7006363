//! The catalogue and the operations: every code that is named exists, every code that exists is used, and nothing is
//! said twice.

use std::collections::BTreeSet;

use super::types::ERROR_BODY;
use crate::diagnostic::{Code, Problems};
use crate::document::catalogue::codes_of;
use crate::document::{CatalogueEntry, Documents, ImpliedBy, RequestShape};
use crate::source::{ERRORS, Located, Sources, Span};

/// Checks the rules of this module.
pub fn check(sources: &Sources, documents: &Documents, problems: &mut Problems) {
    let catalogue = sources.find(ERRORS);
    if !sources.contains(&format!("schemas/{ERROR_BODY}.yaml"))
        && let Some((file, _)) = catalogue
    {
        let message = "there is no schemas/Error.yaml";
        let hint = "write it: `error`, `code`, `action`, `request_id` and the optional `details`";
        problems.report(Code::ErrorBodyMissing, Span::start_of(file), message, hint);
    }
    // Without a catalogue every code would be unknown; its own fault has been reported.
    if catalogue.is_none_or(|(_, file)| file.root.is_none()) {
        return;
    }
    let mut used = BTreeSet::new();
    for (_, operation) in documents.operations() {
        let shape = RequestShape::of_operation(operation);
        declared(documents, &operation.errors, &shape, problems);
        used.extend(codes_of(&documents.errors, &operation.errors, &shape));
    }
    for socket in documents.sockets.values() {
        let shape = RequestShape::of_socket(socket);
        declared(documents, &socket.errors, &shape, problems);
        used.extend(codes_of(&documents.errors, &socket.errors, &shape));
        // A fault is said on the socket, so that nothing implies it.
        named(documents, &socket.faults, problems);
        used.extend(socket.faults.iter().map(|code| code.value.as_str()));
    }
    for entry in documents.errors.values() {
        let mut sound = true;
        for rule in &entry.implied_by {
            if let ImpliedBy::Scheme(scheme) = &rule.value
                && !documents.route_map.schemes.contains_key(scheme)
            {
                let message = format!("openapi.yaml declares no scheme `{scheme}`");
                problems.report(Code::ErrorImpliedBy, rule.at, message, "name one of `components.securitySchemes`");
                sound = false;
            }
        }
        if sound && !entry.is_outside() && !used.contains(entry.code.value.as_str()) {
            problems.report(
                Code::ErrorUnused,
                entry.code.at,
                format!("no operation or socket answers with `{}`", entry.code),
                "name it in `x-errors` or a socket's `x-faults`, say what implies it, or delete it",
            );
        }
    }
}

/// Reports codes that are unknown or named twice; answers the others.
fn named<'a>(
    documents: &'a Documents,
    codes: &'a [Located<String>],
    problems: &mut Problems,
) -> Vec<(&'a Located<String>, &'a CatalogueEntry)> {
    let mut found = Vec::new();
    for (index, code) in codes.iter().enumerate() {
        if let Some(first) = codes[..index].iter().find(|other| other.value == code.value) {
            problems.report_with(
                Code::ErrorTwice,
                code.at,
                format!("`{code}` is named twice"),
                "keep one of them",
                vec![(first.at, "first here".to_owned())],
            );
        }
        if let Some(entry) = documents.errors.get(&code.value) {
            found.push((code, entry));
        } else {
            let near = crate::names::nearest(&code.value, documents.errors.keys().map(String::as_str));
            problems.report(
                Code::ErrorUnknown,
                code.at,
                format!("errors.yaml has no code `{code}`"),
                near.map_or_else(|| "add it there first".to_owned(), |near| format!("did you mean `{near}`?")),
            );
        }
    }
    found
}

fn declared(documents: &Documents, codes: &[Located<String>], shape: &RequestShape<'_>, problems: &mut Problems) {
    for (code, entry) in named(documents, codes, problems) {
        if let Some(rule) = entry.implied_in(shape) {
            problems.report_with(
                Code::ErrorImplied,
                code.at,
                format!("`{code}` follows from the {}'s shape", shape.what()),
                "leave it out of `x-errors`",
                vec![(rule.at, "implied here".to_owned())],
            );
        }
        if entry.is_outside() {
            let message = format!("`{code}` is answered outside any operation");
            problems.report(Code::ErrorImplied, code.at, message, "leave it out of `x-errors`");
        }
    }
}
