//! Receipts: the hook has the verdict, the agent went on. Who decided sees both.

use flightdeck_api::generated::errors::ErrorCode;
use flightdeck_api::support::ApiError;
use uuid::Uuid;

use super::event::{self, Payload};
use super::{Approvals, PENDING};
use crate::log::{NonceGuard, Work};
use crate::store::approvals::{self, ApprovalRow};
use crate::store::workspaces::Scope;

impl Approvals {
    /// Notes that the verdict was delivered and, if `consumed`, acted on. What was noted before stays as it was.
    ///
    /// # Errors
    /// `approval_not_found`, `approval_pending`.
    pub async fn acknowledge(
        &self,
        scope: &Scope,
        id: Uuid,
        consumed: bool,
        nonce: Option<NonceGuard>,
    ) -> Result<ApprovalRow, ApiError> {
        let now = self.clock.now();
        let scope = scope.clone();
        self.log
            .transact(nonce, move |work: &mut Work<'_>| {
                let scope = scope.clone();
                Box::pin(async move {
                    let connection = work.tx().connection();
                    let find = || approvals::find(connection, id, &scope);
                    let missing = || ApiError::new(ErrorCode::ApprovalNotFound);
                    let row = find().await?.ok_or_else(missing)?;
                    if row.status == PENDING {
                        return Err(ErrorCode::ApprovalPending.into());
                    }
                    let mut events = Vec::new();
                    if approvals::deliver(connection, id, now).await? {
                        events.push(Payload::of(&row).event(event::DELIVERED, row.run_id, now));
                    }
                    if consumed && approvals::consume(connection, id, now).await? {
                        events.push(Payload::of(&row).event(event::CONSUMED, row.run_id, now));
                    }
                    work.append(events).await?;
                    find().await?.ok_or_else(missing)
                })
            })
            .await
    }
}
