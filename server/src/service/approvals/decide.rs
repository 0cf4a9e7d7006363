//! Ending an approval: a person decides, its hook takes it back, or its time runs out. The first one wins.

use flightdeck_api::generated::errors::ErrorCode;
use flightdeck_api::support::{ApiError, Timestamp};
use uuid::Uuid;

use super::event::{self, Payload};
use super::{APPROVED, Approvals, DENIED, EXPIRED};
use crate::log::{NonceGuard, Work};
use crate::store::approvals::{self, ApprovalFilter, ApprovalRow, Ending};
use crate::store::devices;
use crate::store::workspaces::Scope;

/// What a person said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    pub approval_id: Uuid,
    pub approve: bool,
    pub note: Option<String>,
}

impl Decision {
    const fn status(&self) -> &'static str {
        if self.approve { APPROVED } else { DENIED }
    }
}

impl Approvals {
    /// Decides several approvals, each on its own: the outcomes are in the order asked. They share one commit.
    ///
    /// # Errors
    /// If none could be committed. Each by itself: `approval_not_found`, `approval_conflict`, `approval_expired`.
    pub async fn decide(
        &self,
        scope: &Scope,
        device_id: Option<Uuid>,
        decisions: Vec<Decision>,
        nonce: Option<NonceGuard>,
    ) -> Result<Vec<Result<ApprovalRow, ApiError>>, ApiError> {
        let now = self.clock.now();
        let scope = scope.clone();
        self.log
            .transact(nonce, move |work: &mut Work<'_>| {
                let (scope, decisions) = (scope.clone(), decisions.clone());
                Box::pin(async move {
                    let mut outcomes = Vec::with_capacity(decisions.len());
                    for decision in decisions {
                        outcomes.push(match decide(work, &scope, device_id, decision, now).await {
                            // A fault of ours takes back all of them; a refusal concerns its own only.
                            Err(error) if error.code.status() >= 500 => return Err(error),
                            outcome => outcome,
                        });
                    }
                    Ok::<_, ApiError>(outcomes)
                })
            })
            .await
    }

    /// Takes a question back, because it was answered elsewhere.
    ///
    /// # Errors
    /// `approval_not_found`; `approval_conflict`, if a person was faster.
    pub async fn withdraw(
        &self,
        scope: &Scope,
        id: Uuid,
        reason: Option<String>,
        nonce: Option<NonceGuard>,
    ) -> Result<ApprovalRow, ApiError> {
        let now = self.clock.now();
        let scope = scope.clone();
        self.log
            .transact(nonce, move |work: &mut Work<'_>| {
                let (scope, reason) = (scope.clone(), reason.clone());
                Box::pin(async move {
                    let connection = work.tx().connection();
                    let row = find(work, &scope, id).await?;
                    let ending = Ending { expiry_reason: Some("WITHDRAWN"), ..expiring(now) };
                    if !approvals::end(connection, id, &ending).await? {
                        let row = find(work, &scope, id).await?;
                        return if row.status == EXPIRED { Ok(row) } else { Err(conflict(work, &row).await?) };
                    }
                    let row = ended(row, ending);
                    let payload = Payload { reason, ..Payload::of(&row) };
                    work.append(vec![payload.event(event::WITHDRAWN, row.run_id, now)]).await?;
                    Ok::<_, ApiError>(row)
                })
            })
            .await
    }

    /// Takes back what a run has asked and nobody has answered: it does not go on.
    ///
    /// # Errors
    /// `unavailable`.
    pub async fn withdraw_all_of(&self, run_id: Uuid) -> Result<(), ApiError> {
        let filter =
            ApprovalFilter { statuses: vec![super::PENDING], run_id: Some(run_id), ..ApprovalFilter::default() };
        for row in approvals::list(self.store.reader(), &Scope::All, &filter, None, 1_000).await? {
            match self.withdraw(&Scope::All, row.id, Some("The run is over.".to_owned()), None).await {
                Err(error) if error.code == ErrorCode::ApprovalConflict => {}
                withdrawn => _ = withdrawn?,
            }
        }
        Ok(())
    }

    /// Ends an approval whose time is up, unless somebody was faster; then the board learns how it ended.
    pub(super) async fn expire(&self, id: Uuid) -> Result<(), ApiError> {
        let now = self.clock.now();
        let row = self
            .log
            .transact(None, move |work: &mut Work<'_>| {
                Box::pin(async move {
                    expire(work, id, now).await?;
                    find(work, &Scope::All, id).await
                })
            })
            .await?;
        if row.status != super::PENDING {
            self.board.end(id, row.into());
        }
        Ok(())
    }
}

async fn decide(
    work: &mut Work<'_>,
    scope: &Scope,
    device_id: Option<Uuid>,
    decision: Decision,
    now: i64,
) -> Result<ApprovalRow, ApiError> {
    let id = decision.approval_id;
    let row = find(work, scope, id).await?;
    let status = decision.status();
    // A deadline that has passed counts even if the sweep has not come round.
    if row.expires_at > now || row.status != super::PENDING {
        let ending = Ending { status, note: decision.note, device_id, expiry_reason: None, at: now };
        if approvals::end(work.tx().connection(), id, &ending).await? {
            let row = ended(row, ending);
            work.append(vec![Payload::of(&row).event(event::DECIDED, row.run_id, now)]).await?;
            return Ok(row);
        }
    }
    // Refused because its time is up: then it is over for everybody who looks.
    expire(work, id, now).await?;
    let row = find(work, scope, id).await?;
    match row.status.as_str() {
        decided if decided == status => Ok(row),
        APPROVED | DENIED => Err(conflict(work, &row).await?),
        _ => {
            let why = if row.expiry_reason.as_deref() == Some("WITHDRAWN") { "withdrawn" } else { "expired" };
            let at = Timestamp(row.decided_at.unwrap_or(row.expires_at));
            Err(ApiError::new(ErrorCode::ApprovalExpired).detail("status", format!("{why} at {at}")))
        }
    }
}

/// Ends an approval if it is pending and its time is up.
async fn expire(work: &mut Work<'_>, id: Uuid, now: i64) -> Result<(), ApiError> {
    let ending = Ending { expiry_reason: Some("DEADLINE"), ..expiring(now) };
    if approvals::end_overdue(work.tx().connection(), id, &ending).await? {
        let row = find(work, &Scope::All, id).await?;
        work.append(vec![Payload::of(&row).event(event::EXPIRED, row.run_id, now)]).await?;
    }
    Ok(())
}

async fn find(work: &Work<'_>, scope: &Scope, id: Uuid) -> Result<ApprovalRow, ApiError> {
    let row = approvals::find(work.tx().connection(), id, scope).await?;
    row.ok_or_else(|| ErrorCode::ApprovalNotFound.into())
}

/// Says which decision won, whose it was and when.
async fn conflict(work: &Work<'_>, row: &ApprovalRow) -> Result<ApiError, ApiError> {
    let who = match row.decided_by_device_id {
        Some(id) => {
            let device = devices::find(work.tx().connection(), id).await?;
            device.and_then(|device| device.name).unwrap_or_else(|| format!("device {id}"))
        }
        None => "the machine itself".to_owned(),
    };
    let at = Timestamp(row.decided_at.unwrap_or(row.requested_at));
    Ok(ApiError::new(ErrorCode::ApprovalConflict).detail("status", format!("{} by {who} at {at}", row.status)))
}

fn ended(row: ApprovalRow, ending: Ending) -> ApprovalRow {
    ApprovalRow {
        status: ending.status.to_owned(),
        note: ending.note,
        decided_at: Some(ending.at),
        decided_by_device_id: ending.device_id,
        expiry_reason: ending.expiry_reason.map(str::to_owned),
        ..row
    }
}

const fn expiring(at: i64) -> Ending {
    Ending { status: EXPIRED, note: None, device_id: None, expiry_reason: None, at }
}
