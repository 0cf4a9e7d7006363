//! Agents of the companion: who there is, when each was last seen, and what was said to it and by it.

use sea_orm::sea_query::{Expr, NullOrdering, OnConflict, Query};
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, FromQueryResult, Order, QueryFilter, QueryOrder, QuerySelect,
};
use uuid::Uuid;

use super::StoreError;
use super::entity::agent;

/// What an agent says about itself. What is absent stays as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    pub name: String,
    pub platform: Option<String>,
    /// JSON text.
    pub meta: Option<String>,
    pub user_id: Option<String>,
    pub tenant_id: Option<String>,
}

/// An agent, as a list shows it.
#[derive(Debug, Clone, PartialEq, Eq, FromQueryResult)]
pub struct SeenAgent {
    pub id: Uuid,
    pub name: String,
    pub status: String,
    pub last_seen_at: Option<i64>,
}

/// Makes an agent known, or changes the one of that name; returns its id.
///
/// # Errors
/// If the database can't be reached.
pub async fn register<C: ConnectionTrait>(
    connection: &C,
    registration: &Registration,
    now: i64,
) -> Result<Uuid, StoreError> {
    let Registration { name, platform, meta, user_id, tenant_id } = registration;
    let given = |column: &'static str| Expr::cust(format!("COALESCE(excluded.{column}, agents.{column})"));
    let mut upsert = Query::insert();
    upsert
        .into_table(agent::Entity)
        .columns([
            agent::Column::Id,
            agent::Column::Name,
            agent::Column::Platform,
            agent::Column::Meta,
            agent::Column::UserId,
            agent::Column::TenantId,
            agent::Column::Status,
            agent::Column::CreatedAt,
            agent::Column::UpdatedAt,
        ])
        .values_panic([
            Expr::val(Uuid::now_v7()),
            Expr::val(name.as_str()),
            Expr::val(platform.as_deref()),
            Expr::val(meta.as_deref()),
            Expr::val(user_id.as_deref()),
            Expr::val(tenant_id.as_deref()),
            Expr::val("offline"),
            Expr::val(now),
            Expr::val(now),
        ])
        .on_conflict(
            OnConflict::column(agent::Column::Name)
                .values([
                    (agent::Column::Platform, given("platform")),
                    (agent::Column::Meta, given("meta")),
                    (agent::Column::UserId, given("user_id")),
                    (agent::Column::TenantId, given("tenant_id")),
                    (agent::Column::UpdatedAt, Expr::val(now)),
                ])
                .to_owned(),
        )
        .returning(Query::returning().column(agent::Column::Id));
    let row = connection.query_one(&upsert).await?;
    let row = row.unwrap_or_else(|| unreachable!("an upsert returns the row that is there after it"));
    Ok(row.try_get("", "id")?)
}

/// Whether there is such an agent.
///
/// # Errors
/// If the database can't be reached.
pub async fn exists<C: ConnectionTrait>(connection: &C, id: Uuid) -> Result<bool, StoreError> {
    let query = agent::Entity::find_by_id(id).select_only().column(agent::Column::Id);
    Ok(query.into_tuple::<Uuid>().one(connection).await?.is_some())
}

/// Every agent, the one seen last first; those never seen come last.
///
/// # Errors
/// If the database can't be reached.
pub async fn list<C: ConnectionTrait>(connection: &C) -> Result<Vec<SeenAgent>, StoreError> {
    Ok(agent::Entity::find()
        .select_only()
        .columns([agent::Column::Id, agent::Column::Name, agent::Column::Status, agent::Column::LastSeenAt])
        .order_by_with_nulls(agent::Column::LastSeenAt, Order::Desc, NullOrdering::Last)
        .order_by_desc(agent::Column::CreatedAt)
        .order_by_desc(agent::Column::Id)
        .into_model()
        .all(connection)
        .await?)
}

/// Notes a sign of life; says whether it brought the agent back.
///
/// # Errors
/// If the database can't be reached.
pub async fn turn_online<C: ConnectionTrait>(connection: &C, id: Uuid, now: i64) -> Result<bool, StoreError> {
    let touched = agent::Entity::update_many()
        .col_expr(agent::Column::LastSeenAt, Expr::value(now))
        .filter(agent::Column::Id.eq(id))
        .filter(agent::Column::Status.eq("online"))
        .exec(connection)
        .await?;
    if touched.rows_affected > 0 {
        return Ok(false);
    }
    let turned = agent::Entity::update_many()
        .col_expr(agent::Column::Status, Expr::value("online"))
        .col_expr(agent::Column::LastSeenAt, Expr::value(now))
        .col_expr(agent::Column::UpdatedAt, Expr::value(now))
        .filter(agent::Column::Id.eq(id))
        .filter(agent::Column::Status.eq("offline"))
        .exec(connection)
        .await?;
    Ok(turned.rows_affected > 0)
}

/// Agents that count as online and gave no sign of life since `since`, at most `limit`.
///
/// # Errors
/// If the database can't be reached.
pub async fn silent<C: ConnectionTrait>(connection: &C, since: i64, limit: u64) -> Result<Vec<Uuid>, StoreError> {
    Ok(agent::Entity::find()
        .select_only()
        .column(agent::Column::Id)
        .filter(agent::Column::Status.eq("online"))
        .filter(agent::Column::LastSeenAt.lt(since))
        .order_by_asc(agent::Column::LastSeenAt)
        .limit(limit)
        .into_tuple()
        .all(connection)
        .await?)
}

/// Turns those of `agents` offline that are still silent, and returns them: of several servers that try, one turns each.
///
/// # Errors
/// If the database can't be reached.
pub async fn turn_offline<C: ConnectionTrait>(
    connection: &C,
    agents: &[Uuid],
    since: i64,
    now: i64,
) -> Result<Vec<Uuid>, StoreError> {
    let mut update = Query::update();
    update
        .table(agent::Entity)
        .value(agent::Column::Status, "offline")
        .value(agent::Column::UpdatedAt, now)
        .and_where(agent::Column::Id.is_in(agents.iter().copied()))
        .and_where(agent::Column::Status.eq("online"))
        .and_where(agent::Column::LastSeenAt.lt(since))
        .returning(Query::returning().column(agent::Column::Id));
    let rows = connection.query_all(&update).await?;
    rows.iter().map(|row| Ok(row.try_get("", "id")?)).collect()
}
