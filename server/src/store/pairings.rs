//! Pairings, from start to outcome.

use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter};
use uuid::Uuid;

use super::StoreError;
use super::entity::pairing;

pub use super::entity::pairing::Model as PairingRow;

/// Writes a pairing down.
///
/// # Errors
/// If the database can't be reached.
pub async fn insert<C: ConnectionTrait>(connection: &C, row: PairingRow) -> Result<(), StoreError> {
    pairing::Entity::insert(pairing::ActiveModel::from(row)).exec_without_returning(connection).await?;
    Ok(())
}

/// The pairing that this token completes.
///
/// # Errors
/// If the database can't be reached.
pub async fn find_by_token<C: ConnectionTrait>(
    connection: &C,
    token_hash: &[u8],
) -> Result<Option<PairingRow>, StoreError> {
    Ok(pairing::Entity::find().filter(pairing::Column::TokenHash.eq(token_hash)).one(connection).await?)
}

/// The pairing whose outcome this token reads.
///
/// # Errors
/// If the database can't be reached.
pub async fn find_by_poll<C: ConnectionTrait>(
    connection: &C,
    poll_hash: &[u8],
) -> Result<Option<PairingRow>, StoreError> {
    Ok(pairing::Entity::find().filter(pairing::Column::PollHash.eq(poll_hash)).one(connection).await?)
}

/// Marks a pairing as completed, unless it is; says whether this call did it.
///
/// # Errors
/// If the database can't be reached.
pub async fn complete<C: ConnectionTrait>(
    connection: &C,
    id: Uuid,
    workspace_id: Uuid,
    device_id: Uuid,
    now: i64,
) -> Result<bool, StoreError> {
    let updated = pairing::Entity::update_many()
        .col_expr(pairing::Column::CompletedAt, Expr::value(now))
        .col_expr(pairing::Column::WorkspaceId, Expr::value(workspace_id))
        .col_expr(pairing::Column::DeviceId, Expr::value(device_id))
        .filter(pairing::Column::Id.eq(id))
        .filter(pairing::Column::CompletedAt.is_null())
        .exec(connection)
        .await?;
    Ok(updated.rows_affected == 1)
}

/// Forgets pairings that expired before `before`.
///
/// # Errors
/// If the database can't be reached.
pub async fn prune<C: ConnectionTrait>(connection: &C, before: i64) -> Result<u64, StoreError> {
    Ok(pairing::Entity::delete_many()
        .filter(pairing::Column::ExpiresAt.lt(before))
        .exec(connection)
        .await?
        .rows_affected)
}
