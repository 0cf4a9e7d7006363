//! The `bridge` surface.

use flightdeck_api::generated::bridge::{BridgeApi, WaitForApprovalParameters};
use flightdeck_api::generated::errors::ErrorCode;
use flightdeck_api::generated::types;
use flightdeck_api::support::{ApiError, Context, Later, Timestamp};
use uuid::Uuid;

use super::convert;
use crate::auth::{Authority, Limit, Signed};
use crate::service::approvals::Approvals;
use crate::service::claim;
use crate::service::runs::Runs;
use crate::store::workspaces::Scope;

pub(super) struct BridgeSurface {
    pub(super) authority: Authority,
    pub(super) runs: Runs,
    pub(super) approvals: Approvals,
}

impl BridgeSurface {
    /// The signer of a request about one approval. Its workspace is looked up only if the request does not name it.
    async fn signed(&self, context: &Context, approval_id: Uuid) -> Result<(Signed, Scope), ApiError> {
        let named = match context.header("X-Workspace-Id") {
            Some(_) => None,
            None => self.approvals.workspace_of(approval_id).await?,
        };
        let signed = self.authority.signed(context, named).await?;
        let scope = signed.workspace_id.map_or(Scope::All, |id| Scope::Workspaces(vec![id]));
        Ok((signed, scope))
    }
}

impl BridgeApi for BridgeSurface {
    async fn submit_event(
        &self,
        context: &Context,
        body: types::BridgeEvent,
    ) -> Result<types::EventAccepted, ApiError> {
        let workspace_id = body.workspace_id;
        let signed = self.authority.signed_within(context, Some(workspace_id), Some(Limit::Event)).await?;
        if body.event_type.starts_with("approval.") {
            return Err(ApiError::new(ErrorCode::InvalidRequest)
                .detail("/event_type", "`approval.` begins the names of Flightdeck's own events"));
        }
        let claim = claim(context, "submitEvent", &workspace_id.to_string())?;
        let (event_id, seq) = self.runs.report(body, claim, signed.nonce).await?;
        Ok(types::EventAccepted { status: "ok".to_owned(), event_id, seq: convert::seq(seq) })
    }

    async fn request_approval(
        &self,
        context: &Context,
        body: types::ApprovalRequest,
    ) -> Result<types::ApprovalRequested, ApiError> {
        let named = match (body.workspace_id, context.header("X-Workspace-Id")) {
            (None, None) => self.runs.workspace_of(body.run_id).await?,
            (named, _) => named,
        };
        let signed = self.authority.signed_within(context, named, Some(Limit::Approval)).await?;
        let workspace_id = signed.workspace()?;
        let claim = claim(context, "requestApproval", &workspace_id.to_string())?;
        let asked = self.approvals.request(workspace_id, body, claim, Some(signed.nonce)).await?;
        Ok(types::ApprovalRequested {
            approval_id: asked.approval_id,
            status: convert::stored(&asked.status)?,
            expires_at: Timestamp(asked.expires_at),
        })
    }

    async fn wait_for_approval(
        &self,
        context: &Context,
        approval_id: Uuid,
        parameters: WaitForApprovalParameters,
    ) -> Result<Later<types::ApprovalVerdict>, ApiError> {
        // The nonce is written down now, not when the wait ends.
        let scope = self.signed(context, approval_id).await?.1;
        let waiting = self.approvals.wait(&scope, approval_id, parameters.timeout).await?;
        Ok(Later::new(async move { convert::verdict(approval_id, waiting.end().await) }))
    }

    async fn acknowledge_approval(
        &self,
        context: &Context,
        approval_id: Uuid,
        body: types::Acknowledgement,
    ) -> Result<types::ApprovalVerdict, ApiError> {
        let (signed, scope) = self.signed(context, approval_id).await?;
        let consumed = body.stage == types::AcknowledgementStage::Consumed;
        let row = self.approvals.acknowledge(&scope, approval_id, consumed, Some(signed.nonce)).await?;
        Ok(convert::verdict(approval_id, row.into()))
    }

    async fn withdraw_approval(
        &self,
        context: &Context,
        approval_id: Uuid,
        body: types::Withdrawal,
    ) -> Result<types::ApprovalVerdict, ApiError> {
        let (signed, scope) = self.signed(context, approval_id).await?;
        let row = self.approvals.withdraw(&scope, approval_id, body.reason, Some(signed.nonce)).await?;
        Ok(convert::verdict(approval_id, row.into()))
    }
}
