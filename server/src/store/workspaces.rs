//! Workspaces, who may see them, and the keys that sign for them.

use sea_orm::ActiveValue::Set;
use sea_orm::{
    ActiveModelTrait, ColumnTrait, Condition, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
};
use uuid::Uuid;

use super::StoreError;
use super::entity::{bridge_key, workspace, workspace_device};

pub use super::entity::bridge_key::Model as BridgeKeyRow;
pub use super::entity::workspace::Model as WorkspaceRow;

/// The workspaces that a caller may see. Every query for a caller takes one, so that none can forget to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// Every workspace: the server itself, and a person on the same machine in development.
    All,
    /// These and no others.
    Workspaces(Vec<Uuid>),
}

impl Scope {
    /// Whether the caller may see `workspace_id`.
    #[must_use]
    pub fn contains(&self, workspace_id: Uuid) -> bool {
        match self {
            Self::All => true,
            Self::Workspaces(ids) => ids.contains(&workspace_id),
        }
    }

    pub(super) fn condition<C: ColumnTrait>(&self, column: C) -> Condition {
        match self {
            Self::All => Condition::all(),
            Self::Workspaces(ids) => Condition::all().add(column.is_in(ids.iter().copied())),
        }
    }
}

/// A place in a list that falls by time, then id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct After {
    pub time: i64,
    pub id: Uuid,
}

/// Writes a workspace down.
///
/// # Errors
/// If the database can't be reached.
pub async fn insert<C: ConnectionTrait>(connection: &C, row: WorkspaceRow) -> Result<(), StoreError> {
    workspace::Entity::insert(workspace::ActiveModel::from(row)).exec_without_returning(connection).await?;
    Ok(())
}

/// Lets a device see a workspace.
///
/// # Errors
/// If the database can't be reached.
pub async fn admit<C: ConnectionTrait>(
    connection: &C,
    workspace_id: Uuid,
    device_id: Uuid,
    now: i64,
) -> Result<(), StoreError> {
    let present = workspace_device::Entity::find_by_id((workspace_id, device_id)).one(connection).await?;
    if present.is_none() {
        workspace_device::Entity::insert(workspace_device::ActiveModel {
            workspace_id: Set(workspace_id),
            device_id: Set(device_id),
            created_at: Set(now),
        })
        .exec_without_returning(connection)
        .await?;
    }
    Ok(())
}

/// The ids of the workspaces that a device may see.
///
/// # Errors
/// If the database can't be reached.
pub async fn of_device<C: ConnectionTrait>(connection: &C, device_id: Uuid) -> Result<Vec<Uuid>, StoreError> {
    Ok(workspace_device::Entity::find()
        .filter(workspace_device::Column::DeviceId.eq(device_id))
        .order_by_asc(workspace_device::Column::WorkspaceId)
        .all(connection)
        .await?
        .into_iter()
        .map(|row| row.workspace_id)
        .collect())
}

/// One workspace that the caller may see.
///
/// # Errors
/// If the database can't be reached.
pub async fn find<C: ConnectionTrait>(
    connection: &C,
    id: Uuid,
    scope: &Scope,
) -> Result<Option<WorkspaceRow>, StoreError> {
    Ok(workspace::Entity::find_by_id(id).filter(scope.condition(workspace::Column::Id)).one(connection).await?)
}

/// Workspaces that the caller may see, newest first.
///
/// # Errors
/// If the database can't be reached.
pub async fn list<C: ConnectionTrait>(
    connection: &C,
    scope: &Scope,
    after: Option<After>,
    limit: u64,
) -> Result<Vec<WorkspaceRow>, StoreError> {
    let mut query = workspace::Entity::find().filter(scope.condition(workspace::Column::Id));
    if let Some(after) = after {
        query = query.filter(after.condition(workspace::Column::CreatedAt, workspace::Column::Id));
    }
    Ok(query
        .order_by_desc(workspace::Column::CreatedAt)
        .order_by_desc(workspace::Column::Id)
        .limit(limit)
        .all(connection)
        .await?)
}

/// Writes a signing key down.
///
/// # Errors
/// If the database can't be reached.
pub async fn insert_key<C: ConnectionTrait>(connection: &C, row: BridgeKeyRow) -> Result<(), StoreError> {
    bridge_key::ActiveModel::from(row).insert(connection).await?;
    Ok(())
}

/// Some key of some workspace.
///
/// # Errors
/// If the database can't be reached.
pub async fn any_key<C: ConnectionTrait>(connection: &C) -> Result<Option<BridgeKeyRow>, StoreError> {
    Ok(bridge_key::Entity::find().one(connection).await?)
}

/// Every key of a workspace, revoked ones too, the machine's first.
///
/// # Errors
/// If the database can't be reached.
pub async fn keys<C: ConnectionTrait>(connection: &C, workspace_id: Uuid) -> Result<Vec<BridgeKeyRow>, StoreError> {
    let mut keys = bridge_key::Entity::find()
        .filter(bridge_key::Column::WorkspaceId.eq(workspace_id))
        .order_by_asc(bridge_key::Column::CreatedAt)
        .all(connection)
        .await?;
    keys.sort_by_key(|key| (key.revoked_at.is_some(), key.device_id.is_some()));
    Ok(keys)
}
