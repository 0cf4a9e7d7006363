//! The `approvals` surface.

use flightdeck_api::generated::approvals::{ApprovalsApi, ListApprovalsParameters};
use flightdeck_api::generated::errors::ErrorCode;
use flightdeck_api::generated::types::{self, DecisionVerb};
use flightdeck_api::support::{ApiError, Context};
use uuid::Uuid;

use super::convert;
use crate::auth::Authority;
use crate::service::approvals::{Approvals, Decision};
use crate::store::approvals::ApprovalFilter;

pub(super) struct ApprovalsSurface {
    pub(super) authority: Authority,
    pub(super) approvals: Approvals,
}

impl ApprovalsApi for ApprovalsSurface {
    async fn list_approvals(
        &self,
        context: &Context,
        parameters: ListApprovalsParameters,
    ) -> Result<types::ApprovalPage, ApiError> {
        let scope = self.authority.supervisor(context).await?.scope();
        let filter = ApprovalFilter {
            statuses: parameters.status.iter().map(|status| status.as_str()).collect(),
            workspace_id: parameters.workspace_id,
            run_id: parameters.run_id,
        };
        let page = self.approvals.list(&scope, &filter, &convert::slice(parameters.limit, parameters.cursor)).await?;
        Ok(types::ApprovalPage {
            items: page.items.into_iter().map(convert::approval).collect::<Result<_, _>>()?,
            next_cursor: page.next_cursor,
        })
    }

    async fn get_approval(&self, context: &Context, approval_id: Uuid) -> Result<types::Approval, ApiError> {
        let scope = self.authority.supervisor(context).await?.scope();
        convert::approval(self.approvals.get(&scope, approval_id).await?)
    }

    async fn decide_approval(
        &self,
        context: &Context,
        approval_id: Uuid,
        body: types::Decision,
    ) -> Result<types::Approval, ApiError> {
        let caller = self.authority.supervisor(context).await?;
        let decision = Decision { approval_id, approve: body.decision == DecisionVerb::Approve, note: body.note };
        let (scope, device_id) = (caller.scope(), caller.decider()?);
        let outcomes = self.approvals.decide(&scope, device_id, vec![decision], caller.into_nonce()).await?;
        let outcome = outcomes.into_iter().next().ok_or_else(|| ApiError::new(ErrorCode::Internal))?;
        convert::approval(outcome?)
    }

    async fn decide_approvals(
        &self,
        context: &Context,
        body: types::DecisionBatch,
    ) -> Result<types::DecisionOutcomes, ApiError> {
        let caller = self.authority.supervisor(context).await?;
        let decisions: Vec<Decision> = body
            .decisions
            .into_iter()
            .map(|item| Decision {
                approval_id: item.approval_id,
                approve: item.decision == DecisionVerb::Approve,
                note: item.note,
            })
            .collect();
        let ids: Vec<Uuid> = decisions.iter().map(|decision| decision.approval_id).collect();
        let (scope, device_id) = (caller.scope(), caller.decider()?);
        let outcomes = self.approvals.decide(&scope, device_id, decisions, caller.into_nonce()).await?;
        let outcomes = ids
            .into_iter()
            .zip(outcomes)
            .map(|(approval_id, outcome)| {
                Ok(match outcome {
                    Ok(row) => {
                        types::DecisionOutcome::Accepted(types::DecisionAccepted { approval: convert::approval(row)? })
                    }
                    Err(error) => types::DecisionOutcome::Refused(types::DecisionRefused {
                        approval_id,
                        error: error.body(Some(context)),
                    }),
                })
            })
            .collect::<Result<_, ApiError>>()?;
        Ok(types::DecisionOutcomes { outcomes })
    }
}
