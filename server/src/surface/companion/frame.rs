//! An agent's events as frames of the companion's socket.
//!
//! What is in the log is text already, and most of it goes over the wire as it is: the text of the envelope is copied into
//! the event's, nothing is taken apart.

use std::fmt::Write;

use flightdeck_api::generated::errors::ErrorCode;
use flightdeck_api::generated::types;
use flightdeck_api::support::{ApiError, Frame, Timestamp};
use uuid::Uuid;

use crate::log::LiveEvent;
use crate::store::events::EventRow;

/// The bytes of an event and its frame besides its envelope, and some more.
const AROUND: usize = 256;

/// One event, as everybody who follows the agent gets it.
pub(super) fn live(agent_id: Uuid, event: &LiveEvent) -> Frame {
    let mut text = String::with_capacity(event.event.payload.len() + AROUND);
    text.push_str(r#"{"type":"event","event":"#);
    let LiveEvent { event, seq, .. } = event;
    write(&mut text, agent_id, (event.id, *seq, &event.kind, event.created_at), &event.payload);
    text.push('}');
    text.into()
}

/// One stored event, in the form of a new one.
pub(super) fn single(agent_id: Uuid, row: &EventRow) -> Frame {
    let mut text = String::with_capacity(row.payload.len() + AROUND);
    text.push_str(r#"{"type":"event","event":"#);
    write_row(&mut text, agent_id, row);
    text.push('}');
    text.into()
}

/// Stored events, in order.
pub(super) fn stored(agent_id: Uuid, rows: &[EventRow]) -> Frame {
    let size: usize = rows.iter().map(|row| row.payload.len() + AROUND).sum();
    let mut text = String::with_capacity(size + AROUND);
    text.push_str(r#"{"type":"events","events":["#);
    for (index, row) in rows.iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        write_row(&mut text, agent_id, row);
    }
    text.push_str("]}");
    text.into()
}

/// A stored event, for an answer that is not a frame.
pub(super) fn read(agent_id: Uuid, row: &EventRow) -> Result<types::AgentEvent, ApiError> {
    let mut text = String::with_capacity(row.payload.len() + AROUND);
    write_row(&mut text, agent_id, row);
    serde_json::from_str(&text).map_err(|error| {
        tracing::error!(%error, "the database holds an agent's event that is none");
        ErrorCode::Internal.into()
    })
}

fn write_row(text: &mut String, agent_id: Uuid, row: &EventRow) {
    write(text, agent_id, (row.id, row.seq, &row.kind, row.created_at), &row.payload);
}

/// The envelope is an object that is never empty, and its properties follow those that are written here.
fn write(text: &mut String, agent_id: Uuid, (id, seq, kind, at): (Uuid, i64, &str, i64), envelope: &str) {
    let at = Timestamp(at);
    let written = write!(
        text,
        r#"{{"id":"{id}","agent_id":"{agent_id}","seq":{seq},"type":"{kind}","created_at":"{at}",{}"#,
        envelope.strip_prefix('{').unwrap_or("}")
    );
    debug_assert!(written.is_ok(), "a text takes every other");
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use flightdeck_api::generated::sockets::companion::CompanionServerMessage;
    use flightdeck_api::support::ServerMessage;
    use serde_json::{Value, json};

    use super::*;
    use crate::store::events::NewEvent;

    const ENVELOPE: &str =
        r#"{"sender":"pc","payload":{"content":"\"ä\u0000","n":1.5},"user_id":null,"tenant_id":"t"}"#;

    fn row(seq: i64) -> EventRow {
        EventRow {
            stream_id: 1,
            seq,
            id: Uuid::from_u128(7),
            kind: "message_out".into(),
            created_at: 1_700_000_000_123,
            happened_at: None,
            payload: ENVELOPE.into(),
        }
    }

    /// What the generated types make of the same.
    fn typed(seq: u64) -> types::AgentEvent {
        types::AgentEvent {
            id: Uuid::from_u128(7),
            agent_id: Uuid::from_u128(9),
            seq,
            r#type: types::AgentEventType::MessageOut,
            sender: types::AgentEventSender::Pc,
            payload: serde_json::from_value(json!({"content": "\"ä\0", "n": 1.5})).expect("an object"),
            created_at: Timestamp(1_700_000_000_123),
            user_id: None,
            tenant_id: Some("t".into()),
        }
    }

    fn same(frame: &Frame, message: &CompanionServerMessage) {
        let value = |text: &str| serde_json::from_str::<Value>(text).expect("JSON");
        assert_eq!(value(frame), value(&message.frame()));
    }

    #[test]
    fn frames_are_what_the_generated_messages_would_be() {
        let agent_id = Uuid::from_u128(9);
        for count in [0, 1, 3] {
            let rows: Vec<_> = (1..=count).map(row).collect();
            let events = (1..=u64::try_from(count).expect("small")).map(typed).collect();
            same(&stored(agent_id, &rows), &CompanionServerMessage::Events(types::CompanionEvents { events }));
        }
        let message = CompanionServerMessage::Event(types::CompanionLive { event: typed(4) });
        same(&single(agent_id, &row(4)), &message);
        let event: NewEvent = row(4).into_event("agents/x");
        same(&live(agent_id, &LiveEvent::new(Arc::new(event), 4)), &message);
        assert_eq!(read(agent_id, &row(4)), Ok(typed(4)));
    }

    #[test]
    fn what_is_no_envelope_is_noticed() {
        for payload in ["", "[]", "{}", r#"{"sender":"pc"}"#] {
            let row = EventRow { payload: payload.into(), ..row(1) };
            assert_eq!(read(Uuid::nil(), &row).expect_err("it is none").code, ErrorCode::Internal, "{payload}");
        }
    }
}
