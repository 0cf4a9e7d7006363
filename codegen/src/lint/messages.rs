//! Messages: each is an object, somebody says it, and its reader can tell it from all others of its direction.

use std::collections::{BTreeMap, BTreeSet};

use super::unions::{self, Owner};
use crate::diagnostic::{Code, Problems};
use crate::document::{Documents, MessageDocument, Property, SocketDocument};
use crate::source::{Located, Span};

/// Checks the rules of this module.
pub fn check(documents: &Documents, problems: &mut Problems) {
    let owners = unions::owners(documents);
    for socket in documents.sockets.values() {
        for message in &socket.messages {
            form(documents, &owners, socket, message, problems);
        }
        sides(socket, problems);
        for names in [&socket.receive, &socket.send] {
            tell_apart(documents, socket, names, problems);
        }
        beside_raw(documents, socket, problems);
    }
}

/// A message is an object that says itself what it is: by the discriminator, or by a property of its own.
fn form(
    documents: &Documents,
    owners: &BTreeMap<&str, Owner<'_>>,
    socket: &SocketDocument,
    message: &MessageDocument,
    problems: &mut Problems,
) {
    let (Some(payload), Some(discriminator)) = (&message.payload, &socket.discriminator) else {
        return;
    };
    if documents.schemas.get(&payload.value).is_none_or(|schema| schema.shape.is_none()) {
        return;
    }
    let property_hint = format!("give it `{discriminator}: {{const: ...}}`, and require it");
    let Some(properties) = documents.properties(&payload.value) else {
        let message = format!("`{payload}` is not an object");
        let hint = format!("a message is an object of its own: `type: object` with `{discriminator}: {{const: ...}}`");
        problems.report(Code::MessageForm, payload.at, message, hint);
        return;
    };
    let find = |name: &str| properties.iter().find(|property| property.name.value == name);
    match find(&discriminator.value) {
        Some(property) if property.kind.is_none() => {}
        Some(property) => tagged(owners, socket, message, payload, property, problems),
        None => match &message.recognised_by {
            Some(name) => {
                if find(&name.value).is_none_or(|property| !property.required) {
                    let required = properties.iter().filter(|property| property.required);
                    let near = crate::names::nearest(&name.value, required.map(|it| it.name.value.as_str()));
                    problems.report(
                        Code::MessageRecognition,
                        name.at,
                        format!("`{payload}` has no required property `{name}`"),
                        near.map_or_else(
                            || "name a property that every such message has, and no other".to_owned(),
                            |near| format!("did you mean `{near}`?"),
                        ),
                    );
                }
            }
            None => problems.report(
                Code::MessageForm,
                message.name.at,
                format!("`{payload}` has no property `{discriminator}`, so nobody can tell this message"),
                format!("{property_hint}; or name a required property of its own with `x-recognised-by`"),
            ),
        },
    }
}

fn tagged(
    owners: &BTreeMap<&str, Owner<'_>>,
    socket: &SocketDocument,
    message: &MessageDocument,
    payload: &Located<String>,
    property: &Property,
    problems: &mut Problems,
) {
    let Some(discriminator) = &socket.discriminator else { return };
    if property.constant().is_none() || !property.required {
        problems.report_with(
            Code::MessageForm,
            property.name.at,
            format!("`{discriminator}` is not a required constant of `{payload}`"),
            format!("write `{discriminator}: {{const: ...}}`, and require it"),
            vec![(discriminator.at, "the discriminator".to_owned())],
        );
        return;
    }
    if let (Some(relaxed), Some(tag)) = (socket.relaxed, property.constant())
        && tag.value != tag.value.trim().to_ascii_lowercase()
    {
        problems.report_with(
            Code::MessageForm,
            tag.at,
            format!("`{tag}` is not lower case, so a reader that does not mind the case would not find it"),
            "write it in lower case, without space around it",
            vec![(relaxed, "here it says that the case does not matter".to_owned())],
        );
    }
    if let Some(name) = &message.recognised_by {
        let text = format!("`{discriminator}` tells this message already");
        problems.report(Code::MessageForm, name.at, text, "drop `x-recognised-by`");
    }
    if let Some(owner) = owners.get(payload.value.as_str())
        && owner.discriminator.value != discriminator.value
    {
        problems.report_with(
            Code::MessageForm,
            payload.at,
            format!("`{payload}` belongs to `{}`, too, which has another discriminator", owner.name),
            "use the same discriminator, or another type",
            vec![(owner.discriminator.at, "the other discriminator".to_owned())],
        );
    }
}

/// Every message is said by one side at least, and no side names one twice.
fn sides(socket: &SocketDocument, problems: &mut Problems) {
    for names in [&socket.receive, &socket.send] {
        for (index, name) in names.iter().enumerate() {
            if socket.message(&name.value).is_none() {
                let near = crate::names::nearest(&name.value, socket.messages.iter().map(|it| it.name.value.as_str()));
                problems.report(
                    Code::MessageSides,
                    name.at,
                    format!("there is no message `{name}`"),
                    near.map_or_else(
                        || "add it to the channel's `messages`, or drop it".to_owned(),
                        |near| format!("did you mean `{near}`?"),
                    ),
                );
            }
            if let Some(first) = names[..index].iter().find(|other| other.value == name.value) {
                problems.report_with(
                    Code::MessageSides,
                    name.at,
                    format!("`{name}` is named twice"),
                    "keep one of them",
                    vec![(first.at, "first here".to_owned())],
                );
            }
        }
    }
    let said: BTreeSet<&str> = socket.receive.iter().chain(&socket.send).map(|name| name.value.as_str()).collect();
    for message in socket.messages.iter().filter(|message| !said.contains(message.name.value.as_str())) {
        problems.report(
            Code::MessageSides,
            message.name.at,
            format!("nobody says `{}`", message.name),
            "add it to `messages` of `receive` or `send`, or delete it",
        );
    }
}

/// Where there is raw data, only the discriminator tells a message: any JSON may be data.
fn beside_raw(documents: &Documents, socket: &SocketDocument, problems: &mut Problems) {
    let Some(raw) = &socket.raw else { return };
    if let Some(message) = socket.message("raw") {
        let text = "the message `raw` has the name that every target gives the raw data";
        problems.report(
            Code::NameClash,
            message.name.at,
            text,
            "call it otherwise; on the wire counts only what its type says",
        );
    }
    for (names, raw) in [(&socket.receive, &raw.receive), (&socket.send, &raw.send)] {
        let Some(raw) = raw else { continue };
        let messages = names.iter().filter_map(|name| socket.message(&name.value));
        for message in messages {
            if let Some(name) = &message.recognised_by
                && documents.tag_of(socket, message).is_none()
            {
                problems.report_with(
                    Code::RawMessage,
                    name.at,
                    format!("`{}` could be raw data, which may be any JSON without the discriminator", message.name),
                    "give it the discriminator as a required constant, and drop `x-recognised-by`",
                    vec![(raw.at, "the raw data".to_owned())],
                );
            }
        }
    }
}

/// How a reader recognises a message.
struct Sign<'a> {
    message: &'a Located<String>,
    tag: Option<&'a Located<String>>,
    recognised_by: Option<&'a Located<String>>,
    properties: &'a [Property],
}

/// In one direction tags are different, and a property by which a message is recognised belongs to it alone.
fn tell_apart(documents: &Documents, socket: &SocketDocument, names: &[Located<String>], problems: &mut Problems) {
    let mut signs: Vec<Sign<'_>> = Vec::new();
    for (index, name) in names.iter().enumerate() {
        let is_repeated = names[..index].iter().any(|other| other.value == name.value);
        let Some(message) = socket.message(&name.value).filter(|_| !is_repeated) else {
            continue;
        };
        let properties = message.payload.as_ref().and_then(|payload| documents.properties(&payload.value));
        signs.push(Sign {
            message: &message.name,
            tag: documents.tag_of(socket, message),
            recognised_by: message.recognised_by.as_ref(),
            properties: properties.unwrap_or_default(),
        });
    }
    for (index, sign) in signs.iter().enumerate() {
        for other in &signs[..index] {
            if let Some((at, message)) = confusion(sign, other) {
                problems.report_with(
                    Code::MessageClash,
                    at,
                    message,
                    "give each message of one direction a value or a property of its own",
                    vec![(other.message.at, "the other".to_owned())],
                );
            }
        }
    }
}

/// Why a reader would take one message for the other, if it would. A tag is looked for first, so that a message that
/// has one is never confused with one that has none.
fn confusion(one: &Sign<'_>, other: &Sign<'_>) -> Option<(Span, String)> {
    match (one.tag, other.tag) {
        (Some(tag), Some(other_tag)) if tag.value == other_tag.value => {
            let message = format!("`{}` calls itself `{tag}`, and so does `{}`", one.message, other.message);
            return Some((one.message.at, message));
        }
        (None, None) => {}
        _ => return None,
    }
    for (by, against) in [(one.recognised_by, other), (other.recognised_by, one)] {
        if let Some(name) = by
            && against.properties.iter().any(|property| property.name.value == name.value)
        {
            let message = format!("`{}` and `{}` both have the property `{name}`", one.message, other.message);
            return Some((one.message.at, message));
        }
    }
    None
}
