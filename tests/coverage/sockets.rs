//! Sockets: what is said on them, how they refuse, and how they end.

use anyhow::{Context, Result, ensure};
use flightdeck_tests::Kind;
use flightdeck_tests::coverage::{Aspect, sightings};
use flightdeck_tests::socket::RAW;
use flightdeck_tests::socket::document::{Socket, Speaker, sockets};

use crate::{ensure_seen, on_each_database};

/// Something that no test can provoke. Everything else must be seen.
struct Exception {
    socket: &'static str,
    aspect: Aspect,
    what: &'static str,
    /// Where it can't; everywhere if nothing is said.
    database: Option<Kind>,
    reason: &'static str,
}

const EXCEPTIONS: [Exception; 12] = [
    Exception {
        socket: "cockpit",
        aspect: Aspect::Close,
        what: "overloaded",
        database: None,
        reason: "only after half a minute in which history can't be read, by real time",
    },
    Exception {
        socket: "terminal",
        aspect: Aspect::Fault,
        what: "internal",
        database: None,
        reason: "what is typed and resized reaches the terminal without the database",
    },
    Exception {
        socket: "terminal",
        aspect: Aspect::Close,
        what: "internal",
        database: None,
        reason: "only a handler that panics ends it so",
    },
    Exception {
        socket: "terminal",
        aspect: Aspect::Close,
        what: "overloaded",
        database: None,
        reason: "nothing that it tells is read from the database",
    },
    Exception {
        socket: "chats",
        aspect: Aspect::Close,
        what: "overloaded",
        database: None,
        reason: "only after half a minute in which history can't be read, by real time",
    },
    Exception {
        socket: "chats",
        aspect: Aspect::Fault,
        what: "unavailable",
        database: Some(Kind::Sqlite),
        reason: "in SQLite readers read whoever writes, and a full disk is told by the operations",
    },
    Exception {
        socket: "companion",
        aspect: Aspect::Refusal,
        what: "internal",
        database: None,
        reason: "whether a client may connect is decided without the database",
    },
    Exception {
        socket: "hub",
        aspect: Aspect::Refusal,
        what: "internal",
        database: None,
        reason: "every client may connect, and that is decided without the database",
    },
    Exception {
        socket: "stream",
        aspect: Aspect::Refusal,
        what: "credential_missing",
        database: None,
        reason: "who has no credential may connect, and show one in a message; the code follows from the companion's scheme",
    },
    Exception {
        socket: "hub",
        aspect: Aspect::Close,
        what: "internal",
        database: None,
        reason: "only a handler that panics ends it so",
    },
    Exception {
        socket: "stream",
        aspect: Aspect::Close,
        what: "overloaded",
        database: None,
        reason: "only after half a minute in which history can't be read, by real time",
    },
    Exception {
        socket: "stream",
        aspect: Aspect::Fault,
        what: "unavailable",
        database: Some(Kind::Sqlite),
        reason: "the socket only reads, and in SQLite readers read whoever writes",
    },
];

/// Fails unless each of the things that each socket has was seen, without what is impossible.
fn ensure_seen_on_each_socket(database: Kind, aspect: Aspect, things: impl Fn(&Socket) -> Vec<String>) -> Result<()> {
    let impossible = |socket: &Socket, what: &str| {
        EXCEPTIONS.iter().any(|exception| {
            exception.socket == socket.name
                && exception.aspect == aspect
                && exception.what == what
                && exception.database.is_none_or(|only| only == database)
        })
    };
    let mut wanted = Vec::new();
    for socket in sockets() {
        let possible = things(socket).into_iter().filter(|what| !impossible(socket, what));
        wanted.extend(possible.map(|what| (socket.name.clone(), what)));
    }
    ensure_seen(database, aspect, wanted)
}

fn messages(socket: &Socket, speaker: Speaker) -> Vec<String> {
    let raw = socket.has_raw(speaker).then(|| RAW.to_owned());
    socket.messages(speaker).iter().map(|message| message.name.clone()).chain(raw).collect()
}

fn every_client_message_has_been_sent(database: Kind) -> Result<()> {
    ensure_seen_on_each_socket(database, Aspect::ClientMessage, |socket| messages(socket, Speaker::Client))
}

fn every_server_message_has_been_received(database: Kind) -> Result<()> {
    ensure_seen_on_each_socket(database, Aspect::ServerMessage, |socket| messages(socket, Speaker::Server))
}

fn every_fault_has_been_provoked(database: Kind) -> Result<()> {
    ensure_seen_on_each_socket(database, Aspect::Fault, |socket| socket.faults.iter().cloned().collect())
}

fn every_close_code_has_been_received(database: Kind) -> Result<()> {
    let codes = |socket: &Socket| socket.close_codes.values().map(|code| code.name.clone()).collect();
    ensure_seen_on_each_socket(database, Aspect::Close, codes)
}

fn every_refusal_to_open_has_been_provoked(database: Kind) -> Result<()> {
    ensure_seen_on_each_socket(database, Aspect::Refusal, |socket| socket.errors.iter().cloned().collect())
}

/// What was seen after all is no exception.
fn every_exception_is_one(database: Kind) -> Result<()> {
    let seen = sightings()?;
    for Exception { socket, aspect, what, database: only, .. } in EXCEPTIONS {
        let here = only.is_none_or(|only| only == database);
        let was_seen = seen.iter().any(|sighting| {
            sighting.database == database.as_str()
                && sighting.subject == socket
                && sighting.aspect == aspect
                && sighting.what == what
        });
        ensure!(!(here && was_seen), "a test saw {socket} show {what:?}; take the exception away");
    }
    Ok(())
}

on_each_database! {
    every_exception_is_one
    every_client_message_has_been_sent
    every_server_message_has_been_received
    every_fault_has_been_provoked
    every_close_code_has_been_received
    every_refusal_to_open_has_been_provoked
}

/// An exception that is none any more must go.
#[test]
fn exceptions_are_about_what_is_declared() -> Result<()> {
    for Exception { socket: name, aspect, what, reason, .. } in EXCEPTIONS {
        let socket = sockets().iter().find(|socket| socket.name == name);
        let socket = socket.with_context(|| format!("there is no socket {name}"))?;
        let declared = match aspect {
            Aspect::Fault => socket.faults.contains(what),
            Aspect::Refusal => socket.errors.contains(what),
            Aspect::Close => socket.close_codes.values().any(|code| code.name == what),
            Aspect::ClientMessage => messages(socket, Speaker::Client).iter().any(|message| message == what),
            Aspect::ServerMessage => messages(socket, Speaker::Server).iter().any(|message| message == what),
            Aspect::Success => false,
        };
        ensure!(declared, "{name} does not declare {what:?} any more");
        ensure!(!reason.is_empty(), "say why {name} can't be made to show {what:?}");
    }
    Ok(())
}
