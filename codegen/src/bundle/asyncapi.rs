//! The AsyncAPI 3.0 document: every socket with its messages, and in full what the profile adds to AsyncAPI, so that a
//! reader needs no other file: close codes, refusals, faults, limits, and how to resume.

use super::json::Json;
use super::{catalogue, rewrite, schemas};
use crate::document::Documents;
use crate::ir::{CloseCode, Message, Protocol, SecurityScheme, Socket};
use crate::source::{Node, SOCKET_MAP, Sources};

/// The document, if the spec has sockets.
pub fn document(sources: &Sources, documents: &Documents, protocol: &Protocol) -> Option<Json> {
    let root = sources.find(SOCKET_MAP)?.1.root.as_ref()?;
    let mut out = Json::map();
    for key in ["asyncapi", "info", "defaultContentType"] {
        if let Some(value) = root.get(key) {
            out.put(key, rewrite::to_json(value));
        }
    }
    let (mut channels, mut operations) = (Json::map(), Json::map());
    for socket in &protocol.sockets {
        let source = sources.find(&socket.source)?.1.root.as_ref()?;
        channels.put(&socket.name, channel(protocol, socket, source.get("channel")?));
        for entry in documents.socket_map.operations.iter().filter(|entry| entry.socket == socket.name) {
            operations.put(&entry.name.value, operation(socket, &entry.entry.value, source));
        }
    }
    out.put("channels", channels);
    out.put("operations", operations);
    let mentions = documents.sockets.values().flat_map(|socket| &socket.mentions);
    let reached = documents.reachable(mentions.map(|mention| mention.name.as_str()));
    let mut components = Json::map();
    components.put("schemas", schemas(sources, &reached, schema));
    components.put("securitySchemes", security_schemes(protocol));
    out.put("components", components);
    Some(out)
}

/// The channel as it is written, with names replaced by what they stand for.
fn channel(protocol: &Protocol, socket: &Socket, source: &Node) -> Json {
    let mut out = rewrite::to_json(source);
    let mut messages = Json::map();
    for entry in source.get("messages").and_then(Node::as_map).unwrap_or_default() {
        let said = socket.client_messages.iter().chain(&socket.server_messages);
        if let Some(lowered) = said.into_iter().find(|message| message.name == entry.key) {
            messages.put(&entry.key, message(protocol, lowered));
        }
    }
    for (direction, description) in raw(socket) {
        messages.put(&raw_name(direction), raw_message(description));
    }
    out.put("messages", messages);
    let errors = |codes: &[String]| catalogue(codes.iter().filter_map(|code| protocol.errors.get(code)));
    out.put("x-errors", errors(&socket.errors));
    out.put("x-faults", errors(&socket.faults));
    out.put("x-close-codes", close_codes(protocol, socket));
    out
}

fn message(protocol: &Protocol, message: &Message) -> Json {
    let mut out = Json::map();
    out.put("name", Json::text(&message.name));
    if let Some(definition) = protocol.types.get(&message.ty) {
        out.put("summary", Json::text(&definition.description));
    }
    out.put("payload", reference(&format!("#/components/schemas/{}", message.ty)));
    if let Some(property) = &message.recognised_by {
        out.put("x-recognised-by", Json::text(property));
    }
    out
}

/// Raw data as AsyncAPI has it: a message of another content type. The dot keeps its name from those of the spec, and
/// `x-raw` of the channel says which messages are data.
fn raw_message(description: &str) -> Json {
    let mut out = Json::map();
    out.put("name", Json::text("raw"));
    out.put("summary", Json::text(description));
    out.put("contentType", Json::text("application/octet-stream"));
    out
}

fn raw_name(direction: &str) -> String {
    format!("raw.{direction}")
}

/// The directions with raw data, and what it is there.
fn raw(socket: &Socket) -> impl Iterator<Item = (&'static str, &str)> {
    let directions = [("receive", &socket.raw.client), ("send", &socket.raw.server)];
    directions.into_iter().filter_map(|(direction, text)| Some((direction, text.as_deref()?)))
}

fn close_codes(protocol: &Protocol, socket: &Socket) -> Json {
    let mut out = Json::map();
    for CloseCode { name, code, reconnect, message, action } in
        socket.close_codes.iter().filter_map(|name| protocol.close_codes.get(name))
    {
        let mut row = Json::map();
        row.put("code", Json::integer(i64::from(*code)));
        row.put("reconnect", Json::text(reconnect.as_str()));
        row.put("message", Json::text(message));
        row.put("action", Json::text(action));
        out.put(name, row);
    }
    out
}

/// One direction of a socket: `receive` or `send`.
fn operation(socket: &Socket, direction: &str, source: &Node) -> Json {
    let channel = format!("#/channels/{}", socket.name);
    let messages = if direction == "receive" { &socket.client_messages } else { &socket.server_messages };
    let named = messages.iter().map(|message| message.name.clone());
    let raw = raw(socket).filter(|(of, _)| *of == direction).map(|(of, _)| raw_name(of));
    let messages = named.chain(raw).map(|name| reference(&format!("{channel}/messages/{name}")));
    let mut out = source.get(direction).map_or_else(Json::map, rewrite::to_json);
    out.put("channel", reference(&channel));
    out.put("messages", Json::List(messages.collect()));
    // AsyncAPI has no words for schemes that go together, nor for a credential that may be left out; the channel's
    // `x-security` has.
    let alone = socket.security.iter().filter_map(|schemes| match schemes.as_slice() {
        [scheme] => Some(reference(&format!("#/components/securitySchemes/{scheme}"))),
        _ => None,
    });
    let alone: Vec<Json> = alone.collect();
    if !alone.is_empty() {
        out.put("security", Json::List(alone));
    }
    out
}

/// A type. AsyncAPI's `discriminator` is another than OpenAPI's, and `oneOf` with constants says the same.
fn schema(node: &Node) -> Json {
    let mut out = rewrite::to_json(node);
    if let Json::Map(entries) = &mut out
        && let Some(discriminator) = entries.shift_remove("discriminator")
    {
        entries.insert("x-discriminator".to_owned(), discriminator);
    }
    out
}

/// The schemes that sockets use, under AsyncAPI's names for them.
fn security_schemes(protocol: &Protocol) -> Json {
    let mut out = Json::map();
    for (name, scheme) in &protocol.security_schemes {
        let used = |socket: &Socket| socket.security.iter().flatten().any(|used| used == name);
        if !protocol.sockets.iter().any(used) {
            continue;
        }
        let mut entry = Json::map();
        let description = match scheme {
            SecurityScheme::ApiKey { header, description } => {
                entry.put("type", Json::text("httpApiKey"));
                entry.put("in", Json::text("header"));
                entry.put("name", Json::text(header));
                description
            }
            SecurityScheme::Bearer { description } => {
                entry.put("type", Json::text("http"));
                entry.put("scheme", Json::text("bearer"));
                description
            }
        };
        entry.put("description", Json::text(description));
        out.put(name, entry);
    }
    out
}

fn reference(target: &str) -> Json {
    let mut out = Json::map();
    out.put("$ref", Json::text(target));
    out
}
