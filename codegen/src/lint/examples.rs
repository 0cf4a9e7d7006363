//! Examples: one file for every operation, at least one for every socket, and none for nothing. What is in them is for the contract tests.

use crate::diagnostic::{Code, Problems};
use crate::document::Documents;
use crate::lint::Options;
use crate::source::{Role, Sources, Span};

/// Checks the rules of this module.
pub fn check(sources: &Sources, documents: &Documents, options: Options, problems: &mut Problems) {
    for (surface, operation) in documents.operations() {
        let path = format!("examples/{}/{}.yaml", surface.name, operation.id);
        if !options.without_examples && !operation.id.value.is_empty() && !sources.contains(&path) {
            problems.report(
                Code::ExampleMissing,
                operation.id.at,
                format!("`{}` has no example", operation.id),
                format!("write {path}; `--without-examples` leaves this rule out while a spec is young"),
            );
        }
    }
    for socket in documents.sockets.values().filter(|_| !options.without_examples) {
        let is_of_socket = |path: &str| Role::of(path) == Role::SocketExample { socket: &socket.name };
        if !sources.iter().any(|(_, file)| is_of_socket(&file.path)) {
            problems.report(
                Code::ExampleMissing,
                socket.at,
                format!("the socket `{}` has no example", socket.name),
                format!("write examples/sockets/{}/<what_it_shows>.yaml", socket.name),
            );
        }
    }
    for (file, source) in sources.iter() {
        let (surface, operation) = match Role::of(&source.path) {
            Role::Example { surface, operation } => (surface, operation),
            Role::ErrorExample(code) => {
                error_example(documents, code, Span::start_of(file), problems);
                continue;
            }
            Role::SocketExample { socket } => {
                socket_example(documents, socket, Span::start_of(file), problems);
                continue;
            }
            _ => continue,
        };
        let exists = documents.operations().any(|(s, o)| s.name == surface && o.id.value == operation);
        if !exists {
            let near = documents.operations().find(|(_, other)| other.id.value == operation);
            problems.report(
                Code::ExampleStray,
                Span::start_of(file),
                format!("the surface `{surface}` has no operation `{operation}`"),
                near.map_or_else(
                    || "rename the file after its operation, or delete it".to_owned(),
                    |(other, _)| format!("move it to examples/{}", other.name),
                ),
            );
        }
    }
}

/// Codes that follow from an operation's shape have examples of their own.
fn error_example(documents: &Documents, code: &str, at: Span, problems: &mut Problems) {
    if !documents.errors.contains_key(code) {
        let message = format!("errors.yaml has no code `{code}`");
        problems.report(Code::ExampleStray, at, message, "rename the file after its code, or delete it");
    }
}

fn socket_example(documents: &Documents, socket: &str, at: Span, problems: &mut Problems) {
    if !documents.sockets.contains_key(socket) {
        let near = crate::names::nearest(socket, documents.sockets.keys().map(String::as_str));
        problems.report(
            Code::ExampleStray,
            at,
            format!("there is no socket `{socket}`"),
            near.map_or_else(
                || "rename the folder after its socket, or delete it".to_owned(),
                |near| format!("did you mean examples/sockets/{near}?"),
            ),
        );
    }
}
