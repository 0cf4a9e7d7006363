//! Waiting for a verdict. A wait holds a place on the board and nothing else, so thousands can last for hours.

use flightdeck_api::generated::errors::ErrorCode;
use flightdeck_api::support::ApiError;
use uuid::Uuid;

use super::event::{self, Payload};
use super::{Approvals, PENDING};
use crate::log::Work;
use crate::store::approvals::{self, ApprovalRow};
use crate::store::workspaces::Scope;

/// What a wait ends with.
#[derive(Debug, Clone)]
pub struct Waited {
    pub status: String,
    pub note: Option<String>,
    pub expiry_reason: Option<String>,
    pub delivered_at: Option<i64>,
    pub consumed_at: Option<i64>,
}

impl From<ApprovalRow> for Waited {
    fn from(row: ApprovalRow) -> Self {
        Self {
            status: row.status,
            note: row.note,
            expiry_reason: row.expiry_reason,
            delivered_at: row.delivered_at,
            consumed_at: row.consumed_at,
        }
    }
}

impl Approvals {
    /// Waits for the end of an approval that the caller may see; `PENDING` when the time is up or the server shuts down.
    ///
    /// # Errors
    /// `approval_not_found`.
    pub async fn wait(&self, scope: &Scope, id: Uuid, timeout_seconds: u64) -> Result<Waited, ApiError> {
        if self.board.workspace_of(id).is_some_and(|workspace_id| !scope.contains(workspace_id)) {
            return Err(ErrorCode::ApprovalNotFound.into());
        }
        // What is on the board is pending. What is not has ended, or was opened through another server.
        let mut place = match self.board.attach(id) {
            Some(place) => place,
            None => {
                let row = self.get(scope, id).await?;
                if row.status != PENDING {
                    return Ok(row.into());
                }
                self.board.restore(&row);
                match self.board.attach(id) {
                    Some(place) => place,
                    None => return Ok(self.get(scope, id).await?.into()),
                }
            }
        };
        if place.was_orphaned {
            self.reattached(id).await?;
        }
        let deadline = self.patience.of(timeout_seconds);
        tokio::select! {
            biased;
            verdict = place.verdict() => Ok(Waited {
                status: verdict.status.clone(),
                note: verdict.note.clone(),
                expiry_reason: verdict.expiry_reason.clone(),
                delivered_at: None,
                consumed_at: None,
            }),
            () = deadline.passed() => Ok(Waited {
                status: PENDING.to_owned(),
                note: None,
                expiry_reason: None,
                delivered_at: None,
                consumed_at: None,
            }),
        }
    }

    /// Takes the label of an orphan away.
    async fn reattached(&self, id: Uuid) -> Result<(), ApiError> {
        self.label(id, None).await
    }

    /// Labels an approval as orphaned since `since`, or takes the label away.
    pub(super) async fn label(&self, id: Uuid, since: Option<i64>) -> Result<(), ApiError> {
        let now = self.clock.now();
        self.log
            .transact(None, move |work: &mut Work<'_>| {
                Box::pin(async move {
                    let connection = work.tx().connection();
                    if approvals::orphan(connection, id, since).await?
                        && let Some(row) = approvals::find(connection, id, &Scope::All).await?
                    {
                        let kind = if since.is_some() { event::ORPHANED } else { event::REATTACHED };
                        work.append(vec![Payload::of(&row).event(kind, row.run_id, now)]).await?;
                    }
                    Ok::<_, ApiError>(())
                })
            })
            .await
    }
}
