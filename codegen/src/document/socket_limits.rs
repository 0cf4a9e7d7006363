//! `x-limits` of a socket: constants that both ends share.

use super::Reader;
use super::fields::{Fields, wrong_kind};
use crate::diagnostic::Code;
use crate::ir::SocketLimits;
use crate::source::{Entry, Value};

/// The largest limit. Every target has an integer for it.
const MOST: i64 = i32::MAX as i64;

/// Reads the limits.
pub fn read(reader: &mut Reader<'_>, entry: &Entry) -> Option<SocketLimits> {
    let mut fields = Fields::open(reader, &entry.value, entry.key_at, "`x-limits`")?;
    let mut limit = |key| limit(reader, &mut fields, key);
    // All are read before the first that is missing ends it, so that one run shows every fault.
    let limits = [
        limit("max_message_bytes"),
        limit("messages_per_second"),
        limit("faults_in_a_row"),
        limit("subscriptions"),
        limit("queue_events"),
        limit("queue_bytes"),
        limit("heartbeat_seconds"),
        limit("silence_seconds"),
    ];
    let limits = match limits {
        [
            Some(message),
            Some(rate),
            Some(faults),
            Some(subscriptions),
            Some(events),
            Some(bytes),
            Some(beat),
            Some(silence),
        ] => Some(SocketLimits {
            max_message_bytes: message,
            messages_per_second: rate,
            faults_in_a_row: faults,
            subscriptions,
            queue_events: events,
            queue_bytes: bytes,
            heartbeat_seconds: beat,
            silence_seconds: silence,
        }),
        _ => None,
    };
    if let Some(limits) = &limits {
        contradictions(reader, &mut fields, limits);
    }
    fields.close(reader);
    limits
}

fn limit(reader: &mut Reader<'_>, fields: &mut Fields<'_>, key: &'static str) -> Option<u64> {
    let entry = fields.need(reader, key)?;
    match entry.value.value {
        Value::Integer(number @ 1..=MOST) => u64::try_from(number).ok(),
        Value::Integer(_) => {
            let message = format!("`{key}` is not from 1 to {MOST}");
            let hint = "every limit is there, is positive, and fits into 32 bits";
            reader.problems.report(Code::SocketLimit, entry.value.at, message, hint);
            None
        }
        _ => {
            wrong_kind(reader.problems, &entry.value, entry.value.at, &format!("`{key}`"), "a whole number");
            None
        }
    }
}

fn contradictions(reader: &mut Reader<'_>, fields: &mut Fields<'_>, limits: &SocketLimits) {
    let mut fault = |key: &'static str, message: &str, hint: &str| {
        let at = fields.get(key).map_or(fields.at, |entry| entry.value.at);
        reader.problems.report(Code::SocketLimit, at, message, hint);
    };
    if limits.silence_seconds <= limits.heartbeat_seconds {
        let message = "a client that answers every sign of life would be silent for too long";
        fault("silence_seconds", message, "make it longer than `heartbeat_seconds`");
    }
    if limits.queue_bytes < limits.max_message_bytes {
        let message = "a message of the largest size would not fit into the queue";
        fault("queue_bytes", message, "make it at least `max_message_bytes`");
    }
}
