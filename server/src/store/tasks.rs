//! Tasks of agents, and what they change.

use sea_orm::sea_query::{Expr, ExprTrait, OnConflict};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, EntityTrait, JoinType, PaginatorTrait, QueryFilter, QueryOrder,
    QuerySelect, RelationDef,
};
use uuid::Uuid;

use super::StoreError;
use super::entity::{session, task, task_patch};

pub use super::entity::task::Model as TaskRow;

/// Statuses in which a task's agent works, or will.
pub const UNFINISHED: [&str; 3] = ["planning", "running", "awaiting_approval"];

/// Statuses of a task that can go on.
pub const OPEN: [&str; 4] = ["planning", "running", "awaiting_approval", "ready"];

/// Writes a task down.
///
/// # Errors
/// If the database can't be reached.
pub async fn insert<C: ConnectionTrait>(connection: &C, row: TaskRow) -> Result<(), StoreError> {
    task::Entity::insert(task::ActiveModel::from(row)).exec_without_returning(connection).await?;
    Ok(())
}

/// A task.
///
/// # Errors
/// If the database can't be reached.
pub async fn find<C: ConnectionTrait>(connection: &C, id: Uuid) -> Result<Option<TaskRow>, StoreError> {
    Ok(task::Entity::find_by_id(id).one(connection).await?)
}

/// The task whose agent is talked with in a chat.
///
/// # Errors
/// If the database can't be reached.
pub async fn of_chat<C: ConnectionTrait>(connection: &C, chat_id: Uuid) -> Result<Option<TaskRow>, StoreError> {
    Ok(task::Entity::find().filter(task::Column::ChatId.eq(chat_id)).one(connection).await?)
}

/// A session's tasks, newest first.
///
/// # Errors
/// If the database can't be reached.
pub async fn list<C: ConnectionTrait>(connection: &C, session: Uuid, limit: u64) -> Result<Vec<TaskRow>, StoreError> {
    Ok(task::Entity::find()
        .filter(task::Column::SessionId.eq(session))
        .order_by_desc(task::Column::CreatedAt)
        .order_by_desc(task::Column::Id)
        .limit(limit)
        .all(connection)
        .await?)
}

/// How many of a session's tasks have one of these statuses.
///
/// # Errors
/// If the database can't be reached.
pub async fn count<C: ConnectionTrait>(connection: &C, session: Uuid, statuses: &[&str]) -> Result<u64, StoreError> {
    Ok(task::Entity::find()
        .filter(task::Column::SessionId.eq(session))
        .filter(task::Column::Status.is_in(statuses.iter().copied()))
        .count(connection)
        .await?)
}

/// The tasks whose worktrees this home has, or should have.
///
/// # Errors
/// If the database can't be reached.
pub async fn at_home<C: ConnectionTrait>(connection: &C, home: Uuid) -> Result<Vec<TaskRow>, StoreError> {
    Ok(task::Entity::find()
        .filter(task::Column::Home.eq(home))
        .filter(task::Column::HasWorktree.eq(true))
        .all(connection)
        .await?)
}

/// The same, of tasks that can't go on, and all tasks of this home that could though their session is over.
///
/// # Errors
/// If the database can't be reached.
pub async fn left_over<C: ConnectionTrait>(connection: &C, home: Uuid) -> Result<Vec<TaskRow>, StoreError> {
    let is_open = task::Column::Status.is_in(OPEN);
    let is_left = Condition::all().add(task::Column::HasWorktree.eq(true)).add(is_open.clone().not());
    let is_abandoned = Condition::all().add(session::Column::EndedAt.is_not_null()).add(is_open);
    Ok(task::Entity::find()
        .join(JoinType::InnerJoin, of_session())
        .filter(task::Column::Home.eq(home))
        .filter(Condition::any().add(is_left).add(is_abandoned))
        .all(connection)
        .await?)
}

/// The tasks of this home whose agents work, or should.
///
/// # Errors
/// If the database can't be reached.
pub async fn unfinished<C: ConnectionTrait>(connection: &C, home: Uuid) -> Result<Vec<Uuid>, StoreError> {
    Ok(task::Entity::find()
        .select_only()
        .column(task::Column::Id)
        .filter(task::Column::Home.eq(home))
        .filter(task::Column::Status.is_in(UNFINISHED))
        .into_tuple()
        .all(connection)
        .await?)
}

/// The repositories that tasks of this home were ever applied to, or may be.
///
/// # Errors
/// If the database can't be reached.
pub async fn repositories<C: ConnectionTrait>(connection: &C, home: Uuid) -> Result<Vec<String>, StoreError> {
    let was_ready = task::Column::Status.is_in(["ready", "applied"]);
    Ok(task::Entity::find()
        .select_only()
        .column(session::Column::Repo)
        .distinct()
        .join(JoinType::InnerJoin, of_session())
        .filter(task::Column::Home.eq(home))
        .filter(Condition::any().add(was_ready).add(task::Column::HasWorktree.eq(true)))
        .into_tuple()
        .all(connection)
        .await?)
}

/// The ids and chats of a session's tasks whose agents can be heard.
///
/// # Errors
/// If the database can't be reached.
pub async fn audible<C: ConnectionTrait>(connection: &C, session: Uuid) -> Result<Vec<(Uuid, Uuid)>, StoreError> {
    Ok(task::Entity::find()
        .select_only()
        .column(task::Column::Id)
        .column(task::Column::ChatId)
        .filter(task::Column::SessionId.eq(session))
        .filter(task::Column::HasWorktree.eq(true))
        .filter(task::Column::Status.is_in(OPEN))
        .into_tuple()
        .all(connection)
        .await?)
}

fn of_session() -> RelationDef {
    task::Entity::belongs_to(session::Entity).from(task::Column::SessionId).to(session::Column::Id).into()
}

/// What changes about a task; what is absent stays.
#[derive(Debug, Clone, Default)]
pub struct TaskChange {
    pub status: Option<&'static str>,
    pub error: Option<Option<String>>,
    pub has_worktree: Option<bool>,
    pub ended_at: Option<Option<i64>>,
    pub patch_count: Option<i64>,
    pub intended: Option<String>,
    pub applied: Option<Option<String>>,
    pub reverted: Option<Option<String>>,
}

/// Changes a task whose status is one of `from`; says whether it was.
///
/// # Errors
/// If the database can't be reached.
pub async fn change<C: ConnectionTrait>(
    connection: &C,
    id: Uuid,
    from: &[&str],
    change: TaskChange,
    now: i64,
) -> Result<bool, StoreError> {
    use task::Column;
    let TaskChange { status, error, has_worktree, ended_at, patch_count, intended, applied, reverted } = change;
    let values = [
        (Column::Status, status.map(Expr::value)),
        (Column::Error, error.map(Expr::value)),
        (Column::HasWorktree, has_worktree.map(Expr::value)),
        (Column::EndedAt, ended_at.map(Expr::value)),
        (Column::PatchCount, patch_count.map(Expr::value)),
        (Column::Intended, intended.map(Expr::value)),
        (Column::Applied, applied.map(Expr::value)),
        (Column::Reverted, reverted.map(Expr::value)),
    ];
    let mut update = task::Entity::update_many().col_expr(Column::UpdatedAt, Expr::value(now));
    for (column, value) in values {
        if let Some(value) = value {
            update = update.col_expr(column, value);
        }
    }
    let done =
        update.filter(Column::Id.eq(id)).filter(Column::Status.is_in(from.iter().copied())).exec(connection).await?;
    Ok(done.rows_affected == 1)
}

/// Keeps what a task changes, in the place of what was kept before.
///
/// # Errors
/// If the database can't be reached.
pub async fn keep_patches<C: ConnectionTrait>(
    connection: &C,
    task_id: Uuid,
    patches: String,
) -> Result<(), StoreError> {
    let row = task_patch::ActiveModel::from(task_patch::Model { task_id, patches });
    let anew = OnConflict::column(task_patch::Column::TaskId).update_column(task_patch::Column::Patches).to_owned();
    task_patch::Entity::insert(row).on_conflict(anew).exec_without_returning(connection).await?;
    Ok(())
}

/// What a task changes; `None` if nothing was kept.
///
/// # Errors
/// If the database can't be reached.
pub async fn patches<C: ConnectionTrait>(connection: &C, task_id: Uuid) -> Result<Option<String>, StoreError> {
    Ok(task_patch::Entity::find_by_id(task_id).one(connection).await?.map(|row| row.patches))
}
