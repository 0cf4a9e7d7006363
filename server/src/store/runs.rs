//! Runs: a projection of the events that agents report.

use std::collections::{BTreeMap, HashSet};

use sea_orm::sea_query::{Expr, ExprTrait, OnConflict, Query};
use sea_orm::{ColumnTrait, Condition, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use uuid::Uuid;

use super::StoreError;
use super::entity::run;
use super::workspaces::{After, Scope};

pub use super::entity::run::Model as RunRow;

/// What one event changes in its run.
#[derive(Debug, Clone)]
pub struct RunChange {
    pub run_id: Uuid,
    pub workspace_id: Uuid,
    /// Kept from the run's first event.
    pub provider: String,
    /// `None` leaves the status as it is; a new run starts as `RUNNING`.
    pub status: Option<&'static str>,
    pub message: Option<String>,
    pub at: i64,
}

/// The statuses that end a run.
const ENDED: [&str; 3] = ["FINISHED", "FAILED", "STOPPED"];

/// Applies changes in order, creating runs as needed. Returns the pairs of run and workspace where the run belongs to
/// another workspace: those runs are left as they are.
///
/// # Errors
/// If the database can't be reached.
pub async fn apply<C: ConnectionTrait>(
    connection: &C,
    changes: &[&RunChange],
) -> Result<HashSet<(Uuid, Uuid)>, StoreError> {
    // One row a run, however many of its events are in the batch; sorted, so that two servers lock in one order.
    let mut merged: BTreeMap<(Uuid, Uuid), RunChange> = BTreeMap::new();
    for change in changes {
        merged
            .entry((change.run_id, change.workspace_id))
            .and_modify(|earlier| {
                earlier.status = change.status.or(earlier.status);
                if change.message.is_some() {
                    earlier.message.clone_from(&change.message);
                }
                earlier.at = change.at;
            })
            .or_insert_with(|| (*change).clone());
    }
    let mut foreign = HashSet::new();
    // Runs with and without a new status or message differ in what they overwrite, so they go in separate statements.
    for with_status in [false, true] {
        for with_message in [false, true] {
            let rows: Vec<&RunChange> = merged
                .values()
                .filter(|row| row.status.is_some() == with_status && row.message.is_some() == with_message)
                .collect();
            for rows in rows.chunks(500) {
                foreign.extend(upsert(connection, rows, with_status, with_message).await?);
            }
        }
    }
    Ok(foreign)
}

async fn upsert<C: ConnectionTrait>(
    connection: &C,
    rows: &[&RunChange],
    with_status: bool,
    with_message: bool,
) -> Result<HashSet<(Uuid, Uuid)>, StoreError> {
    let mut insert = Query::insert();
    insert.into_table(run::Entity).columns([
        run::Column::Id,
        run::Column::Provider,
        run::Column::WorkspaceId,
        run::Column::Status,
        run::Column::StartedAt,
        run::Column::EndedAt,
        run::Column::LastEventAt,
        run::Column::LastMessage,
    ]);
    for row in rows {
        let ended = row.status.is_some_and(|status| ENDED.contains(&status));
        insert.values_panic([
            Expr::val(row.run_id),
            Expr::val(row.provider.as_str()),
            Expr::val(row.workspace_id),
            Expr::val(row.status.unwrap_or("RUNNING")),
            Expr::val(row.at),
            Expr::val(ended.then_some(row.at)),
            Expr::val(row.at),
            Expr::val(row.message.as_deref()),
        ]);
    }
    let mut conflict = OnConflict::column(run::Column::Id);
    conflict.update_column(run::Column::LastEventAt);
    if with_status {
        conflict.update_columns([run::Column::Status, run::Column::EndedAt]);
    }
    if with_message {
        conflict.update_column(run::Column::LastMessage);
    }
    conflict.action_and_where(Expr::cust("runs.workspace_id = excluded.workspace_id"));
    insert.on_conflict(conflict);
    if connection.execute(&insert).await?.rows_affected() == rows.len() as u64 {
        return Ok(HashSet::new());
    }
    let owned =
        run::Entity::find().filter(run::Column::Id.is_in(rows.iter().map(|row| row.run_id))).all(connection).await?;
    let owned: HashSet<(Uuid, Uuid)> = owned.into_iter().map(|run| (run.id, run.workspace_id)).collect();
    let claimed = rows.iter().map(|row| (row.run_id, row.workspace_id));
    Ok(claimed.filter(|pair| !owned.contains(pair)).collect())
}

/// One run that the caller may see.
///
/// # Errors
/// If the database can't be reached.
pub async fn find<C: ConnectionTrait>(connection: &C, id: Uuid, scope: &Scope) -> Result<Option<RunRow>, StoreError> {
    Ok(run::Entity::find_by_id(id).filter(scope.condition(run::Column::WorkspaceId)).one(connection).await?)
}

/// What to list.
#[derive(Debug, Clone, Default)]
pub struct RunFilter {
    pub workspace_id: Option<Uuid>,
    pub statuses: Vec<&'static str>,
    pub provider: Option<String>,
}

/// Runs that the caller may see, newest first.
///
/// # Errors
/// If the database can't be reached.
pub async fn list<C: ConnectionTrait>(
    connection: &C,
    scope: &Scope,
    filter: &RunFilter,
    after: Option<After>,
    limit: u64,
) -> Result<Vec<RunRow>, StoreError> {
    let mut query = run::Entity::find().filter(scope.condition(run::Column::WorkspaceId));
    if let Some(workspace_id) = filter.workspace_id {
        query = query.filter(run::Column::WorkspaceId.eq(workspace_id));
    }
    if !filter.statuses.is_empty() {
        query = query.filter(run::Column::Status.is_in(filter.statuses.iter().copied()));
    }
    if let Some(provider) = &filter.provider {
        query = query.filter(run::Column::Provider.eq(provider.as_str()));
    }
    if let Some(after) = after {
        query = query.filter(after.condition(run::Column::StartedAt, run::Column::Id));
    }
    Ok(query.order_by_desc(run::Column::StartedAt).order_by_desc(run::Column::Id).limit(limit).all(connection).await?)
}

impl After {
    /// Rows that come later than this place in a list that falls by time, then id.
    pub(super) fn condition<T: ColumnTrait, I: ColumnTrait>(self, time: T, id: I) -> Condition {
        Condition::any().add(time.lt(self.time)).add(time.eq(self.time).and(ColumnTrait::lt(&id, self.id)))
    }
}
