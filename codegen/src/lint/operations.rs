//! What an operation says of itself: its name, its tag, its credentials, its body and whether it can be repeated.

use std::collections::{BTreeMap, BTreeSet};

use crate::diagnostic::{Code, Problems};
use crate::document::{Documents, OperationDocument, SurfaceDocument};
use crate::ir::{Content, Method};
use crate::lint::verbs;
use crate::names;

/// Checks the rules of this module.
pub fn check(documents: &Documents, problems: &mut Problems) {
    let mut ids = BTreeMap::new();
    for (surface, operation) in documents.operations() {
        if !operation.id.value.is_empty() {
            id_form(operation, problems);
            if let Some(first) = ids.insert(operation.id.value.as_str(), operation.id.at) {
                problems.report_with(
                    Code::OperationIdTwice,
                    operation.id.at,
                    format!("two operations are called `{}`", operation.id),
                    "a name is unique in the whole protocol; say what sets this one apart",
                    vec![(first, "the other".to_owned())],
                );
            }
        }
        tag(surface, operation, problems);
        body(operation, problems);
        idempotency(operation, problems);
        repetition(operation, problems);
        long_poll(operation, problems);
    }
    security(documents, problems);
}

fn id_form(operation: &OperationDocument, problems: &mut Problems) {
    let id = &operation.id;
    let words = names::words(&id.value);
    let verb = words.first().map_or("", String::as_str);
    if !names::is_camel(&id.value) || words.len() < 2 {
        problems.report(
            Code::OperationIdForm,
            id.at,
            format!("`{id}` is not camelCase of a verb and what it acts on"),
            "write it like `listRuns` or `decideApproval`",
        );
    } else if !verbs::is_known(verb) {
        problems.report(
            Code::OperationIdForm,
            id.at,
            format!("`{id}` does not begin with a verb that is known"),
            "begin with a verb, like `list`, `get`, `create`, `update` or `delete`; all are in codegen/src/lint/verbs.rs",
        );
    }
}

fn tag(surface: &SurfaceDocument, operation: &OperationDocument, problems: &mut Problems) {
    let hint = format!("write `tags: [{}]`: the file's name", surface.name);
    match operation.tags.as_slice() {
        [tag] if tag.value == surface.name => {}
        [tag] => {
            let message = format!("the tag `{tag}` is not the surface, `{}`", surface.name);
            problems.report(Code::OperationTag, tag.at, message, hint);
        }
        [] => {}
        [_, second, ..] => problems.report(Code::OperationTag, second.at, "an operation has exactly one tag", hint),
    }
}

fn body(operation: &OperationDocument, problems: &mut Problems) {
    if operation.has_body && matches!(operation.method, Method::Get | Method::Delete) {
        let at = operation.body.as_ref().map_or(operation.at, |body| body.at);
        let hint = "use query parameters, or another method";
        problems.report(Code::BodyForm, at, "a GET or DELETE takes no body: not every proxy passes it on", hint);
    }
}

fn idempotency(operation: &OperationDocument, problems: &mut Problems) {
    match operation.idempotent {
        Some(at) if operation.method != Method::Post => problems.report(
            Code::IdempotencyForm,
            at,
            "only a POST takes an idempotency key",
            "drop it: GET, PUT and DELETE can be repeated anyway, and a PATCH says so with `x-repeatable: true`",
        ),
        None if operation.method == Method::Post => {
            if let Some(created) = operation.successes.iter().find(|success| success.status == 201) {
                problems.report(
                    Code::IdempotencyForm,
                    created.at,
                    "a POST that creates cannot be repeated safely",
                    "add `x-idempotent: true`",
                );
            }
        }
        _ => {}
    }
}

fn repetition(operation: &OperationDocument, problems: &mut Problems) {
    let Some(at) = operation.repeatable else {
        return;
    };
    if operation.method.is_repeatable() {
        problems.report(
            Code::RepeatableForm,
            at,
            "this method can be repeated anyway",
            "drop it: GET, PUT and DELETE change nothing when they are repeated; only a POST or PATCH has to say so",
        );
    }
    if let Some(idempotent) = operation.idempotent {
        problems.report_with(
            Code::RepeatableForm,
            at,
            "what changes nothing when it is repeated needs no idempotency key",
            "keep `x-idempotent` where a repetition has an effect, and `x-repeatable` where it has none",
            vec![(idempotent, "the key".to_owned())],
        );
    }
}

fn long_poll(operation: &OperationDocument, problems: &mut Problems) {
    let Some(at) = operation.long_poll else {
        return;
    };
    let one_json = match operation.successes.as_slice() {
        [only] => only.status == 200 && matches!(only.content, Some(Content::Json { .. })),
        _ => false,
    };
    if operation.method != Method::Get || !one_json {
        problems.report(
            Code::LongPollForm,
            at,
            "only a GET with one JSON answer can be a long poll",
            "drop it, or give the operation that form: the answer's head is sent before its body is known",
        );
    }
}

fn security(documents: &Documents, problems: &mut Problems) {
    let schemes = &documents.route_map.schemes;
    let mut used = BTreeSet::new();
    let of_operations = documents.operations().map(|(_, operation)| &operation.security);
    for alternatives in of_operations.chain(documents.sockets.values().map(|socket| &socket.security)) {
        for scheme in alternatives.iter().flatten() {
            used.insert(scheme.value.as_str());
            if !schemes.contains_key(&scheme.value) {
                let near = names::nearest(&scheme.value, schemes.keys().map(String::as_str));
                problems.report(
                    Code::SecurityScheme,
                    scheme.at,
                    format!("openapi.yaml declares no scheme `{scheme}`"),
                    near.map_or_else(
                        || "declare it in `components.securitySchemes`".to_owned(),
                        |near| format!("did you mean `{near}`?"),
                    ),
                );
            }
        }
    }
    for (name, scheme) in schemes {
        if !used.contains(name.as_str()) {
            let message = format!("no operation or socket uses the scheme `{name}`");
            problems.report(Code::SchemeUnused, scheme.at, message, "use it, or drop it");
        }
    }
}
