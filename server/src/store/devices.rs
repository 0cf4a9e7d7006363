//! Devices: the phones, browsers and IDEs of people.

use std::collections::BTreeMap;

use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveModelTrait, ColumnTrait, Condition, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
};
use uuid::Uuid;

use super::StoreError;
use super::entity::{bridge_key, device, workspace_device};
use super::workspaces::{After, Scope};

pub use super::entity::device::Model as DeviceRow;

/// What to change of a device; the outer `None` leaves a field as it is, the inner one clears it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeviceChange {
    pub name: Option<Option<String>>,
    pub push_token: Option<Option<String>>,
}

/// Writes a device down.
///
/// # Errors
/// If the database can't be reached.
pub async fn insert<C: ConnectionTrait>(connection: &C, row: DeviceRow) -> Result<(), StoreError> {
    device::Entity::insert(device::ActiveModel::from(row)).exec_without_returning(connection).await?;
    Ok(())
}

/// The device with this id, revoked or not.
///
/// # Errors
/// If the database can't be reached.
pub async fn find<C: ConnectionTrait>(connection: &C, id: Uuid) -> Result<Option<DeviceRow>, StoreError> {
    Ok(device::Entity::find_by_id(id).one(connection).await?)
}

/// The device whose token has this hash, revoked or not.
///
/// # Errors
/// If the database can't be reached.
pub async fn find_by_token<C: ConnectionTrait>(
    connection: &C,
    token_hash: &[u8],
) -> Result<Option<DeviceRow>, StoreError> {
    Ok(device::Entity::find().filter(device::Column::TokenHash.eq(token_hash)).one(connection).await?)
}

/// The workspaces that each of these devices shares with the caller.
///
/// # Errors
/// If the database can't be reached.
pub async fn shared_workspaces<C: ConnectionTrait>(
    connection: &C,
    devices: &[Uuid],
    scope: &Scope,
) -> Result<BTreeMap<Uuid, Vec<Uuid>>, StoreError> {
    let mut shared: BTreeMap<Uuid, Vec<Uuid>> = BTreeMap::new();
    let rows = workspace_device::Entity::find()
        .filter(workspace_device::Column::DeviceId.is_in(devices.iter().copied()))
        .filter(scope.condition(workspace_device::Column::WorkspaceId))
        .order_by_asc(workspace_device::Column::WorkspaceId)
        .all(connection)
        .await?;
    for row in rows {
        shared.entry(row.device_id).or_default().push(row.workspace_id);
    }
    Ok(shared)
}

/// Devices that share a workspace with the caller, newest first.
///
/// # Errors
/// If the database can't be reached.
pub async fn list<C: ConnectionTrait>(
    connection: &C,
    scope: &Scope,
    include_revoked: bool,
    after: Option<After>,
    limit: u64,
) -> Result<Vec<DeviceRow>, StoreError> {
    let mut query = device::Entity::find();
    if let Scope::Workspaces(_) = scope {
        let sharing = sea_orm::sea_query::Query::select()
            .column(workspace_device::Column::DeviceId)
            .from(workspace_device::Entity)
            .cond_where(scope.condition(workspace_device::Column::WorkspaceId))
            .take();
        query = query.filter(Condition::any().add(device::Column::Id.in_subquery(sharing)));
    }
    if !include_revoked {
        query = query.filter(device::Column::RevokedAt.is_null());
    }
    if let Some(after) = after {
        query = query.filter(after.condition(device::Column::CreatedAt, device::Column::Id));
    }
    Ok(query
        .order_by_desc(device::Column::CreatedAt)
        .order_by_desc(device::Column::Id)
        .limit(limit)
        .all(connection)
        .await?)
}

/// Changes a device.
///
/// # Errors
/// If the database can't be reached.
pub async fn update<C: ConnectionTrait>(
    connection: &C,
    id: Uuid,
    change: DeviceChange,
    now: i64,
) -> Result<DeviceRow, StoreError> {
    let mut row = device::ActiveModel { id: Set(id), updated_at: Set(now), ..Default::default() };
    if let Some(name) = change.name {
        row.name = Set(name);
    }
    if let Some(push_token) = change.push_token {
        row.push_token = Set(push_token);
    }
    Ok(row.update(connection).await?)
}

/// Ends a device's token and keys. One that is revoked already keeps its time.
///
/// # Errors
/// If the database can't be reached.
pub async fn revoke<C: ConnectionTrait>(connection: &C, id: Uuid, now: i64) -> Result<(), StoreError> {
    device::Entity::update_many()
        .col_expr(device::Column::RevokedAt, Expr::value(now))
        .col_expr(device::Column::UpdatedAt, Expr::value(now))
        .col_expr(device::Column::PushToken, Expr::value(Option::<String>::None))
        .filter(device::Column::Id.eq(id))
        .filter(device::Column::RevokedAt.is_null())
        .exec(connection)
        .await?;
    bridge_key::Entity::update_many()
        .col_expr(bridge_key::Column::RevokedAt, Expr::value(now))
        .filter(bridge_key::Column::DeviceId.eq(id))
        .filter(bridge_key::Column::RevokedAt.is_null())
        .exec(connection)
        .await?;
    Ok(())
}

/// Notes that a device used its credential.
///
/// # Errors
/// If the database can't be reached.
pub async fn touch<C: ConnectionTrait>(connection: &C, id: Uuid, now: i64) -> Result<(), StoreError> {
    device::Entity::update_many()
        .col_expr(device::Column::LastSeenAt, Expr::value(now))
        .filter(device::Column::Id.eq(id))
        .exec(connection)
        .await?;
    Ok(())
}
