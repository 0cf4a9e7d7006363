//! Devices: listing, naming and revoking them.

use std::sync::Arc;

use flightdeck_api::generated::errors::ErrorCode;
use flightdeck_api::support::ApiError;
use serde_json::json;
use uuid::Uuid;

use super::paging::{Page, Slice};
use crate::clock::Clock;
use crate::log::{Log, NonceGuard, Work, workspace_stream};
use crate::store::Store;
use crate::store::devices::{self, DeviceChange, DeviceRow};
use crate::store::events::NewEvent;
use crate::store::workspaces::{self, After, Scope};

/// A device, with the workspaces that it shares with the caller.
#[derive(Debug, Clone)]
pub struct SharedDevice {
    pub device: DeviceRow,
    pub workspace_ids: Vec<Uuid>,
}

/// The devices of people.
#[derive(Clone)]
pub struct Devices {
    store: Store,
    log: Log,
    clock: Arc<dyn Clock>,
}

impl Devices {
    #[must_use]
    pub const fn new(store: Store, log: Log, clock: Arc<dyn Clock>) -> Self {
        Self { store, log, clock }
    }

    /// Newest first.
    ///
    /// # Errors
    /// `cursor_invalid`.
    pub async fn list(
        &self,
        scope: &Scope,
        include_revoked: bool,
        slice: &Slice,
    ) -> Result<Page<SharedDevice>, ApiError> {
        let reader = self.store.reader();
        let rows = devices::list(reader, scope, include_revoked, slice.after()?, slice.rows()).await?;
        let page = slice.page(rows, |row| After { time: row.created_at, id: row.id });
        let ids: Vec<Uuid> = page.items.iter().map(|row| row.id).collect();
        let mut shared = devices::shared_workspaces(reader, &ids, scope).await?;
        Ok(page.map(|device| {
            let workspace_ids = shared.remove(&device.id).unwrap_or_default();
            SharedDevice { device, workspace_ids }
        }))
    }

    /// Changes a device that shares a workspace with the caller, and is not revoked.
    ///
    /// # Errors
    /// `device_not_found`.
    pub async fn update(
        &self,
        scope: &Scope,
        id: Uuid,
        change: DeviceChange,
        nonce: Option<NonceGuard>,
    ) -> Result<SharedDevice, ApiError> {
        let SharedDevice { device, workspace_ids } = self.find(scope, id).await?;
        if device.revoked_at.is_some() {
            return Err(ErrorCode::DeviceNotFound.into());
        }
        let now = self.clock.now();
        let device = self
            .log
            .transact(nonce, move |work: &mut Work<'_>| {
                let change = change.clone();
                Box::pin(async move {
                    devices::update(work.tx().connection(), id, change, now).await.map_err(ApiError::from)
                })
            })
            .await?;
        Ok(SharedDevice { device, workspace_ids })
    }

    /// Revokes a device that shares a workspace with the caller: from now on, nothing of it is accepted anywhere.
    ///
    /// # Errors
    /// `device_not_found`.
    pub async fn revoke(&self, scope: &Scope, id: Uuid, nonce: Option<NonceGuard>) -> Result<(), ApiError> {
        self.find(scope, id).await?;
        let now = self.clock.now();
        self.log
            .transact(nonce, move |work: &mut Work<'_>| {
                Box::pin(async move {
                    let connection = work.tx().connection();
                    devices::revoke(connection, id, now).await?;
                    let events = workspaces::of_device(connection, id)
                        .await?
                        .into_iter()
                        .map(|workspace_id| NewEvent {
                            stream: workspace_stream(workspace_id),
                            id: Uuid::now_v7(),
                            kind: "device.revoked".to_owned(),
                            created_at: now,
                            happened_at: None,
                            payload: json!({ "device_id": id }).to_string(),
                        })
                        .collect();
                    work.append(events).await?;
                    Ok::<_, ApiError>(())
                })
            })
            .await
    }

    async fn find(&self, scope: &Scope, id: Uuid) -> Result<SharedDevice, ApiError> {
        let missing = || ApiError::new(ErrorCode::DeviceNotFound);
        let reader = self.store.reader();
        let device = devices::find(reader, id).await?.ok_or_else(missing)?;
        let workspace_ids = devices::shared_workspaces(reader, &[id], scope).await?.remove(&id).unwrap_or_default();
        if workspace_ids.is_empty() && *scope != Scope::All {
            return Err(missing());
        }
        Ok(SharedDevice { device, workspace_ids })
    }
}
