//! Sockets and close codes: addresses, messages of each direction, limits, and how a client goes on where it was.

use std::cmp::Ordering;

use super::{Changes, Verdict, operations};
use crate::ir::{Message, Parameter, Protocol, Reconnect, Socket, SocketLimits};

/// Compares every socket, and the table of close codes.
pub fn compare(old: &Protocol, new: &Protocol, changes: &mut Changes) {
    for socket in &old.sockets {
        let subject = format!("socket {}", socket.name);
        match new.sockets.iter().find(|other| other.name == socket.name) {
            None => changes.add(Verdict::Breaking, &subject, "was removed"),
            Some(other) => one(&subject, socket, other, changes),
        }
    }
    for socket in new.sockets.iter().filter(|it| !old.sockets.iter().any(|other| other.name == it.name)) {
        changes.add(Verdict::Compatible, &format!("socket {}", socket.name), "was added");
    }
    close_codes(old, new, changes);
}

fn one(subject: &str, old: &Socket, new: &Socket, changes: &mut Changes) {
    changes.words(subject, "title", &old.title, &new.title);
    changes.words(subject, "description", &old.description, &new.description);
    if old.address != new.address {
        let message = format!("the address was {} and is {}", old.address, new.address);
        changes.add(Verdict::Breaking, subject, message);
    }
    if old.discriminator != new.discriminator {
        let message = format!("the discriminator was `{}` and is `{}`", old.discriminator, new.discriminator);
        changes.add(Verdict::Breaking, subject, message);
    }
    if old.relaxed != new.relaxed {
        let (verdict, text) = if new.relaxed {
            (Verdict::Compatible, "takes the discriminator's value in any case now")
        } else {
            (Verdict::Breaking, "takes the discriminator's value only as it is written")
        };
        changes.add(verdict, subject, text);
    }
    raw(subject, "clients send", &old.raw.client, &new.raw.client, changes);
    raw(subject, "the server sends", &old.raw.server, &new.raw.server, changes);
    operations::parameters(subject, &parameters(old), &parameters(new), changes);
    operations::security(subject, &old.security, &new.security, changes);
    changes.codes(subject, "refuse with", &old.errors, &new.errors);
    changes.codes(subject, "report", &old.faults, &new.faults);
    changes.codes(subject, "close with", &old.close_codes, &new.close_codes);
    messages(&format!("{subject}, client message"), &old.client_messages, &new.client_messages, changes);
    messages(&format!("{subject}, server message"), &old.server_messages, &new.server_messages, changes);
    limits(subject, &old.limits, &new.limits, changes);
    match (&old.resume, &new.resume) {
        (old, new) if old == new => {}
        (None, Some(_)) => changes.add(Verdict::Compatible, subject, "can be resumed now"),
        _ => changes.add(Verdict::Breaking, subject, "is resumed in another way, or not at all"),
    }
}

/// A server that does not expect raw data closes the connection, and so does a client; who counts on it waits for ever.
fn raw(subject: &str, who: &str, old: &Option<String>, new: &Option<String>, changes: &mut Changes) {
    match (old, new) {
        (None, None) => {}
        (Some(old), Some(new)) => changes.words(subject, &format!("description of the raw data that {who}"), old, new),
        (None, Some(_)) => changes.add(Verdict::Breaking, subject, format!("{who} raw data now")),
        (Some(_), None) => changes.add(Verdict::Breaking, subject, format!("{who} no raw data any more")),
    }
}

/// Whether one is a secret makes no difference on the wire.
fn parameters(socket: &Socket) -> Vec<Parameter> {
    socket.parameters.iter().map(|parameter| parameter.parameter.clone()).collect()
}

/// A client says only what it knows, and keeps what it does not know, so either side may learn a message.
fn messages(subject: &str, old: &[Message], new: &[Message], changes: &mut Changes) {
    for message in old {
        let subject = format!("{subject} {}", message.name);
        let Some(other) = new.iter().find(|other| other.name == message.name) else {
            changes.add(Verdict::Breaking, &subject, "was removed");
            continue;
        };
        if (&message.tag, &message.recognised_by) != (&other.tag, &other.recognised_by) {
            let text = format!("was told by {} and is told by {}", sign(message), sign(other));
            changes.add(Verdict::Breaking, &subject, text);
        }
        if message.ty != other.ty {
            let text = format!("the type was {} and is {}", message.ty, other.ty);
            changes.add(Verdict::Breaking, &subject, text);
        }
    }
    for message in new.iter().filter(|message| !old.iter().any(|other| other.name == message.name)) {
        changes.add(Verdict::Compatible, &format!("{subject} {}", message.name), "was added");
    }
}

/// How a reader tells a message.
fn sign(message: &Message) -> String {
    match (&message.tag, &message.recognised_by) {
        (Some(tag), _) => format!("the value `{tag}`"),
        (None, Some(property)) => format!("the property `{property}`"),
        (None, None) => "nothing".to_owned(),
    }
}

fn limits(subject: &str, old: &SocketLimits, new: &SocketLimits, changes: &mut Changes) {
    let mut limit = |name: &str, old: u64, new: u64, worse: Ordering| {
        let verdict = match new.cmp(&old) {
            Ordering::Equal => return,
            order if order == worse => Verdict::Breaking,
            _ => Verdict::Compatible,
        };
        changes.add(verdict, subject, format!("{name} was {old} and is {new}"));
    };
    limit("max_message_bytes", old.max_message_bytes, new.max_message_bytes, Ordering::Less);
    limit("messages_per_second", old.messages_per_second, new.messages_per_second, Ordering::Less);
    limit("faults_in_a_row", old.faults_in_a_row, new.faults_in_a_row, Ordering::Less);
    limit("subscriptions", old.subscriptions, new.subscriptions, Ordering::Less);
    limit("queue_events", old.queue_events, new.queue_events, Ordering::Less);
    limit("queue_bytes", old.queue_bytes, new.queue_bytes, Ordering::Less);
    // A client that waits for signs of life gives up when they come less often than it was promised.
    limit("heartbeat_seconds", old.heartbeat_seconds, new.heartbeat_seconds, Ordering::Greater);
    limit("silence_seconds", old.silence_seconds, new.silence_seconds, Ordering::Less);
}

fn close_codes(old: &Protocol, new: &Protocol, changes: &mut Changes) {
    for (name, row) in &old.close_codes {
        let subject = format!("close code {name}");
        let Some(other) = new.close_codes.get(name) else {
            changes.add(Verdict::Breaking, &subject, "was removed");
            continue;
        };
        if row.code != other.code {
            changes.add(Verdict::Breaking, &subject, format!("was {} and is {}", row.code, other.code));
        }
        if row.reconnect != other.reconnect {
            let text = format!("clients were to {} and are to {}", advice(row.reconnect), advice(other.reconnect));
            changes.add(Verdict::Breaking, &subject, text);
        }
        changes.words(&subject, "message", &row.message, &other.message);
        changes.words(&subject, "action", &row.action, &other.action);
    }
    for name in new.close_codes.keys().filter(|name| !old.close_codes.contains_key(*name)) {
        changes.add(Verdict::Compatible, &format!("close code {name}"), "was added");
    }
}

const fn advice(reconnect: Reconnect) -> &'static str {
    match reconnect {
        Reconnect::Resume => "resume",
        Reconnect::Fresh => "begin anew",
        Reconnect::Never => "stop",
    }
}
