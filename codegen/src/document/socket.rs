//! A file of `asyncapi/channels/`: one socket, with what clients say (`receive`) and what the server says (`send`).

use super::fields::{Fields, text, wrong_kind};
use super::parameter::{self, ParameterDocument};
use super::socket_map::expect;
use super::{Mention, Reader, operation, resume, schema, socket_limits};
use crate::diagnostic::Code;
use crate::ir::SocketLimits;
use crate::source::{Entry, FileId, Located, Node, Span};

pub use super::resume::ResumeDocument;

/// A socket.
#[derive(Debug)]
pub struct SocketDocument {
    pub name: String,
    pub at: Span,
    pub source: String,
    /// Absent where it is missing; that has been reported.
    pub address: Option<Located<String>>,
    pub title: String,
    pub description: String,
    pub parameters: Vec<ParameterDocument>,
    /// Alternatives, each a list of schemes that go together.
    pub security: Vec<Vec<Located<String>>>,
    /// The declared codes only.
    pub errors: Vec<Located<String>>,
    pub faults: Vec<Located<String>>,
    pub close_codes: Vec<Located<String>>,
    /// Absent where it is missing; that has been reported.
    pub discriminator: Option<Located<String>>,
    /// Where it says that clients may write the discriminator's value in any case and with space around it.
    pub relaxed: Option<Span>,
    pub raw: Option<RawDocument>,
    /// Of both directions.
    pub messages: Vec<MessageDocument>,
    /// The names of those that clients say.
    pub receive: Vec<Located<String>>,
    /// The names of those that the server says.
    pub send: Vec<Located<String>>,
    /// Absent where they are not sound; that has been reported.
    pub limits: Option<SocketLimits>,
    pub resume: Option<ResumeDocument>,
    pub mentions: Vec<Mention>,
}

impl SocketDocument {
    /// The message with this name.
    pub fn message(&self, name: &str) -> Option<&MessageDocument> {
        self.messages.iter().find(|message| message.name.value == name)
    }
}

/// `x-raw`: in which directions raw data crosses the socket, and what it is there. One of them is there.
#[derive(Debug)]
pub struct RawDocument {
    pub receive: Option<Located<String>>,
    pub send: Option<Located<String>>,
}

/// A message.
#[derive(Debug)]
pub struct MessageDocument {
    pub name: Located<String>,
    /// The name of its type. Absent where it is not sound; that has been reported.
    pub payload: Option<Located<String>>,
    pub recognised_by: Option<Located<String>>,
}

/// Reads a socket's file.
pub fn read(reader: &mut Reader<'_>, file: FileId, name: &str, source: &str, root: &Node) -> SocketDocument {
    let at = Span::start_of(file);
    let mut socket = SocketDocument {
        name: name.to_owned(),
        at,
        source: source.to_owned(),
        address: None,
        title: String::new(),
        description: String::new(),
        parameters: Vec::new(),
        security: Vec::new(),
        errors: Vec::new(),
        faults: Vec::new(),
        close_codes: Vec::new(),
        discriminator: None,
        relaxed: None,
        raw: None,
        messages: Vec::new(),
        receive: Vec::new(),
        send: Vec::new(),
        limits: None,
        resume: None,
        mentions: Vec::new(),
    };
    if let Some(mut fields) = Fields::open(reader, root, at, "a socket's file") {
        if let Some(channel) = fields.need(reader, "channel") {
            read_channel(reader, channel, &mut socket);
        }
        for (key, names) in [("receive", &mut socket.receive), ("send", &mut socket.send)] {
            *names = fields.need(reader, key).map(|entry| read_direction(reader, entry, key)).unwrap_or_default();
        }
        fields.close(reader);
    }
    socket.mentions = reader.take_mentions();
    socket
}

fn read_channel(reader: &mut Reader<'_>, entry: &Entry, socket: &mut SocketDocument) {
    let Some(mut fields) = Fields::open(reader, &entry.value, entry.key_at, "a channel") else {
        return;
    };
    socket.at = entry.key_at;
    socket.address = fields.need_text(reader, "address");
    socket.title = fields.need_prose(reader, "title");
    socket.description = fields.need_prose(reader, "description");
    if let Some(bindings) = fields.need(reader, "bindings") {
        socket.parameters = read_bindings(reader, bindings).unwrap_or_default();
    }
    if let Some(messages) = fields.need(reader, "messages") {
        socket.messages = read_messages(reader, messages);
    }
    socket.discriminator = fields.need_text(reader, "x-discriminator");
    socket.relaxed = fields.flag(reader, "x-relaxed-discriminator");
    socket.raw = fields.get("x-raw").and_then(|entry| read_raw(reader, entry));
    let alternatives = fields.list(reader, "x-security").unwrap_or_default();
    socket.security = alternatives.iter().filter_map(|node| operation::read_security(reader, node)).collect();
    socket.errors = fields.texts(reader, "x-errors");
    socket.faults = fields.texts(reader, "x-faults");
    fields.need(reader, "x-close-codes");
    socket.close_codes = fields.texts(reader, "x-close-codes");
    socket.limits = fields.need(reader, "x-limits").and_then(|entry| socket_limits::read(reader, entry));
    socket.resume = fields.get("x-resume").and_then(|entry| resume::read(reader, entry));
    fields.close(reader);
}

/// `ws: {method: GET, query: {type: object, properties, required}}`
fn read_bindings(reader: &mut Reader<'_>, entry: &Entry) -> Option<Vec<ParameterDocument>> {
    let mut fields = Fields::open(reader, &entry.value, entry.key_at, "`bindings`")?;
    let binding = fields.need(reader, "ws");
    fields.close(reader);
    let binding = binding?;
    let mut fields = Fields::open(reader, &binding.value, binding.key_at, "a WebSocket's binding")?;
    expect(reader, &mut fields, "method", "GET");
    let query = fields.get("query");
    fields.close(reader);
    let query = query?;
    let mut fields = Fields::open(reader, &query.value, query.key_at, "a socket's query")?;
    expect(reader, &mut fields, "type", "object");
    let entries = schema::entries(reader, &mut fields);
    fields.close(reader);
    let parameters = entries?.into_iter();
    Some(parameters.filter_map(|(entry, required)| parameter::read_query(reader, entry, required)).collect())
}

/// `receive` and `send`, each a description.
fn read_raw(reader: &mut Reader<'_>, entry: &Entry) -> Option<RawDocument> {
    let mut fields = Fields::open(reader, &entry.value, entry.key_at, "`x-raw`")?;
    let mut written = false;
    let mut direction = |key| {
        let text = fields.get(key).and_then(|entry| {
            written = true;
            text(reader, entry)
        })?;
        if text.value.trim().is_empty() {
            let message = format!("`{key}` of `x-raw` says nothing");
            let hint = "say what the bytes are; leave it out if there are none in this direction";
            reader.problems.report(Code::MissingDescription, text.at, message, hint);
        }
        Some(text)
    };
    let raw = RawDocument { receive: direction("receive"), send: direction("send") };
    if !written {
        let hint = "say what the bytes are that clients send (`receive`) or the server (`send`), or drop `x-raw`";
        reader.problems.report(Code::MissingKeyword, entry.key_at, "`x-raw` has no direction", hint);
    }
    fields.close(reader);
    Some(raw)
}

fn read_messages(reader: &mut Reader<'_>, entry: &Entry) -> Vec<MessageDocument> {
    let Some(entries) = entry.value.as_map() else {
        wrong_kind(reader.problems, &entry.value, entry.value.at, "`messages`", "a mapping");
        return Vec::new();
    };
    entries.iter().map(|entry| read_message(reader, entry)).collect()
}

fn read_message(reader: &mut Reader<'_>, entry: &Entry) -> MessageDocument {
    let name = Located::new(entry.key.clone(), entry.key_at);
    let mut message = MessageDocument { name, payload: None, recognised_by: None };
    let Some(mut fields) = Fields::open(reader, &entry.value, entry.key_at, "a message") else {
        return message;
    };
    message.payload = fields.need(reader, "payload").and_then(|payload| read_payload(reader, payload));
    message.recognised_by = fields.text(reader, "x-recognised-by");
    fields.close(reader);
    message
}

fn read_payload(reader: &mut Reader<'_>, entry: &Entry) -> Option<Located<String>> {
    let mut fields = Fields::open(reader, &entry.value, entry.key_at, "a payload")?;
    let reference = fields.need_text(reader, "$ref");
    fields.close(reader);
    let reference = reference?;
    // It belongs to the socket as a variant does to its union.
    let name = reader.mention(&reference, true)?;
    Some(Located::new(name, reference.at))
}

/// The messages of one direction.
fn read_direction(reader: &mut Reader<'_>, entry: &Entry, action: &str) -> Vec<Located<String>> {
    const CHANNEL: &str = "#/channel";
    let Some(mut fields) = Fields::open(reader, &entry.value, entry.key_at, "a direction of a socket") else {
        return Vec::new();
    };
    expect(reader, &mut fields, "action", action);
    fields.need_prose(reader, "summary");
    if let Some(channel) = fields.need(reader, "channel")
        && let Some(reference) = only_reference(reader, &channel.value)
        && reference.value != CHANNEL
    {
        let message = format!("`{reference}` is not this file's channel");
        reader.problems.report(Code::ReferenceForm, reference.at, message, format!("write `$ref: \"{CHANNEL}\"`"));
    }
    fields.need(reader, "messages");
    let mut names = Vec::new();
    for node in fields.list(reader, "messages").unwrap_or_default() {
        let Some(reference) = only_reference(reader, node) else { continue };
        let name = reference.value.strip_prefix(CHANNEL).and_then(|rest| rest.strip_prefix("/messages/"));
        match name {
            Some(name) => names.push(Located::new(name.to_owned(), reference.at)),
            None => {
                let message = format!("`{reference}` is not a message of this file");
                let hint = format!("write `$ref: \"{CHANNEL}/messages/...\"`");
                reader.problems.report(Code::ReferenceForm, reference.at, message, hint);
            }
        }
    }
    fields.close(reader);
    names
}

fn only_reference(reader: &mut Reader<'_>, node: &Node) -> Option<Located<String>> {
    let mut fields = Fields::open(reader, node, node.at, "a reference")?;
    let reference = fields.need(reader, "$ref").and_then(|entry| text(reader, entry));
    fields.close(reader);
    reference
}
