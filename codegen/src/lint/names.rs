//! Names: each kind has its form, and no two in the same scope become the same identifier in a target.

use std::collections::BTreeMap;

use crate::diagnostic::{Code, Problems};
use crate::document::{Documents, ParameterDocument, SchemaDocument, SchemaShape, SocketDocument};
use crate::ir::Place;
use crate::names::{camel, is_pascal, is_snake, snake, words};
use crate::source::{Located, Span};

/// The longest name that anybody should have to read.
const MAX_LENGTH: usize = 100;

/// Checks the rules of this module.
pub fn check(documents: &Documents, problems: &mut Problems) {
    for schema in documents.schemas.values() {
        type_name(schema, problems);
        members(schema, problems);
    }
    for surface in documents.surfaces.values() {
        let name = Located::new(surface.name.clone(), surface.at);
        snake_case("surface", &name, FILE_HINT, problems);
    }
    for (_, operation) in documents.operations() {
        parameters(&operation.parameters, operation.body.as_ref(), problems);
    }
    for socket in documents.sockets.values() {
        of_socket(socket, problems);
    }
    for row in documents.close_codes.values() {
        snake_case("close code", &row.name, "write it like `going_away`", problems);
    }
    for entry in documents.errors.values() {
        snake_case("code", &entry.code, "write it like `run_not_found`", problems);
    }
    let types: Vec<_> = documents.schemas.values().map(|schema| Located::new(schema.name.clone(), schema.at)).collect();
    clashes("types", &types, problems);
    let surfaces: Vec<_> = documents.surfaces.values().map(|it| Located::new(it.name.clone(), it.at)).collect();
    clashes("surfaces", &surfaces, problems);
    let operations: Vec<_> = documents.operations().map(|(_, operation)| operation.id.clone()).collect();
    clashes("operations", &operations, problems);
    let codes: Vec<_> = documents.errors.values().map(|entry| entry.code.clone()).collect();
    clashes("error codes", &codes, problems);
    let schemes: Vec<_> =
        documents.route_map.schemes.iter().map(|(name, scheme)| Located::new(name.clone(), scheme.at)).collect();
    clashes("security schemes", &schemes, problems);
    let sockets: Vec<_> = documents.sockets.values().map(|it| Located::new(it.name.clone(), it.at)).collect();
    clashes("sockets", &sockets, problems);
    let close_codes: Vec<_> = documents.close_codes.values().map(|row| row.name.clone()).collect();
    clashes("close codes", &close_codes, problems);
}

/// What to do about the name of a file that is not snake_case.
const FILE_HINT: &str = "rename the file: it names a module in every target";

fn snake_case(what: &str, name: &Located<String>, hint: &str, problems: &mut Problems) {
    if !is_snake(&name.value) {
        problems.report(Code::NameForm, name.at, format!("the {what} `{name}` is not snake_case"), hint);
    }
}

fn of_socket(socket: &SocketDocument, problems: &mut Problems) {
    snake_case("socket", &Located::new(socket.name.clone(), socket.at), FILE_HINT, problems);
    parameters(&socket.parameters, None, problems);
    let messages: Vec<_> = socket.messages.iter().map(|message| message.name.clone()).collect();
    for name in &messages {
        snake_case("message", name, "write it like `set_volume`; on the wire counts only what its type says", problems);
    }
    clashes("messages", &messages, problems);
}

fn type_name(schema: &SchemaDocument, problems: &mut Problems) {
    if !is_pascal(&schema.name) {
        problems.report(
            Code::NameForm,
            schema.at,
            format!("the type `{}` is not UpperCamelCase", schema.name),
            "rename the file: it names the type",
        );
    }
}

fn members(schema: &SchemaDocument, problems: &mut Problems) {
    let mut needless = true;
    match &schema.shape {
        Some(SchemaShape::Object { properties }) => {
            let names: Vec<_> = properties.iter().map(|property| property.name.clone()).collect();
            for name in &names {
                if !usable(name, problems) || is_snake(&name.value) {
                    continue;
                }
                needless = false;
                if schema.inherited_names.is_none() {
                    problems.report(
                        Code::NameForm,
                        name.at,
                        format!("the property `{name}` is not snake_case"),
                        "rename it; or, where an existing client dictates it, add `x-inherited-names: true` to the type",
                    );
                }
            }
            clashes("properties", &names, problems);
        }
        Some(SchemaShape::Enum { values, .. }) => {
            for value in values {
                usable(value, problems);
            }
            clashes("values", values, problems);
        }
        Some(SchemaShape::Union(union)) => {
            let tags: Vec<_> = union.mapping.iter().map(|(tag, _)| tag.clone()).collect();
            for tag in &tags {
                usable(tag, problems);
            }
            clashes("tags", &tags, problems);
            needless = is_snake(&union.discriminator.value);
        }
        Some(SchemaShape::Alias { .. }) => {}
        None => return,
    }
    if needless {
        report_needless(schema.inherited_names, problems);
    }
}

fn parameters(parameters: &[ParameterDocument], body: Option<&Located<String>>, problems: &mut Problems) {
    for parameter in parameters {
        let name = &parameter.name;
        if !usable(name, problems) {
            continue;
        }
        let (well_formed, form) = match parameter.place {
            Place::Header => (is_header(&name.value), "a header like `X-Device-Id`"),
            Place::Path | Place::Query => (is_snake(&name.value), "snake_case"),
        };
        if well_formed {
            report_needless(parameter.inherited_name, problems);
        } else if parameter.inherited_name.is_none() {
            problems.report(
                Code::NameForm,
                name.at,
                format!("the parameter `{name}` is not {form}"),
                "rename it; or, where an existing client dictates it, add `x-inherited-names: true` beside it",
            );
        }
    }
    // In one scope, because a target passes them side by side; the body is there too. The same name twice in one
    // place has a code of its own.
    let mut names: Vec<Located<String>> = Vec::new();
    for (index, parameter) in parameters.iter().enumerate() {
        let same = |other: &ParameterDocument| {
            other.place == parameter.place && other.name.value.eq_ignore_ascii_case(&parameter.name.value)
        };
        if !parameters[..index].iter().any(same) {
            names.push(parameter.name.clone());
        }
    }
    names.extend(body.map(|body| Located::new("body".to_owned(), body.at)));
    clashes("parameters", &names, problems);
}

fn is_header(name: &str) -> bool {
    let part = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_uppercase()) && part.chars().all(|c| c.is_ascii_alphanumeric())
    };
    name.split('-').all(part)
}

fn report_needless(at: Option<Span>, problems: &mut Problems) {
    if let Some(at) = at {
        let message = "every name here obeys the rule anyway";
        problems.report(Code::NeedlessInheritance, at, message, "drop `x-inherited-names`");
    }
}

/// Whether an identifier can be made of a name. Reports it if not.
fn usable(name: &Located<String>, problems: &mut Problems) -> bool {
    let text = &name.value;
    let fault = if text.is_empty() {
        "an empty name"
    } else if text.len() > MAX_LENGTH {
        "a name longer than 100 bytes"
    } else if text.chars().any(|c| c.is_control() || !c.is_ascii()) {
        "a name with characters outside printable ASCII"
    } else if words(text).is_empty() {
        "a name without letters or digits"
    } else {
        return true;
    };
    problems.report(Code::NameUnusable, name.at, fault, "no target can make an identifier of it; rename it");
    false
}

/// Reports names that fold to the same identifier. Equal names are somebody else's fault to report.
fn clashes(what: &str, names: &[Located<String>], problems: &mut Problems) {
    let mut snakes: BTreeMap<String, &Located<String>> = BTreeMap::new();
    let mut camels: BTreeMap<String, &Located<String>> = BTreeMap::new();
    for name in names.iter().filter(|name| !words(&name.value).is_empty()) {
        let by_snake = *snakes.entry(snake(&name.value)).or_insert(name);
        let by_camel = *camels.entry(camel(&name.value)).or_insert(name);
        let (first, identifier) = if by_snake.at != name.at {
            (by_snake, snake(&name.value))
        } else if by_camel.at != name.at {
            (by_camel, camel(&name.value))
        } else {
            continue;
        };
        if first.value == name.value && what != "parameters" {
            continue;
        }
        problems.report_with(
            Code::NameClash,
            name.at,
            format!("the {what} `{first}` and `{name}` both become `{identifier}`"),
            "rename one of them; a target cannot keep both",
            vec![(first.at, "the other".to_owned())],
        );
    }
}
