//! Sockets and the table of close codes.

use indexmap::IndexMap;

use super::operations::{parameter, security};
use crate::document::catalogue::codes_of;
use crate::document::{Documents, RawDocument, RequestShape, ResumeDocument, SocketDocument};
use crate::ir::{CloseCode, Message, Raw, Resume, ResumeEvent, Socket, SocketParameter};
use crate::source::Located;

/// Sockets in the order of `asyncapi.yaml`.
pub fn lower(documents: &Documents) -> Vec<Socket> {
    let entries = documents.socket_map.channels.iter();
    entries.filter_map(|entry| one(documents, documents.sockets.get(&entry.socket)?)).collect()
}

/// The table, in its own order.
pub fn close_codes(documents: &Documents) -> IndexMap<String, CloseCode> {
    let rows = documents.close_codes.values().filter_map(|row| {
        let code = CloseCode {
            name: row.name.value.clone(),
            code: row.code.as_ref()?.value,
            reconnect: row.reconnect?,
            message: row.message.clone(),
            action: row.action.clone(),
        };
        Some((row.name.value.clone(), code))
    });
    rows.collect()
}

fn one(documents: &Documents, socket: &SocketDocument) -> Option<Socket> {
    let parameters = socket
        .parameters
        .iter()
        .filter_map(|document| Some(SocketParameter { parameter: parameter(document)?, secret: document.secret }));
    let errors = codes_of(&documents.errors, &socket.errors, &RequestShape::of_socket(socket));
    let is_named = |names: &[Located<String>], name: &String| names.iter().any(|other| other.value == *name);
    Some(Socket {
        name: socket.name.clone(),
        address: socket.address.as_ref()?.value.clone(),
        title: socket.title.clone(),
        description: socket.description.clone(),
        source: socket.source.clone(),
        parameters: parameters.collect(),
        security: security(&socket.security),
        errors: errors.into_iter().map(str::to_owned).collect(),
        faults: documents.errors.keys().filter(|code| is_named(&socket.faults, code)).cloned().collect(),
        discriminator: socket.discriminator.as_ref()?.value.clone(),
        relaxed: socket.relaxed.is_some(),
        raw: socket.raw.as_ref().map(raw).unwrap_or_default(),
        client_messages: messages(documents, socket, &socket.receive),
        server_messages: messages(documents, socket, &socket.send),
        close_codes: documents.close_codes.keys().filter(|name| is_named(&socket.close_codes, name)).cloned().collect(),
        limits: socket.limits.clone()?,
        resume: socket.resume.as_ref().map(resume),
    })
}

fn messages(documents: &Documents, socket: &SocketDocument, names: &[Located<String>]) -> Vec<Message> {
    let found = names.iter().filter_map(|name| {
        let message = socket.message(&name.value)?;
        Some(Message {
            name: name.value.clone(),
            tag: documents.tag_of(socket, message).map(|tag| tag.value.clone()),
            recognised_by: message.recognised_by.as_ref().map(|property| property.value.clone()),
            ty: message.payload.as_ref()?.value.clone(),
        })
    });
    found.collect()
}

fn raw(document: &RawDocument) -> Raw {
    let text = |text: &Option<Located<String>>| text.as_ref().map(|text| text.value.clone());
    Raw { client: text(&document.receive), server: text(&document.send) }
}

fn resume(document: &ResumeDocument) -> Resume {
    let text = |name: &Located<String>| name.value.clone();
    let events = document.events.iter().map(|event| ResumeEvent {
        message: text(&event.message),
        seq: event.seq.value.split('.').map(str::to_owned).collect(),
    });
    Resume {
        subscribe: text(&document.subscribe),
        unsubscribe: document.unsubscribe.as_ref().map(text),
        key: document.key.as_ref().map(text),
        position: text(&document.position),
        events: events.collect(),
        gaps: document.gaps.iter().map(text).collect(),
    }
}
