//! The `mobile` surface: the inherited client's way to decide.

use flightdeck_api::generated::errors::ErrorCode;
use flightdeck_api::generated::mobile::MobileApi;
use flightdeck_api::generated::types::{self, MobileVerb};
use flightdeck_api::support::{ApiError, Context};
use uuid::Uuid;

use super::convert;
use crate::auth::Authority;
use crate::service::approvals::{Approvals, Decision};

pub(super) struct MobileSurface {
    pub(super) authority: Authority,
    pub(super) approvals: Approvals,
}

impl MobileApi for MobileSurface {
    async fn decide_mobile_approval(
        &self,
        context: &Context,
        approval_id: Uuid,
        body: types::MobileDecision,
    ) -> Result<types::MobileDecided, ApiError> {
        // Looked up only for a signature that does not say whose it is.
        let named = match (context.header("X-Signature"), context.header("X-Workspace-Id")) {
            (Some(_), None) => self.approvals.workspace_of(approval_id).await?,
            _ => None,
        };
        let caller = self.authority.mobile(context, named).await?;
        let decision = Decision {
            approval_id,
            approve: matches!(body.decision, MobileVerb::Approve | MobileVerb::Approved),
            note: body.note.value().filter(|note| !note.is_empty()).cloned(),
        };
        let (scope, device_id) = (caller.scope(), caller.decider()?);
        let outcomes = self.approvals.decide(&scope, device_id, vec![decision], caller.into_nonce()).await?;
        let row = outcomes.into_iter().next().ok_or_else(|| ApiError::new(ErrorCode::Internal))??;
        Ok(types::MobileDecided { status: convert::stored(&row.status)?, note: row.note })
    }
}
