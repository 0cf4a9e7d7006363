//! Workspaces, as their people see them.

use flightdeck_api::generated::errors::ErrorCode;
use flightdeck_api::support::ApiError;
use uuid::Uuid;

use super::paging::{Page, Slice};
use crate::store::Store;
use crate::store::workspaces::{self, After, Scope, WorkspaceRow};

/// Lists and finds workspaces.
#[derive(Debug, Clone)]
pub struct Workspaces {
    store: Store,
}

impl Workspaces {
    #[must_use]
    pub const fn new(store: Store) -> Self {
        Self { store }
    }

    /// Newest first.
    ///
    /// # Errors
    /// `cursor_invalid`.
    pub async fn list(&self, scope: &Scope, slice: &Slice) -> Result<Page<WorkspaceRow>, ApiError> {
        let rows = workspaces::list(self.store.reader(), scope, slice.after()?, slice.rows()).await?;
        Ok(slice.page(rows, |row| After { time: row.created_at, id: row.id }))
    }

    /// # Errors
    /// `workspace_not_found`.
    pub async fn get(&self, scope: &Scope, id: Uuid) -> Result<WorkspaceRow, ApiError> {
        let row = workspaces::find(self.store.reader(), id, scope).await?;
        row.ok_or_else(|| ErrorCode::WorkspaceNotFound.into())
    }
}
