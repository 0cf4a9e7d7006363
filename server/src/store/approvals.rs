//! The approvals ledger. Every change is conditional on the state it starts from, so that the first one wins.

use std::collections::BTreeMap;

use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, EntityTrait, FromQueryResult, QueryFilter, QueryOrder, QuerySelect,
};
use uuid::Uuid;

use super::StoreError;
use super::entity::approval;
use super::workspaces::{After, Scope};

pub use super::entity::approval::Model as ApprovalRow;

const PENDING: &str = "PENDING";

/// How a pending approval ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    pub status: &'static str,
    pub note: Option<String>,
    pub device_id: Option<Uuid>,
    pub expiry_reason: Option<&'static str>,
    pub at: i64,
}

/// Writes an approval down.
///
/// # Errors
/// If the database can't be reached.
pub async fn insert<C: ConnectionTrait>(connection: &C, row: ApprovalRow) -> Result<(), StoreError> {
    approval::Entity::insert(approval::ActiveModel::from(row)).exec_without_returning(connection).await?;
    Ok(())
}

/// One approval that the caller may see.
///
/// # Errors
/// If the database can't be reached.
pub async fn find<C: ConnectionTrait>(
    connection: &C,
    id: Uuid,
    scope: &Scope,
) -> Result<Option<ApprovalRow>, StoreError> {
    Ok(approval::Entity::find_by_id(id).filter(scope.condition(approval::Column::WorkspaceId)).one(connection).await?)
}

/// The approval that a repeatable request has opened.
///
/// # Errors
/// If the database can't be reached.
pub async fn find_by_key<C: ConnectionTrait>(
    connection: &C,
    request_key: &[u8],
) -> Result<Option<ApprovalRow>, StoreError> {
    Ok(approval::Entity::find().filter(approval::Column::RequestKey.eq(request_key)).one(connection).await?)
}

/// Lets a closed approval go, so that its request opens a new one.
///
/// # Errors
/// If the database can't be reached.
pub async fn release_key<C: ConnectionTrait>(connection: &C, id: Uuid) -> Result<(), StoreError> {
    approval::Entity::update_many()
        .col_expr(approval::Column::RequestKey, Expr::value(Option::<Vec<u8>>::None))
        .filter(approval::Column::Id.eq(id))
        .exec(connection)
        .await?;
    Ok(())
}

/// Every approval that waits for a decision.
///
/// # Errors
/// If the database can't be reached.
pub async fn pending<C: ConnectionTrait>(connection: &C) -> Result<Vec<ApprovalRow>, StoreError> {
    Ok(approval::Entity::find().filter(approval::Column::Status.eq(PENDING)).all(connection).await?)
}

/// The approvals that ended at or after `since`.
///
/// # Errors
/// If the database can't be reached.
pub async fn ended_since<C: ConnectionTrait>(connection: &C, since: i64) -> Result<Vec<ApprovalRow>, StoreError> {
    Ok(approval::Entity::find().filter(approval::Column::DecidedAt.gte(since)).all(connection).await?)
}

/// Ends a pending approval; says whether this call did it.
///
/// # Errors
/// If the database can't be reached.
pub async fn end<C: ConnectionTrait>(connection: &C, id: Uuid, ending: &Ending) -> Result<bool, StoreError> {
    end_if(connection, ending, Condition::all().add(approval::Column::Id.eq(id))).await
}

/// Ends a pending approval whose deadline is not after `ending.at`; says whether this call did it.
///
/// # Errors
/// If the database can't be reached.
pub async fn end_overdue<C: ConnectionTrait>(connection: &C, id: Uuid, ending: &Ending) -> Result<bool, StoreError> {
    let overdue = Condition::all().add(approval::Column::Id.eq(id)).add(approval::Column::ExpiresAt.lte(ending.at));
    end_if(connection, ending, overdue).await
}

async fn end_if<C: ConnectionTrait>(connection: &C, ending: &Ending, condition: Condition) -> Result<bool, StoreError> {
    let updated = approval::Entity::update_many()
        .col_expr(approval::Column::Status, Expr::value(ending.status))
        .col_expr(approval::Column::Note, Expr::value(ending.note.clone()))
        .col_expr(approval::Column::DecidedAt, Expr::value(ending.at))
        .col_expr(approval::Column::DecidedByDeviceId, Expr::value(ending.device_id))
        .col_expr(approval::Column::ExpiryReason, Expr::value(ending.expiry_reason))
        .filter(condition)
        .filter(approval::Column::Status.eq(PENDING))
        .exec(connection)
        .await?;
    Ok(updated.rows_affected == 1)
}

/// The ids of pending approvals whose deadline is not after `now`: those of this server, and of servers that are gone.
///
/// # Errors
/// If the database can't be reached.
pub async fn overdue<C: ConnectionTrait>(connection: &C, now: i64) -> Result<Vec<Uuid>, StoreError> {
    Ok(approval::Entity::find()
        .select_only()
        .column(approval::Column::Id)
        .filter(approval::Column::Status.eq(PENDING))
        .filter(approval::Column::ExpiresAt.lte(now))
        .limit(1_000)
        .into_tuple()
        .all(connection)
        .await?)
}

/// Notes that a verdict arrived; says whether it is news.
///
/// # Errors
/// If the database can't be reached.
pub async fn deliver<C: ConnectionTrait>(connection: &C, id: Uuid, now: i64) -> Result<bool, StoreError> {
    stamp(connection, id, approval::Column::DeliveredAt, now).await
}

/// Notes that the agent acted on a verdict; says whether it is news.
///
/// # Errors
/// If the database can't be reached.
pub async fn consume<C: ConnectionTrait>(connection: &C, id: Uuid, now: i64) -> Result<bool, StoreError> {
    stamp(connection, id, approval::Column::ConsumedAt, now).await
}

async fn stamp<C: ConnectionTrait>(
    connection: &C,
    id: Uuid,
    column: approval::Column,
    now: i64,
) -> Result<bool, StoreError> {
    let updated = approval::Entity::update_many()
        .col_expr(column, Expr::value(now))
        .filter(approval::Column::Id.eq(id))
        .filter(approval::Column::Status.ne(PENDING))
        .filter(column.is_null())
        .exec(connection)
        .await?;
    Ok(updated.rows_affected == 1)
}

/// Labels a pending approval as orphaned since `since`, or takes the label away; says whether that is news.
///
/// # Errors
/// If the database can't be reached.
pub async fn orphan<C: ConnectionTrait>(connection: &C, id: Uuid, since: Option<i64>) -> Result<bool, StoreError> {
    let column = approval::Column::OrphanedAt;
    let is_news = if since.is_some() { column.is_null() } else { column.is_not_null() };
    let updated = approval::Entity::update_many()
        .col_expr(column, Expr::value(since))
        .filter(approval::Column::Id.eq(id))
        .filter(approval::Column::Status.eq(PENDING))
        .filter(is_news)
        .exec(connection)
        .await?;
    Ok(updated.rows_affected == 1)
}

/// What to list.
#[derive(Debug, Clone, Default)]
pub struct ApprovalFilter {
    pub statuses: Vec<&'static str>,
    pub workspace_id: Option<Uuid>,
    pub run_id: Option<Uuid>,
}

/// Approvals that the caller may see, newest first.
///
/// # Errors
/// If the database can't be reached.
pub async fn list<C: ConnectionTrait>(
    connection: &C,
    scope: &Scope,
    filter: &ApprovalFilter,
    after: Option<After>,
    limit: u64,
) -> Result<Vec<ApprovalRow>, StoreError> {
    let mut query = approval::Entity::find().filter(scope.condition(approval::Column::WorkspaceId));
    if !filter.statuses.is_empty() {
        query = query.filter(approval::Column::Status.is_in(filter.statuses.iter().copied()));
    }
    if let Some(workspace_id) = filter.workspace_id {
        query = query.filter(approval::Column::WorkspaceId.eq(workspace_id));
    }
    if let Some(run_id) = filter.run_id {
        query = query.filter(approval::Column::RunId.eq(run_id));
    }
    if let Some(after) = after {
        query = query.filter(after.condition(approval::Column::RequestedAt, approval::Column::Id));
    }
    Ok(query
        .order_by_desc(approval::Column::RequestedAt)
        .order_by_desc(approval::Column::Id)
        .limit(limit)
        .all(connection)
        .await?)
}

#[derive(FromQueryResult)]
struct Count {
    run_id: Uuid,
    pending: i64,
}

/// How many approvals of each run wait for a decision; a run without any is not among them.
///
/// # Errors
/// If the database can't be reached.
pub async fn pending_by_run<C: ConnectionTrait>(
    connection: &C,
    runs: &[Uuid],
) -> Result<BTreeMap<Uuid, u64>, StoreError> {
    let counts = approval::Entity::find()
        .select_only()
        .column(approval::Column::RunId)
        .column_as(Expr::col(approval::Column::Id).count(), "pending")
        .filter(approval::Column::RunId.is_in(runs.iter().copied()))
        .filter(approval::Column::Status.eq(PENDING))
        .group_by(approval::Column::RunId)
        .into_model::<Count>()
        .all(connection)
        .await?;
    Ok(counts.into_iter().map(|count| (count.run_id, u64::try_from(count.pending).unwrap_or(0))).collect())
}
