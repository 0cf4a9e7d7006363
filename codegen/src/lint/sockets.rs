//! The list of sockets and their files: every socket is named once, under its own name, and has an address of its own.

use std::collections::BTreeMap;

use super::routes;
use crate::diagnostic::{Code, Problems};
use crate::document::{Documents, SocketDocument, SocketEntry};
use crate::names::pascal;
use crate::source::{Located, SOCKET_MAP, Sources, Span};

/// Checks the rules of this module.
pub fn check(sources: &Sources, documents: &Documents, problems: &mut Problems) {
    addresses(documents, problems);
    // Without a list no socket would be in it; its own fault has been reported.
    if sources.find(SOCKET_MAP).is_none_or(|(_, file)| file.root.is_none()) {
        return;
    }
    let map = &documents.socket_map;
    entries(documents, &map.channels, "channels", problems);
    entries(documents, &map.operations, "operations", problems);
    for socket in documents.sockets.values() {
        listed(&map.channels, socket, "channels", &["channel"], problems);
        listed(&map.operations, socket, "operations", &["receive", "send"], problems);
    }
    version(documents, problems);
}

/// What the entry of a socket's file has to be called in the list.
fn expected_name(socket: &str, entry: &str) -> String {
    match entry {
        "channel" => socket.to_owned(),
        direction => format!("{direction}{}", pascal(socket)),
    }
}

/// Every entry of the list leads to the part of a socket after which it is called.
fn entries(documents: &Documents, entries: &[SocketEntry], list: &str, problems: &mut Problems) {
    let parts: &[&str] = if list == "channels" { &["channel"] } else { &["receive", "send"] };
    for (index, entry) in entries.iter().enumerate() {
        // A file that is no mapping has been reported, and has no entries.
        if !documents.sockets.contains_key(&entry.socket) {
            continue;
        }
        if !parts.contains(&entry.entry.value.as_str()) {
            let message = format!("`{}` is no part of a socket that belongs under `{list}`", entry.entry);
            let hint = "channels lead to `#/channel`, operations to `#/receive` and `#/send`";
            problems.report(Code::SocketMap, entry.entry.at, message, hint);
            continue;
        }
        let same = |other: &&SocketEntry| other.socket == entry.socket && other.entry.value == entry.entry.value;
        if let Some(first) = entries[..index].iter().find(same) {
            problems.report_with(
                Code::SocketMap,
                entry.name.at,
                format!("`{}` leads to the same as `{}`", entry.name, first.name),
                "keep one of them",
                vec![(first.name.at, "the other".to_owned())],
            );
            continue;
        }
        let expected = expected_name(&entry.socket, &entry.entry.value);
        if entry.name.value != expected {
            let message = format!("`{}` is called otherwise than its file", entry.name);
            problems.report(Code::SocketMap, entry.name.at, message, format!("call it `{expected}`"));
        }
    }
}

/// Every part of a socket is in the list.
fn listed(entries: &[SocketEntry], socket: &SocketDocument, list: &str, parts: &[&str], problems: &mut Problems) {
    for part in parts {
        if entries.iter().any(|entry| entry.socket == socket.name && entry.entry.value == *part) {
            continue;
        }
        let name = expected_name(&socket.name, part);
        let reference = format!("channels/{}.yaml#/{part}", socket.name);
        problems.report(
            Code::SocketMap,
            socket.at,
            format!("`{list}` of asyncapi.yaml does not name the socket's `{part}`"),
            format!("add `{name}: {{ $ref: \"{reference}\" }}` there"),
        );
    }
}

/// Operations and sockets are one protocol, so they have one version.
fn version(documents: &Documents, problems: &mut Problems) {
    let protocol = &documents.route_map.version;
    if let Some(version) = &documents.socket_map.version
        && version.value != *protocol
        && !protocol.is_empty()
    {
        let message = format!("the version is `{version}` here and `{protocol}` in openapi.yaml");
        problems.report(Code::WrongValue, version.at, message, "make the two the same: they are one protocol");
    }
}

fn addresses(documents: &Documents, problems: &mut Problems) {
    let routes = documents.route_map.routes.iter().map(|route| &route.path);
    let mut taken: BTreeMap<&str, Span> = routes.map(|path| (path.value.as_str(), path.at)).collect();
    for address in documents.sockets.values().filter_map(|socket| socket.address.as_ref()) {
        if routes::parameters_of(&address.value).is_none_or(|parameters| !parameters.is_empty()) {
            report_form(address, problems);
        } else if let Some(first) = taken.insert(&address.value, address.at) {
            problems.report_with(
                Code::SocketAddress,
                address.at,
                format!("`{address}` is the address of something else, too"),
                "give the socket a path of its own",
                vec![(first, "the other".to_owned())],
            );
        }
    }
}

fn report_form(address: &Located<String>, problems: &mut Problems) {
    problems.report(
        Code::SocketAddress,
        address.at,
        format!("`{address}` is not the address of a socket"),
        "an address is a path without parameters, like `/v1/stream`; what varies goes into the query",
    );
}
