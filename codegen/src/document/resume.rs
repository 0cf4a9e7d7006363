//! `x-resume` of a socket, as it is written: how a client goes on where it was. Whether the names exist is for
//! [`lint`](crate::lint::resume).

use super::Reader;
use super::fields::Fields;
use crate::source::{Entry, Located, Node, Span};

/// The names of `x-resume`.
#[derive(Debug)]
pub struct ResumeDocument {
    pub at: Span,
    pub subscribe: Located<String>,
    pub unsubscribe: Option<Located<String>>,
    pub key: Option<Located<String>>,
    pub position: Located<String>,
    pub events: Vec<ResumeEventDocument>,
    pub gaps: Vec<Located<String>>,
}

/// A message that moves the position, and the path to the position in it.
#[derive(Debug)]
pub struct ResumeEventDocument {
    pub message: Located<String>,
    pub seq: Located<String>,
}

/// Reads `x-resume`.
pub fn read(reader: &mut Reader<'_>, entry: &Entry) -> Option<ResumeDocument> {
    let mut fields = Fields::open(reader, &entry.value, entry.key_at, "`x-resume`")?;
    let subscribe = fields.need_text(reader, "subscribe");
    let unsubscribe = fields.text(reader, "unsubscribe");
    let key = fields.text(reader, "key");
    let position = fields.need_text(reader, "position");
    fields.need(reader, "events");
    let events = fields.list(reader, "events").unwrap_or_default();
    let events = events.iter().filter_map(|node| read_event(reader, node)).collect();
    let gaps = fields.texts(reader, "gaps");
    fields.close(reader);
    Some(ResumeDocument {
        at: entry.key_at,
        subscribe: subscribe?,
        unsubscribe,
        key,
        position: position?,
        events,
        gaps,
    })
}

fn read_event(reader: &mut Reader<'_>, node: &Node) -> Option<ResumeEventDocument> {
    let mut fields = Fields::open(reader, node, node.at, "an event of `x-resume`")?;
    let message = fields.need_text(reader, "message");
    let seq = fields.need_text(reader, "seq");
    fields.close(reader);
    Some(ResumeEventDocument { message: message?, seq: seq? })
}
