//! The ledger's events, told once more in the stream of their workspace: whoever supervises follows one stream, not one for
//! each run.

use serde_json::Value;
use uuid::Uuid;

use crate::log::{Projection, approvals_stream};
use crate::store::events::NewEvent;

/// Tells `approval.*` events of runs in `approvals/{workspace_id}`, with the run's id.
#[derive(Debug, Clone, Copy, Default)]
pub struct ByWorkspace;

impl Projection for ByWorkspace {
    fn project(&self, event: &NewEvent) -> Vec<NewEvent> {
        if !event.kind.starts_with("approval.") {
            return Vec::new();
        }
        let Some(run_id) = event.stream.strip_prefix("runs/") else { return Vec::new() };
        let Ok(Value::Object(mut payload)) = serde_json::from_str(&event.payload) else { return Vec::new() };
        let workspace_id = payload.get("workspace_id").and_then(Value::as_str).and_then(|id| id.parse::<Uuid>().ok());
        let Some(workspace_id) = workspace_id else { return Vec::new() };
        payload.insert("run_id".to_owned(), run_id.into());
        vec![NewEvent {
            stream: approvals_stream(workspace_id),
            id: Uuid::now_v7(),
            payload: Value::Object(payload).to_string(),
            ..event.clone()
        }]
    }
}
