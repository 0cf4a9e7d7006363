//! Bodies and small steps that tests of several surfaces share.

use anyhow::{Context, Result, bail};
use flightdeck_sdk::types::{ApprovalRequest, BridgeEvent};
use flightdeck_sdk::{ApiError, Timestamp};
use flightdeck_tests::{PairedWorkspace, Request, TestServer};
use serde_json::{Value, json};
use uuid::Uuid;

/// An event that creates a run.
pub(crate) fn event(workspace_id: Uuid, run_id: Uuid) -> Value {
    json!({
        "workspace_id": workspace_id,
        "run_id": run_id,
        "provider": "claude_code",
        "event_type": "RUN_STARTED",
        "event_ts": "2026-03-02T09:30:00.000Z",
    })
}

/// A question without a `tool_use_id`: each is a new one.
pub(crate) fn question(workspace_id: Uuid, run_id: Uuid) -> Value {
    json!({"workspace_id": workspace_id, "run_id": run_id, "command": "cargo publish", "cwd": "/home/ada/flightdeck"})
}

/// Creates a run, and gives its id.
pub(crate) async fn start_run(server: &TestServer, workspace: &PairedWorkspace) -> Result<Uuid> {
    let run_id = Uuid::new_v4();
    let request =
        Request::post("/bridge/event", &event(workspace.workspace_id, run_id)).sign(&workspace.signer(server));
    server.send(&request).await?.success()?;
    Ok(run_id)
}

/// Asks, and gives the approval's id.
pub(crate) async fn ask(server: &TestServer, workspace: &PairedWorkspace, run_id: Uuid) -> Result<Uuid> {
    let body = question(workspace.workspace_id, run_id);
    let request = Request::post("/bridge/approval/request", &body).sign(&workspace.signer(server));
    let answer = server.send(&request).await?.success()?;
    let id = answer["approval_id"].as_str().context("an approval has an id")?;
    Ok(id.parse()?)
}

/// A refusal's body without what differs from request to request.
pub(crate) fn without_request_id(mut body: Value) -> Value {
    if let Some(body) = body.as_object_mut() {
        body.remove("request_id");
    }
    body
}

/// Fails unless a call was refused with that code.
pub(crate) fn refused<T: std::fmt::Debug>(outcome: flightdeck_sdk::Result<T>, code: &str) -> Result<ApiError> {
    match outcome {
        Err(flightdeck_sdk::Error::Api(refusal)) if refusal.code.as_str() == code => Ok(*refusal),
        Err(error) => Err(error).with_context(|| format!("expected {code}")),
        Ok(value) => bail!("expected {code}, got {value:?}"),
    }
}

/// A question without a `tool_use_id`, for the SDK.
pub(crate) fn request(workspace: &PairedWorkspace, run_id: Uuid) -> ApprovalRequest {
    ApprovalRequest::new(run_id, "cargo publish", "/home/ada/flightdeck").with_workspace_id(workspace.workspace_id)
}

/// An event of the run, for the SDK.
pub(crate) fn happened(server: &TestServer, workspace: &PairedWorkspace, run_id: Uuid, what: &str) -> BridgeEvent {
    let at = Timestamp::from_millis(server.now());
    BridgeEvent::new(workspace.workspace_id, run_id, "claude_code", what, at)
}
