//! Waiting for a verdict. A wait holds a place on the board and nothing else, so thousands can last for hours.

use flightdeck_api::generated::errors::ErrorCode;
use flightdeck_api::support::ApiError;
use uuid::Uuid;

use super::board::{Attached, Verdict};
use super::event::{self, Payload};
use super::{Approvals, PENDING};
use crate::log::Work;
use crate::service::patience::Deadline;
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

impl Waited {
    fn pending() -> Self {
        Self { status: PENDING.to_owned(), note: None, expiry_reason: None, delivered_at: None, consumed_at: None }
    }
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

impl From<&Verdict> for Waited {
    fn from(verdict: &Verdict) -> Self {
        Self {
            status: verdict.status.clone(),
            note: verdict.note.clone(),
            expiry_reason: verdict.expiry_reason.clone(),
            ..Self::pending()
        }
    }
}

/// A wait that has begun.
pub enum Waiting {
    /// It was over before it began.
    Over(Waited),
    /// It holds a place on the board.
    Attached(Box<Held>),
}

/// A place on the board, and until when it is held.
pub struct Held {
    place: Attached,
    deadline: Deadline,
    approvals: Approvals,
}

impl Waiting {
    /// Completes with the verdict, or with `PENDING` when the time is up or the server shuts down.
    pub async fn end(self) -> Waited {
        match self {
            Self::Over(waited) => waited,
            Self::Attached(mut held) => {
                let Held { place, deadline, approvals } = &mut *held;
                let id = place.id();
                tokio::select! {
                    biased;
                    verdict = place.verdict() => Waited::from(&*verdict),
                    // Boxed, so that a wait does not keep room for a query all the time.
                    () = deadline.passed() => Box::pin(approvals.last_look(id)).await,
                }
            }
        }
    }
}

impl Approvals {
    /// Begins to wait for the end of an approval that the caller may see.
    ///
    /// # Errors
    /// `approval_not_found`.
    pub async fn wait(&self, scope: &Scope, id: Uuid, timeout_seconds: u64) -> Result<Waiting, ApiError> {
        if self.board.workspace_of(id).is_some_and(|workspace_id| !scope.contains(workspace_id)) {
            return Err(ErrorCode::ApprovalNotFound.into());
        }
        // What is on the board is pending. What is not has ended, or was opened through another server.
        let place = match self.board.attach(id) {
            Some(place) => place,
            None => {
                let row = self.get(scope, id).await?;
                if row.status != PENDING {
                    return Ok(Waiting::Over(row.into()));
                }
                self.board.restore(&row);
                match self.board.attach(id) {
                    Some(place) => place,
                    None => return Ok(Waiting::Over(self.get(scope, id).await?.into())),
                }
            }
        };
        if place.was_orphaned {
            self.label(id, None).await?;
        }
        let deadline = self.patience.of(timeout_seconds);
        Ok(Waiting::Attached(Box::new(Held { place, deadline, approvals: self.clone() })))
    }

    /// When the time is up, the database has the last word: it knows what this process may have missed.
    async fn last_look(&self, id: Uuid) -> Waited {
        let Ok(row) = self.get(&Scope::All, id).await else { return Waited::pending() };
        if row.status != PENDING {
            self.board.end(id, row.clone().into());
        } else if row.orphaned_at.is_some() {
            // Another server did not know of this wait.
            let _ = self.label(id, None).await;
        }
        row.into()
    }

    /// Labels an approval as orphaned since `since`, or takes the label away.
    pub(super) async fn label(&self, id: Uuid, since: Option<i64>) -> Result<(), ApiError> {
        let now = self.clock.now();
        let board = self.board.clone();
        self.log
            .transact(None, move |work: &mut Work<'_>| {
                // Somebody may have come back while this was queued.
                let skip = since.is_some() && !board.is_alone(id);
                Box::pin(async move {
                    let connection = work.tx().connection();
                    if !skip
                        && approvals::orphan(connection, id, since).await?
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
