//! The connections to the hub whose agents are known, on every server.

use sea_orm::sea_query::{Alias, Expr, ExprTrait, OnConflict, Query};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, IntoActiveModel, QueryFilter, QuerySelect};
use uuid::Uuid;

use super::StoreError;
use super::entity::hub_connection;

pub use super::entity::hub_connection::Model as HubConnectionRow;

/// Rows in one statement.
const ROWS: usize = 500;

/// Writes down that these are here. Of one that is written down already, the rest may have changed.
///
/// # Errors
/// If the database can't be reached.
pub async fn save<C: ConnectionTrait>(connection: &C, rows: &[HubConnectionRow]) -> Result<(), StoreError> {
    use hub_connection::Column;
    for rows in rows.chunks(ROWS) {
        let rows = rows.iter().cloned().map(IntoActiveModel::into_active_model);
        let known = OnConflict::columns([Column::ClientId, Column::AgentId])
            .update_columns([Column::SessionId, Column::ServerId, Column::SeenAt])
            .to_owned();
        hub_connection::Entity::insert_many(rows).on_conflict(known).exec_without_returning(connection).await?;
    }
    Ok(())
}

/// Forgets one. `false`: it was not known.
///
/// # Errors
/// If the database can't be reached.
pub async fn forget<C: ConnectionTrait>(connection: &C, client_id: &str, agent_id: &str) -> Result<bool, StoreError> {
    let key = (client_id.to_owned(), agent_id.to_owned());
    Ok(hub_connection::Entity::delete_by_id(key).exec(connection).await?.rows_affected > 0)
}

/// Notes that a server lives, by one of its connections: one row is as good as all. `false`: it has none.
///
/// # Errors
/// If the database can't be reached.
pub async fn see<C: ConnectionTrait>(
    connection: &C,
    server_id: Uuid,
    client_id: &str,
    now: i64,
) -> Result<bool, StoreError> {
    let all = hub_connection::Entity::update_many()
        .col_expr(hub_connection::Column::SeenAt, now.into())
        .filter(hub_connection::Column::ServerId.eq(server_id));
    let one = all.clone().filter(hub_connection::Column::ClientId.eq(client_id));
    // That one may just have left.
    Ok(one.exec(connection).await?.rows_affected > 0 || all.exec(connection).await?.rows_affected > 0)
}

/// The servers that have connections, and when each was seen last, but for one.
///
/// # Errors
/// If the database can't be reached.
pub async fn servers_but<C: ConnectionTrait>(connection: &C, own: Uuid) -> Result<Vec<(Uuid, i64)>, StoreError> {
    let mut select = Query::select();
    select
        .column(hub_connection::Column::ServerId)
        .expr_as(Expr::col(hub_connection::Column::SeenAt).max(), Alias::new("seen_at"))
        .from(hub_connection::Entity)
        .and_where(Expr::col(hub_connection::Column::ServerId).ne(own))
        .group_by_col(hub_connection::Column::ServerId);
    let rows = connection.query_all(&select).await?;
    rows.into_iter().map(|row| Ok((row.try_get("", "server_id")?, row.try_get("", "seen_at")?))).collect()
}

/// Some of a server's connections.
///
/// # Errors
/// If the database can't be reached.
pub async fn some_of<C: ConnectionTrait>(
    connection: &C,
    server_id: Uuid,
    limit: u64,
) -> Result<Vec<HubConnectionRow>, StoreError> {
    Ok(hub_connection::Entity::find()
        .filter(hub_connection::Column::ServerId.eq(server_id))
        .limit(limit)
        .all(connection)
        .await?)
}

/// On how many agents' behalf there are connections.
///
/// # Errors
/// If the database can't be reached.
pub async fn agents<C: ConnectionTrait>(connection: &C) -> Result<u64, StoreError> {
    let mut select = Query::select();
    select
        .expr_as(Expr::col(hub_connection::Column::AgentId).count_distinct(), Alias::new("agents"))
        .from(hub_connection::Entity);
    let row = connection.query_one(&select).await?;
    let agents: i64 = row.map_or(Ok(0), |row| row.try_get("", "agents"))?;
    Ok(agents.unsigned_abs())
}
