//! What the hub says, as it is on the wire.

use flightdeck_api::generated::sockets::hub::HubServerMessage;
use flightdeck_api::generated::types;
use flightdeck_api::support::{Frame, JsonValue};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::service::hub::Happened;
use crate::surface::convert;

/// How the ids of events begin.
const MESSAGE: &str = "msg_";

/// `HubEvent`, with its data as the text that it is: it is not read to be written again.
#[derive(Serialize)]
struct Event<'e> {
    #[serde(serialize_with = "message_id")]
    id: Uuid,
    channel: &'e str,
    event: &'e str,
    data: &'e RawValue,
    timestamp: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<u64>,
}

fn message_id<S: Serializer>(id: &Uuid, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{MESSAGE}{}", id.simple()))
}

/// An event.
pub(super) fn event(happened: &Happened<'_>) -> Frame {
    let Happened { id, channel, name, data, at, seq } = *happened;
    let data = serde_json::from_str(data).unwrap_or_else(|error| {
        tracing::error!(channel, seq, %error, "an event's data is not JSON");
        RawValue::NULL
    });
    let seq = (seq > 0).then_some(convert::seq(seq));
    let event = Event { id, channel, event: name, data, timestamp: convert::seq(at), seq };
    serde_json::to_string(&event).unwrap_or_else(|_| unreachable!("texts, numbers and JSON become JSON")).into()
}

/// The event that a client names.
pub(super) fn read_message_id(text: &str) -> Option<Uuid> {
    Uuid::try_parse(text.strip_prefix(MESSAGE)?).ok()
}

/// The answer to a message that carried an `id`; `None` to one without.
pub(super) fn ack(id: Option<String>, refusal: Option<&str>, now: u64) -> Option<HubServerMessage> {
    let error = refusal.map(str::to_owned);
    Some(HubServerMessage::Ack(types::HubAck { id: id?, success: error.is_none(), error, timestamp: now }))
}

pub(super) fn fault(code: &str, error: impl Into<String>, now: u64) -> HubServerMessage {
    HubServerMessage::Error(types::HubFault { error: error.into(), code: code.to_owned(), timestamp: now })
}

/// The server's time, where a client's may be anything.
pub(super) fn time(now: u64) -> Option<JsonValue> {
    Some(JsonValue(now.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_on_the_wire_as_the_type_has_it() {
        let id = Uuid::from_u128(0xab);
        let data = r#"{ "n": 1.50, "big": 123456789012345678901 }"#;
        let happened = Happened { id, channel: "topics/x", name: "task.created", data, at: 1_700_000_000_000, seq: 7 };
        let frame = event(&happened);
        assert_eq!(
            frame.as_str(),
            format!(
                r#"{{"id":"msg_{}","channel":"topics/x","event":"task.created","data":{data},"timestamp":1700000000000,"seq":7}}"#,
                id.simple()
            )
        );
        let read: types::HubEvent = serde_json::from_str(&frame).expect("it is one");
        assert_eq!(read_message_id(&read.id), Some(id));
        assert_eq!(read.seq, Some(7));
        let announced = event(&Happened { seq: 0, ..happened });
        assert!(!announced.contains("seq"), "{announced}");
    }

    #[test]
    fn what_is_no_id_of_an_event_names_none() {
        for text in ["", "msg_", "msg_x", "0190a1b2000070008000000000000001", "sub-1"] {
            assert_eq!(read_message_id(text), None, "{text}");
        }
    }
}
