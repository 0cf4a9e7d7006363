//! The approvals ledger: what agents asked, and what people answered.
//!
//! An approval is a row, not a waiting request. It is opened once however often a hook asks, ends once however many
//! people answer, and every step is an event in its run's timeline. Those who wait are woken by these events, as any
//! other reader of the log is.

mod board;
mod decide;
pub(super) mod event;
mod projection;
mod receipts;
mod request;
mod sweep;
mod wait;

use std::sync::Arc;

use flightdeck_api::generated::errors::ErrorCode;
use flightdeck_api::support::ApiError;
use uuid::Uuid;

use super::paging::{Page, Slice};
use super::patience::Patience;
use crate::clock::Clock;
use crate::log::Log;
use crate::store::Store;
use crate::store::approvals::{self, ApprovalFilter, ApprovalRow};
use crate::store::workspaces::{After, Scope};

pub use board::Board;
pub use decide::Decision;
pub use projection::ByWorkspace;
pub use request::Asked;
pub use sweep::sweep;
pub use wait::{Waited, Waiting};

/// The statuses of an approval, as they are stored.
pub const PENDING: &str = "PENDING";
pub const APPROVED: &str = "APPROVED";
pub const DENIED: &str = "DENIED";
pub const EXPIRED: &str = "EXPIRED";

/// The ledger.
#[derive(Clone)]
pub struct Approvals {
    store: Store,
    log: Log,
    board: Arc<Board>,
    clock: Arc<dyn Clock>,
    patience: Patience,
    /// In milliseconds.
    lifetime: i64,
}

impl Approvals {
    #[must_use]
    pub const fn new(
        store: Store,
        log: Log,
        board: Arc<Board>,
        clock: Arc<dyn Clock>,
        patience: Patience,
        lifetime: i64,
    ) -> Self {
        Self { store, log, board, clock, patience, lifetime }
    }

    /// Newest first.
    ///
    /// # Errors
    /// `cursor_invalid`.
    pub async fn list(
        &self,
        scope: &Scope,
        filter: &ApprovalFilter,
        slice: &Slice,
    ) -> Result<Page<ApprovalRow>, ApiError> {
        let rows = approvals::list(self.store.reader(), scope, filter, slice.after()?, slice.rows()).await?;
        Ok(slice.page(rows, |row| After { time: row.requested_at, id: row.id }))
    }

    /// # Errors
    /// `approval_not_found`.
    pub async fn get(&self, scope: &Scope, id: Uuid) -> Result<ApprovalRow, ApiError> {
        let row = approvals::find(self.store.reader(), id, scope).await?;
        row.ok_or_else(|| ErrorCode::ApprovalNotFound.into())
    }

    /// The workspace that an approval belongs to, if there is such an approval.
    ///
    /// # Errors
    /// `unavailable`.
    pub async fn workspace_of(&self, id: Uuid) -> Result<Option<Uuid>, ApiError> {
        if let Some(workspace_id) = self.board.workspace_of(id) {
            return Ok(Some(workspace_id));
        }
        let row = approvals::find(self.store.reader(), id, &Scope::All).await?;
        Ok(row.map(|row| row.workspace_id))
    }

    /// How many approvals are pending, and how many hooks wait.
    #[must_use]
    pub fn load(&self) -> (usize, usize) {
        self.board.load()
    }
}
