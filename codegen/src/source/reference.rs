//! What a `$ref` may say: a relative path to a file of the spec, and for path items and sockets an entry in it.

use super::{Role, Sources, Span};
use crate::diagnostic::{Code, Problems};

/// A reference, split and made relative to the spec's root.
#[derive(Debug, PartialEq, Eq)]
struct Target {
    path: String,
    entry: Option<String>,
}

/// Resolves a reference to a type. Reports and answers `None` where it is none.
pub fn schema(sources: &Sources, at: Span, text: &str, problems: &mut Problems) -> Option<String> {
    let target = resolve(sources, at, text, problems)?;
    let Role::Schema(name) = Role::of(&target.path) else {
        problems.report(Code::ReferenceForm, at, format!("`{text}` is not a schema's file"), SCHEMA_HINT);
        return None;
    };
    if let Some(entry) = &target.entry {
        let message = format!("`#/{entry}` points into a type");
        problems.report(Code::ReferenceForm, at, message, SCHEMA_HINT);
        return None;
    }
    if !sources.contains(&target.path) {
        problems.report(
            Code::ReferenceToNothing,
            at,
            format!("there is no {}", target.path),
            nearest(sources, name).map_or_else(
                || "write the file, or correct the reference".to_owned(),
                |near| format!("did you mean `{near}.yaml`?"),
            ),
        );
        return None;
    }
    Some(name.to_owned())
}

const SCHEMA_HINT: &str =
    "refer to a type by its file: \"Run.yaml\" beside it, \"../../schemas/Run.yaml\" from a path or a socket";

/// Resolves a reference to a path item into the surface's name and the entry's. Whether the entry exists is for the
/// caller to see.
pub fn path_item(sources: &Sources, at: Span, text: &str, problems: &mut Problems) -> Option<(String, String)> {
    let target = resolve(sources, at, text, problems)?;
    let (Role::Surface(surface), Some(entry)) = (Role::of(&target.path), &target.entry) else {
        problems.report(
            Code::ReferenceForm,
            at,
            format!("`{text}` is not a path item"),
            "refer to an entry of a surface's file: \"paths/runs.yaml#/run\"",
        );
        return None;
    };
    if !sources.contains(&target.path) {
        let message = format!("there is no {}", target.path);
        problems.report(Code::ReferenceToNothing, at, message, "write the file, or correct the reference");
        return None;
    }
    Some((surface.to_owned(), entry.clone()))
}

/// Resolves a reference to an entry of a socket's file into the socket's name and the entry's.
pub fn socket_entry(sources: &Sources, at: Span, text: &str, problems: &mut Problems) -> Option<(String, String)> {
    let target = resolve(sources, at, text, problems)?;
    let (Role::Socket(socket), Some(entry)) = (Role::of(&target.path), &target.entry) else {
        problems.report(
            Code::ReferenceForm,
            at,
            format!("`{text}` is not an entry of a socket's file"),
            "refer to an entry of a socket's file: \"channels/stream.yaml#/channel\"",
        );
        return None;
    };
    if !sources.contains(&target.path) {
        let message = format!("there is no {}", target.path);
        problems.report(Code::ReferenceToNothing, at, message, "write the file, or correct the reference");
        return None;
    }
    Some((socket.to_owned(), entry.clone()))
}

fn resolve(sources: &Sources, at: Span, text: &str, problems: &mut Problems) -> Option<Target> {
    let from = sources.file(at.file).map_or("", |file| file.path.as_str());
    match split(from, text) {
        Ok(target) => Some(target),
        Err(Fault::Escape) => {
            problems.report(
                Code::ReferenceEscape,
                at,
                format!("`{text}` leads out of the spec's folder"),
                "everything that a spec says is inside it; copy what you need into schemas/",
            );
            None
        }
        Err(Fault::Form) => {
            problems.report(
                Code::ReferenceForm,
                at,
                format!("`{text}` is not written as a reference is"),
                "write the relative path of the other file, with forward slashes; a path item follows as `#/name`",
            );
            None
        }
    }
}

enum Fault {
    Escape,
    Form,
}

fn split(from: &str, text: &str) -> Result<Target, Fault> {
    let (file, entry) = match text.split_once('#') {
        None => (text, None),
        Some((file, entry)) => {
            let entry = entry.strip_prefix('/').ok_or(Fault::Form)?;
            if entry.is_empty() || entry.contains(['/', '~', '%', '#']) {
                return Err(Fault::Form);
            }
            (file, Some(entry.to_owned()))
        }
    };
    if file.starts_with('/') || file.contains(':') {
        return Err(Fault::Escape);
    }
    if file.is_empty() || file.contains(['\\', '%', '?']) || file.chars().any(char::is_control) {
        return Err(Fault::Form);
    }
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in file.split('/') {
        match part {
            "" => return Err(Fault::Form),
            "." => {}
            ".." => {
                parts.pop().ok_or(Fault::Escape)?;
            }
            name => parts.push(name),
        }
    }
    Ok(Target { path: parts.join("/"), entry })
}

/// The type whose name is most like this one.
fn nearest<'a>(sources: &'a Sources, name: &str) -> Option<&'a str> {
    let names = sources.iter().filter_map(|(_, file)| match Role::of(&file.path) {
        Role::Schema(other) => Some(other),
        _ => None,
    });
    crate::names::nearest(name, names)
}
