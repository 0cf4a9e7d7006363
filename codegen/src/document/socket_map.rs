//! `asyncapi/asyncapi.yaml`: what the protocol of the sockets is called, and where each socket is described.

use super::fields::{Fields, text, wrong_kind};
use super::{Reader, info};
use crate::diagnostic::Code;
use crate::source::{FileId, Located, Node, Span, reference};

/// The list of sockets.
#[derive(Debug, Default)]
pub struct SocketMap {
    pub version: Option<Located<String>>,
    /// Under `channels`: one for each socket.
    pub channels: Vec<SocketEntry>,
    /// Under `operations`: two for each socket.
    pub operations: Vec<SocketEntry>,
}

/// A name, and the entry of a socket's file behind it.
#[derive(Debug)]
pub struct SocketEntry {
    pub name: Located<String>,
    pub socket: String,
    /// At the reference.
    pub entry: Located<String>,
}

/// Reads the list of sockets.
pub fn read(reader: &mut Reader<'_>, file: FileId, root: &Node) -> SocketMap {
    let mut map = SocketMap::default();
    let Some(mut fields) = Fields::open(reader, root, Span::start_of(file), "the list of sockets") else {
        return map;
    };
    expect(reader, &mut fields, "asyncapi", "3.0.0");
    map.version =
        fields.need(reader, "info").and_then(|entry| info::read(reader, entry, false)).and_then(|info| info.version);
    expect(reader, &mut fields, "defaultContentType", "application/json");
    map.channels = entries(reader, &mut fields, "channels");
    map.operations = entries(reader, &mut fields, "operations");
    fields.close(reader);
    map
}

/// A keyword with one value.
pub(super) fn expect(reader: &mut Reader<'_>, fields: &mut Fields<'_>, key: &'static str, wanted: &str) {
    if let Some(found) = fields.need_text(reader, key)
        && found.value != wanted
    {
        let message = format!("`{key}` is `{wanted}` here, not `{found}`");
        reader.problems.report(Code::WrongValue, found.at, message, format!("write `{key}: {wanted}`"));
    }
}

fn entries(reader: &mut Reader<'_>, fields: &mut Fields<'_>, key: &'static str) -> Vec<SocketEntry> {
    let Some(entry) = fields.need(reader, key) else {
        return Vec::new();
    };
    let Some(entries) = entry.value.as_map() else {
        wrong_kind(reader.problems, &entry.value, entry.value.at, &format!("`{key}`"), "a mapping");
        return Vec::new();
    };
    let mut found = Vec::new();
    for entry in entries {
        let Some(mut inner) = Fields::open(reader, &entry.value, entry.key_at, "an entry of the list of sockets")
        else {
            continue;
        };
        let reference = inner.need(reader, "$ref").and_then(|entry| text(reader, entry));
        inner.close(reader);
        let Some(reference) = reference else { continue };
        let target = reference::socket_entry(reader.sources, reference.at, &reference.value, reader.problems);
        if let Some((socket, target)) = target {
            let name = Located::new(entry.key.clone(), entry.key_at);
            found.push(SocketEntry { name, socket, entry: Located::new(target, reference.at) });
        }
    }
    found
}
