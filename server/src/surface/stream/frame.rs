//! Events as they are on the wire of the native socket: written once, around the text that the log has.

use std::fmt::{Display, Write};

use flightdeck_api::support::{Frame, Timestamp};
use uuid::Uuid;

use crate::log::LiveEvent;
use crate::store::events::EventRow;

/// Bytes around an event's payload, about.
const AROUND: usize = 256;

/// A page of history is sent in frames of about this size.
const FULL: usize = 64 << 10;

/// One event, wherever it is from.
struct Event<'e> {
    id: Uuid,
    seq: i64,
    kind: &'e str,
    created_at: i64,
    happened_at: Option<i64>,
    payload: &'e str,
}

/// The frame of a new event.
pub(super) fn live(live: &LiveEvent) -> Frame {
    let event = &live.event;
    let mut text = String::with_capacity(event.payload.len() + AROUND);
    text.push_str(r#"{"type":"event","stream":"#);
    put_text(&mut text, &event.stream);
    text.push_str(r#","event":"#);
    put_event(
        &mut text,
        &Event {
            id: event.id,
            seq: live.seq,
            kind: &event.kind,
            created_at: event.created_at,
            happened_at: event.happened_at,
            payload: &event.payload,
        },
    );
    text.push('}');
    text.into()
}

/// The frames of stored events.
pub(super) fn stored(stream: &str, rows: &[EventRow]) -> impl Iterator<Item = Frame> {
    let mut rows = rows.iter().peekable();
    std::iter::from_fn(move || {
        rows.peek()?;
        let mut text = String::with_capacity(FULL + AROUND);
        text.push_str(r#"{"type":"events","stream":"#);
        put_text(&mut text, stream);
        text.push_str(r#","events":["#);
        let mut first = true;
        while let Some(row) = rows.next_if(|row| first || text.len() + row.payload.len() < FULL) {
            if !std::mem::take(&mut first) {
                text.push(',');
            }
            put_event(
                &mut text,
                &Event {
                    id: row.id,
                    seq: row.seq,
                    kind: &row.kind,
                    created_at: row.created_at,
                    happened_at: row.happened_at,
                    payload: &row.payload,
                },
            );
        }
        text.push_str("]}");
        text.shrink_to_fit();
        Some(text.into())
    })
}

fn put_event(text: &mut String, event: &Event<'_>) {
    let Event { id, seq, kind, created_at, happened_at, payload } = *event;
    put(text, format_args!(r#"{{"id":"{id}","seq":{seq},"type":"#));
    put_text(text, kind);
    put(text, format_args!(r#","created_at":"{}""#, Timestamp(created_at)));
    if let Some(at) = happened_at {
        put(text, format_args!(r#","event_ts":"{}""#, Timestamp(at)));
    }
    text.push_str(r#","payload":"#);
    if payload.starts_with('{') {
        text.push_str(payload);
    } else {
        // On the hub, anything may be published; here a payload is an object.
        put(text, format_args!(r#"{{"value":{payload}}}"#));
    }
    text.push('}');
}

/// A text with its quotes.
fn put_text(text: &mut String, value: &str) {
    let plain = |byte: u8| byte >= b' ' && byte != b'"' && byte != b'\\';
    if value.bytes().all(plain) {
        put(text, format_args!(r#""{value}""#));
    } else {
        put(text, serde_json::Value::from(value));
    }
}

fn put(text: &mut String, value: impl Display) {
    let written = write!(text, "{value}");
    debug_assert!(written.is_ok(), "a text takes every other");
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use flightdeck_api::generated::sockets::stream::StreamServerMessage;
    use flightdeck_api::generated::types;
    use flightdeck_api::support::ServerMessage;
    use serde_json::{Value, json};

    use super::*;

    const STREAM: &str = "runs/0190a1b2-0000-7000-8000-000000000001";

    fn row(seq: i64, kind: &str, happened_at: Option<i64>, payload: &Value) -> EventRow {
        let id = Uuid::from_u128(u128::try_from(seq).expect("positive"));
        let (kind, payload) = (kind.to_owned(), payload.to_string());
        EventRow { stream_id: 1, seq, id, kind, created_at: 1_700_000_000_123, happened_at, payload }
    }

    fn rows() -> Vec<EventRow> {
        vec![
            row(1, "RUN_STARTED", Some(1_600_000_000_000), &json!({})),
            row(
                2,
                "with \"quotes\" \\ and\nlines \u{1}",
                None,
                &json!({"message": "ä\u{2028}\"\\\0", "n": [1.5, null]}),
            ),
            row(9_007_199_254_740_991, "approval.requested", Some(0), &json!({"deep": {"er": {"type": "event"}}})),
        ]
    }

    /// What the generated types make of the same.
    fn typed(row: &EventRow) -> types::StreamEvent {
        types::StreamEvent {
            id: row.id,
            seq: u64::try_from(row.seq).expect("positive"),
            r#type: row.kind.clone(),
            created_at: Timestamp(row.created_at),
            event_ts: row.happened_at.map(Timestamp),
            payload: serde_json::from_str(&row.payload).expect("an object"),
        }
    }

    #[test]
    fn a_new_event_is_what_the_generated_message_would_be() {
        for row in rows() {
            let message = StreamServerMessage::Event(types::StreamLive { stream: STREAM.into(), event: typed(&row) });
            let event = LiveEvent::new(Arc::new(row.clone().into_event(STREAM)), row.seq);
            assert_eq!(live(&event).as_str(), message.frame().as_str());
        }
    }

    #[test]
    fn stored_events_are_what_the_generated_message_would_be() {
        let events = rows().iter().map(typed).collect();
        let message = StreamServerMessage::Events(types::StreamEvents { stream: STREAM.into(), events });
        let frames: Vec<Frame> = stored(STREAM, &rows()).collect();
        assert_eq!(frames.len(), 1);
        assert_eq!(frames[0].as_str(), message.frame().as_str());
        assert_eq!(stored(STREAM, &[]).count(), 0);
    }

    #[test]
    fn a_large_page_goes_in_several_frames() {
        let rows: Vec<EventRow> = (1..=20)
            .map(|seq| row(seq, "x", None, &json!({"text": "x".repeat(if seq == 7 { 200_000 } else { 10_000 })})))
            .collect();
        let frames: Vec<types::StreamEvents> =
            stored(STREAM, &rows).map(|frame| serde_json::from_str(&frame).expect("it is one")).collect();
        let seqs: Vec<Vec<u64>> =
            frames.iter().map(|frame| frame.events.iter().map(|event| event.seq).collect()).collect();
        let six = |from: u64| (from..from + 6).collect::<Vec<_>>();
        assert_eq!(seqs, [six(1), vec![7], six(8), six(14), vec![20]]);
    }

    #[test]
    fn what_is_no_object_becomes_one() {
        for payload in [json!(5), json!("text"), json!(null), json!([1])] {
            let mut text = String::new();
            let row = row(1, "x", None, &payload);
            put_event(
                &mut text,
                &Event { id: row.id, seq: 1, kind: "x", created_at: 0, happened_at: None, payload: &row.payload },
            );
            let event: types::StreamEvent = serde_json::from_str(&text).expect("it is one");
            assert_eq!(serde_json::to_value(&event.payload).expect("JSON"), json!({ "value": payload }));
        }
    }
}
