//! Events of a service as they are in the log: an enum whose variant is the event's kind, and the rest its payload.

use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::store::events::NewEvent;

/// An event of a stream. `event` is tagged by `kind` and has its content in `payload`.
pub(super) fn write(event: &impl Serialize, stream: String, now: i64) -> NewEvent {
    let (kind, payload) = match serde_json::to_value(event) {
        Ok(serde_json::Value::Object(mut parts)) => (parts.remove("kind"), parts.remove("payload")),
        _ => unreachable!("texts, numbers and ids become JSON"),
    };
    NewEvent {
        stream,
        id: Uuid::now_v7(),
        kind: kind.as_ref().and_then(serde_json::Value::as_str).unwrap_or_default().to_owned(),
        created_at: now,
        happened_at: None,
        payload: payload.unwrap_or_default().to_string(),
    }
}

/// Reads what [`write`] made; `None` for an event that this version does not know.
pub(super) fn read<E: DeserializeOwned>(kind: &str, payload: &str) -> Option<E> {
    serde_json::from_str(&format!(r#"{{"kind":{kind:?},"payload":{payload}}}"#)).ok()
}
