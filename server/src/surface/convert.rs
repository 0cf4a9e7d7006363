//! From the rows of the store to the types of the wire.

use flightdeck_api::generated::errors::ErrorCode;
use flightdeck_api::generated::types;
use flightdeck_api::support::{ApiError, JsonObject, Timestamp};
use uuid::Uuid;

use crate::service::approvals::Waited;
use crate::service::devices::SharedDevice;
use crate::service::paging::Slice;
use crate::service::runs::CountedRun;
use crate::store::approvals::ApprovalRow;
use crate::store::events::EventRow;
use crate::store::workspaces::WorkspaceRow;

/// A value that the database's own checks keep within the enum.
pub(super) fn stored<T: std::str::FromStr>(text: &str) -> Result<T, ApiError> {
    text.parse().map_err(|_| {
        tracing::error!(value = text, "the database holds a value that the protocol does not know");
        ErrorCode::Internal.into()
    })
}

/// JSON text that was an object when it was stored.
fn object(text: &str) -> Result<JsonObject, ApiError> {
    serde_json::from_str(text).map_err(|error| {
        tracing::error!(%error, "the database holds text that is not a JSON object");
        ErrorCode::Internal.into()
    })
}

pub(super) fn slice(limit: u64, cursor: Option<String>) -> Slice {
    Slice { limit, cursor }
}

pub(super) fn approval(row: ApprovalRow) -> Result<types::Approval, ApiError> {
    Ok(types::Approval {
        approval_id: row.id,
        run_id: row.run_id,
        workspace_id: row.workspace_id,
        status: stored(&row.status)?,
        kind: row.kind,
        command: row.command,
        cwd_hash: row.cwd_hash,
        context: object(&row.context)?,
        session_id: row.session_id,
        tool_name: row.tool_name,
        tool_use_id: row.tool_use_id,
        note: row.note,
        requested_at: Timestamp(row.requested_at),
        expires_at: Timestamp(row.expires_at),
        decided_at: row.decided_at.map(Timestamp),
        decided_by_device_id: row.decided_by_device_id,
        expiry_reason: row.expiry_reason.as_deref().map(stored).transpose()?,
        delivered_at: row.delivered_at.map(Timestamp),
        consumed_at: row.consumed_at.map(Timestamp),
        orphaned_at: row.orphaned_at.map(Timestamp),
    })
}

/// A status that can't be told is not decided, as far as an agent is concerned.
pub(super) fn verdict(approval_id: Uuid, waited: Waited) -> types::ApprovalVerdict {
    types::ApprovalVerdict {
        approval_id,
        status: stored(&waited.status).unwrap_or(types::ApprovalStatus::Pending),
        note: waited.note,
        expiry_reason: waited.expiry_reason.as_deref().and_then(|reason| stored(reason).ok()),
        delivered_at: waited.delivered_at.map(Timestamp),
        consumed_at: waited.consumed_at.map(Timestamp),
    }
}

pub(super) fn run(counted: CountedRun) -> Result<types::Run, ApiError> {
    let CountedRun { run, last_seq, pending_approvals } = counted;
    Ok(types::Run {
        run_id: run.id,
        workspace_id: run.workspace_id,
        provider: run.provider,
        status: stored(&run.status)?,
        started_at: Timestamp(run.started_at),
        ended_at: run.ended_at.map(Timestamp),
        last_event_at: Timestamp(run.last_event_at),
        last_seq: seq(last_seq),
        last_message: run.last_message,
        pending_approvals,
    })
}

pub(super) fn event(run_id: Uuid, row: EventRow) -> Result<types::RunEvent, ApiError> {
    Ok(types::RunEvent {
        event_id: row.id,
        run_id,
        seq: seq(row.seq),
        r#type: row.kind,
        event_ts: row.happened_at.map(Timestamp),
        created_at: Timestamp(row.created_at),
        payload: object(&row.payload)?,
    })
}

pub(super) fn workspace(row: WorkspaceRow) -> types::Workspace {
    types::Workspace {
        workspace_id: row.id,
        machine_id: row.machine_id,
        display_name: row.display_name,
        project_fingerprint: row.project_fingerprint,
        created_at: Timestamp(row.created_at),
        updated_at: Timestamp(row.updated_at),
    }
}

pub(super) fn device(shared: SharedDevice, current: Option<Uuid>) -> Result<types::Device, ApiError> {
    let SharedDevice { device, workspace_ids } = shared;
    Ok(types::Device {
        device_id: device.id,
        name: device.name,
        platform: stored(&device.platform)?,
        workspace_ids,
        created_at: Timestamp(device.created_at),
        updated_at: Timestamp(device.updated_at),
        last_seen_at: device.last_seen_at.map(Timestamp),
        revoked_at: device.revoked_at.map(Timestamp),
        current: current == Some(device.id),
    })
}

/// Sequence numbers are never negative.
pub(super) fn seq(seq: i64) -> u64 {
    u64::try_from(seq).unwrap_or(0)
}
