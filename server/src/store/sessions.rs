//! Sessions on repositories.

use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, Condition, ConnectionTrait, EntityTrait, JoinType, QueryFilter, QuerySelect, RelationDef};
use uuid::Uuid;

use super::StoreError;
use super::entity::{device, session};

pub use super::entity::session::Model as SessionRow;

/// Writes a session down.
///
/// # Errors
/// If the database can't be reached.
pub async fn insert<C: ConnectionTrait>(connection: &C, row: SessionRow) -> Result<(), StoreError> {
    session::Entity::insert(session::ActiveModel::from(row)).exec_without_returning(connection).await?;
    Ok(())
}

/// A session, whether or not it is over.
///
/// # Errors
/// If the database can't be reached.
pub async fn find<C: ConnectionTrait>(connection: &C, id: Uuid) -> Result<Option<SessionRow>, StoreError> {
    Ok(session::Entity::find_by_id(id).one(connection).await?)
}

/// A session that is not over at `now`, and whose device, if it has one, is not revoked.
///
/// # Errors
/// If the database can't be reached.
pub async fn live<C: ConnectionTrait>(connection: &C, id: Uuid, now: i64) -> Result<Option<SessionRow>, StoreError> {
    Ok(session::Entity::find_by_id(id)
        .join(JoinType::LeftJoin, of_device())
        .filter(session::Column::EndedAt.is_null())
        .filter(session::Column::ExpiresAt.gt(now))
        .filter(device::Column::RevokedAt.is_null())
        .one(connection)
        .await?)
}

fn of_device() -> RelationDef {
    session::Entity::belongs_to(device::Entity).from(session::Column::DeviceId).to(device::Column::Id).into()
}

/// Puts off the end of a session that is not over; says whether there is one.
///
/// # Errors
/// If the database can't be reached.
pub async fn touch<C: ConnectionTrait>(
    connection: &C,
    id: Uuid,
    now: i64,
    expires_at: i64,
) -> Result<bool, StoreError> {
    let done = session::Entity::update_many()
        .col_expr(session::Column::LastUsedAt, Expr::value(now))
        .col_expr(session::Column::ExpiresAt, Expr::value(expires_at))
        .filter(session::Column::Id.eq(id))
        .filter(session::Column::EndedAt.is_null())
        .filter(session::Column::ExpiresAt.gt(now))
        .exec(connection)
        .await?;
    Ok(done.rows_affected == 1)
}

/// Ends a session; says whether it was not over.
///
/// # Errors
/// If the database can't be reached.
pub async fn end<C: ConnectionTrait>(connection: &C, id: Uuid, now: i64) -> Result<bool, StoreError> {
    let done = session::Entity::update_many()
        .col_expr(session::Column::EndedAt, Expr::value(now))
        .filter(session::Column::Id.eq(id))
        .filter(session::Column::EndedAt.is_null())
        .exec(connection)
        .await?;
    Ok(done.rows_affected == 1)
}

/// Sessions that nobody has ended and that are over: their time is up, or their device is revoked. At most `limit`.
///
/// # Errors
/// If the database can't be reached.
pub async fn due<C: ConnectionTrait>(connection: &C, now: i64, limit: u64) -> Result<Vec<Uuid>, StoreError> {
    let over = Condition::any().add(session::Column::ExpiresAt.lte(now)).add(device::Column::RevokedAt.is_not_null());
    Ok(session::Entity::find()
        .select_only()
        .column(session::Column::Id)
        .join(JoinType::LeftJoin, of_device())
        .filter(session::Column::EndedAt.is_null())
        .filter(over)
        .limit(limit)
        .into_tuple()
        .all(connection)
        .await?)
}

/// Those of these sessions that are over.
///
/// # Errors
/// If the database can't be reached.
pub async fn over<C: ConnectionTrait>(connection: &C, ids: &[Uuid]) -> Result<Vec<Uuid>, StoreError> {
    Ok(session::Entity::find()
        .select_only()
        .column(session::Column::Id)
        .filter(session::Column::Id.is_in(ids.iter().copied()))
        .filter(session::Column::EndedAt.is_not_null())
        .into_tuple()
        .all(connection)
        .await?)
}
