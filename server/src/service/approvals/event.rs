//! The ledger's events: the only place that knows their names and payloads.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::log::run_stream;
use crate::store::approvals::ApprovalRow;
use crate::store::events::NewEvent;

/// An approval was opened.
pub(in crate::service) const REQUESTED: &str = "approval.requested";
/// A person decided.
pub(in crate::service) const DECIDED: &str = "approval.decided";
/// Its time ran out.
pub(in crate::service) const EXPIRED: &str = "approval.expired";
/// Its hook took it back.
pub(in crate::service) const WITHDRAWN: &str = "approval.withdrawn";
/// Its hook has the verdict.
pub(super) const DELIVERED: &str = "approval.delivered";
/// Its agent went on.
pub(super) const CONSUMED: &str = "approval.consumed";
/// Nobody waits for it any more.
pub(super) const ORPHANED: &str = "approval.orphaned";
/// Somebody waits for it again.
pub(super) const REATTACHED: &str = "approval.reattached";

/// What a ledger event carries. Waiters read their verdict from it, so it holds all of that.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::service) struct Payload {
    pub(in crate::service) approval_id: Uuid,
    pub(in crate::service) workspace_id: Uuid,
    pub(in crate::service) status: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::service) note: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::service) decided_by_device_id: Option<Uuid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::service) expiry_reason: Option<String>,
    /// Why it was withdrawn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::service) reason: Option<String>,
    /// Of a new one: what is asked, and until when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::service) question: Option<Question>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::service) struct Question {
    pub(in crate::service) kind: String,
    pub(in crate::service) command: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::service) tool_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::service) tool_use_id: Option<String>,
    /// Unix milliseconds.
    pub(in crate::service) expires_at: i64,
}

impl Payload {
    pub(super) fn of(row: &ApprovalRow) -> Self {
        Self {
            approval_id: row.id,
            workspace_id: row.workspace_id,
            status: row.status.clone(),
            note: row.note.clone(),
            decided_by_device_id: row.decided_by_device_id,
            expiry_reason: row.expiry_reason.clone(),
            reason: None,
            question: None,
        }
    }

    pub(super) fn asking(row: &ApprovalRow) -> Self {
        Self {
            question: Some(Question {
                kind: row.kind.clone(),
                command: row.command.clone(),
                tool_name: row.tool_name.clone(),
                tool_use_id: row.tool_use_id.clone(),
                expires_at: row.expires_at,
            }),
            ..Self::of(row)
        }
    }

    /// As an event of the run's timeline.
    pub(super) fn event(&self, kind: &str, run_id: Uuid, now: i64) -> NewEvent {
        NewEvent {
            stream: run_stream(run_id),
            id: Uuid::now_v7(),
            kind: kind.to_owned(),
            created_at: now,
            happened_at: None,
            payload: serde_json::to_string(self).unwrap_or_else(|_| unreachable!("text and ids become JSON")),
        }
    }
}
