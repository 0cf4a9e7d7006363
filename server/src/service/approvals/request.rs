//! Opening an approval, or finding the one that the same request opened before.

use flightdeck_api::generated::errors::ErrorCode;
use flightdeck_api::generated::types::ApprovalRequest;
use flightdeck_api::support::ApiError;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::event::{self, Payload};
use super::{Approvals, EXPIRED, PENDING};
use crate::log::{NonceGuard, Work};
use crate::service::idempotency;
use crate::store::approvals::{self, ApprovalRow};
use crate::store::idempotency::Claim;
use crate::store::runs::{self, RunChange};

/// Bytes of evidence, as JSON text: a page of approvals holds it for each.
const MAX_CONTEXT: usize = 65_536;

/// An approval in the ledger, new or found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    pub approval_id: Uuid,
    pub status: String,
    pub expires_at: i64,
}

impl Approvals {
    /// Opens an approval of `workspace_id`, or finds the one that the same tool use with the same input opened.
    ///
    /// # Errors
    /// `run_not_found`, if the run belongs to another workspace; `approval_consumed`; `idempotency_key_reused`.
    pub async fn request(
        &self,
        workspace_id: Uuid,
        request: ApprovalRequest,
        claim: Option<Claim>,
        nonce: Option<NonceGuard>,
    ) -> Result<Asked, ApiError> {
        let now = self.clock.now();
        let row = self.row(workspace_id, &request, now)?;
        let provider = request.provider.unwrap_or_else(|| "unknown".to_owned());
        self.log
            .transact(nonce, move |work: &mut Work<'_>| {
                let (row, provider, claim) = (row.clone(), provider.clone(), claim.clone());
                Box::pin(async move {
                    if let Some(answer) = idempotency::known(work, claim.as_ref()).await? {
                        return serde_json::from_slice(&answer).map_err(|_| ErrorCode::Internal.into());
                    }
                    let asked = open(work, row, provider).await?;
                    let answer = serde_json::to_vec(&asked).map_err(|_| ApiError::new(ErrorCode::Internal))?;
                    idempotency::remember(work, claim.as_ref(), &answer, now).await?;
                    Ok::<_, ApiError>(asked)
                })
            })
            .await
    }

    fn row(&self, workspace_id: Uuid, request: &ApprovalRequest, now: i64) -> Result<ApprovalRow, ApiError> {
        let context = request.context.as_ref().map_or_else(
            || Ok("{}".to_owned()),
            |context| serde_json::to_string(context).map_err(|_| ApiError::new(ErrorCode::Internal)),
        )?;
        if context.len() > MAX_CONTEXT {
            return Err(ApiError::new(ErrorCode::InvalidRequest)
                .detail("/context", format!("is {} bytes long as JSON; {MAX_CONTEXT} are taken", context.len())));
        }
        let lifetime = request
            .expires_in_seconds
            .and_then(|seconds| i64::try_from(seconds.saturating_mul(1_000)).ok())
            .unwrap_or(self.lifetime);
        Ok(ApprovalRow {
            id: Uuid::now_v7(),
            run_id: request.run_id,
            workspace_id,
            status: PENDING.to_owned(),
            kind: request.kind.clone().unwrap_or_else(|| "command".to_owned()),
            command: request.command.clone(),
            cwd_hash: hex::encode(Sha256::digest(request.cwd.as_bytes())),
            request_key: request_key(workspace_id, request, &context),
            context,
            session_id: request.session_id.clone(),
            tool_name: request.tool_name.clone(),
            tool_use_id: request.tool_use_id.clone(),
            note: None,
            requested_at: now,
            expires_at: now.saturating_add(lifetime),
            decided_at: None,
            decided_by_device_id: None,
            expiry_reason: None,
            delivered_at: None,
            consumed_at: None,
            orphaned_at: None,
        })
    }
}

async fn open(work: &mut Work<'_>, row: ApprovalRow, provider: String) -> Result<Asked, ApiError> {
    let connection = work.tx().connection();
    if let Some(key) = &row.request_key
        && let Some(found) = approvals::find_by_key(connection, key).await?
    {
        // A question that ended without an answer is asked anew; any other keeps its answer, until that has been acted on.
        if found.status != EXPIRED {
            if found.consumed_at.is_some() {
                return Err(ErrorCode::ApprovalConsumed.into());
            }
            return Ok(Asked { approval_id: found.id, status: found.status, expires_at: found.expires_at });
        }
        approvals::release_key(connection, found.id).await?;
    }
    let change = RunChange {
        run_id: row.run_id,
        workspace_id: row.workspace_id,
        provider,
        status: None,
        message: None,
        at: row.requested_at,
    };
    if !runs::apply(connection, &[&change]).await?.is_empty() {
        return Err(ErrorCode::RunNotFound.into());
    }
    let asked = Asked { approval_id: row.id, status: row.status.clone(), expires_at: row.expires_at };
    let event = Payload::asking(&row).event(event::REQUESTED, row.run_id, row.requested_at);
    approvals::insert(connection, row).await?;
    work.append(vec![event]).await?;
    Ok(asked)
}

/// What makes two requests the same: workspace, session, tool use and input. Each part is preceded by its length, so
/// that no two lists of parts meet.
fn request_key(workspace_id: Uuid, request: &ApprovalRequest, context: &str) -> Option<Vec<u8>> {
    let tool_use_id = request.tool_use_id.as_deref()?;
    let run_id = request.run_id.to_string();
    let session_id = request.session_id.as_deref().unwrap_or(&run_id);
    let mut hasher = Sha256::new();
    hasher.update(workspace_id.as_bytes());
    for part in [session_id, tool_use_id, &request.command, &request.cwd, context] {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part.as_bytes());
    }
    Some(hasher.finalize().to_vec())
}
