//! Chats, and which server runs the agent of each.

use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, Condition, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use uuid::Uuid;

use super::StoreError;
use super::entity::chat;
use super::workspaces::Scope;

pub use super::entity::chat::Model as ChatRow;

/// Writes a chat down.
///
/// # Errors
/// If the database can't be reached.
pub async fn insert<C: ConnectionTrait>(connection: &C, row: ChatRow) -> Result<(), StoreError> {
    chat::Entity::insert(chat::ActiveModel::from(row)).exec_without_returning(connection).await?;
    Ok(())
}

/// One chat that the caller may see.
///
/// # Errors
/// If the database can't be reached.
pub async fn find<C: ConnectionTrait>(connection: &C, id: Uuid, scope: &Scope) -> Result<Option<ChatRow>, StoreError> {
    Ok(chat::Entity::find_by_id(id)
        .filter(scope.condition(chat::Column::WorkspaceId))
        .filter(chat::Column::DeletedAt.is_null())
        .one(connection)
        .await?)
}

/// The chats that the caller may see, newest first.
///
/// # Errors
/// If the database can't be reached.
pub async fn list<C: ConnectionTrait>(connection: &C, scope: &Scope, limit: u64) -> Result<Vec<ChatRow>, StoreError> {
    Ok(chat::Entity::find()
        .filter(scope.condition(chat::Column::WorkspaceId))
        .filter(chat::Column::DeletedAt.is_null())
        .order_by_desc(chat::Column::CreatedAt)
        .order_by_desc(chat::Column::Id)
        .limit(limit)
        .all(connection)
        .await?)
}

/// What changes about a chat; what is absent stays.
#[derive(Debug, Clone, Default)]
pub struct ChatChange {
    pub title: Option<String>,
    pub agent_session: Option<String>,
    pub cwd: Option<String>,
    pub updated_at: Option<i64>,
    pub deleted_at: Option<i64>,
}

/// Changes a chat that is not deleted; says whether there is one.
///
/// # Errors
/// If the database can't be reached.
pub async fn change<C: ConnectionTrait>(connection: &C, id: Uuid, change: ChatChange) -> Result<bool, StoreError> {
    let mut update = chat::Entity::update_many();
    let texts = [
        (chat::Column::Title, change.title),
        (chat::Column::AgentSession, change.agent_session),
        (chat::Column::Cwd, change.cwd),
    ];
    for (column, value) in texts.into_iter().filter_map(|(column, value)| Some((column, value?))) {
        update = update.col_expr(column, Expr::value(value));
    }
    let times = [(chat::Column::UpdatedAt, change.updated_at), (chat::Column::DeletedAt, change.deleted_at)];
    for (column, value) in times.into_iter().filter_map(|(column, value)| Some((column, value?))) {
        update = update.col_expr(column, Expr::value(value));
    }
    let done =
        update.filter(chat::Column::Id.eq(id)).filter(chat::Column::DeletedAt.is_null()).exec(connection).await?;
    Ok(done.rows_affected == 1)
}

/// Takes a chat for `server` until `until`, unless another server has it, or it has another home; says whether it is
/// `server`'s now.
///
/// # Errors
/// If the database can't be reached.
pub async fn hold<C: ConnectionTrait>(
    connection: &C,
    id: Uuid,
    server: Uuid,
    home: Uuid,
    now: i64,
    until: i64,
) -> Result<bool, StoreError> {
    let free = Condition::any()
        .add(chat::Column::HeldBy.is_null())
        .add(chat::Column::HeldBy.eq(server))
        .add(chat::Column::HeldUntil.lt(now));
    let done = chat::Entity::update_many()
        .col_expr(chat::Column::HeldBy, Expr::value(server))
        .col_expr(chat::Column::HeldUntil, Expr::value(until))
        .filter(chat::Column::Id.eq(id))
        .filter(free)
        .filter(at_home(home))
        .exec(connection)
        .await?;
    Ok(done.rows_affected == 1)
}

/// Chats that may run at this home.
pub(super) fn at_home(home: Uuid) -> Condition {
    Condition::any().add(chat::Column::Home.is_null()).add(chat::Column::Home.eq(home))
}

/// Keeps those of these chats that `server` has until `until`, and returns them, with whether each is deleted.
///
/// # Errors
/// If the database can't be reached.
pub async fn keep<C: ConnectionTrait>(
    connection: &C,
    server: Uuid,
    ids: &[Uuid],
    until: i64,
) -> Result<Vec<(Uuid, bool)>, StoreError> {
    let kept = chat::Entity::update_many()
        .col_expr(chat::Column::HeldUntil, Expr::value(until))
        .filter(chat::Column::Id.is_in(ids.iter().copied()))
        .filter(chat::Column::HeldBy.eq(server))
        .exec_with_returning(connection)
        .await?;
    Ok(kept.into_iter().map(|chat| (chat.id, chat.deleted_at.is_some())).collect())
}

/// Whether `server` has this chat; it stays so until the transaction ends, because nobody else can take it before.
///
/// # Errors
/// If the database can't be reached.
pub async fn is_held<C: ConnectionTrait>(connection: &C, id: Uuid, server: Uuid) -> Result<bool, StoreError> {
    let mine = chat::Entity::find_by_id(id).filter(chat::Column::HeldBy.eq(server));
    // Exclusively, since whoever asks may change the chat as well.
    Ok(mine.lock_exclusive().one(connection).await?.is_some())
}

/// Gives a chat that `server` has to whoever wants it.
///
/// # Errors
/// If the database can't be reached.
pub async fn release<C: ConnectionTrait>(connection: &C, id: Uuid, server: Uuid) -> Result<(), StoreError> {
    chat::Entity::update_many()
        .col_expr(chat::Column::HeldBy, Expr::value(Option::<Uuid>::None))
        .filter(chat::Column::Id.eq(id))
        .filter(chat::Column::HeldBy.eq(server))
        .exec(connection)
        .await?;
    Ok(())
}

/// Gives up the chats of a home: the server that had them there is gone.
///
/// # Errors
/// If the database can't be reached.
pub async fn release_home<C: ConnectionTrait>(connection: &C, home: Uuid) -> Result<(), StoreError> {
    chat::Entity::update_many()
        .col_expr(chat::Column::HeldBy, Expr::value(Option::<Uuid>::None))
        .filter(chat::Column::Home.eq(home))
        .filter(chat::Column::HeldBy.is_not_null())
        .exec(connection)
        .await?;
    Ok(())
}

/// Gives every chat to whoever wants it: there is no other server.
///
/// # Errors
/// If the database can't be reached.
pub async fn release_all<C: ConnectionTrait>(connection: &C) -> Result<(), StoreError> {
    chat::Entity::update_many()
        .col_expr(chat::Column::HeldBy, Expr::value(Option::<Uuid>::None))
        .filter(chat::Column::HeldBy.is_not_null())
        .exec(connection)
        .await?;
    Ok(())
}

/// The chats that are deleted and not yet removed, and that no server has at `now`, at most `limit`.
///
/// # Errors
/// If the database can't be reached.
pub async fn deleted<C: ConnectionTrait>(connection: &C, now: i64, limit: u64) -> Result<Vec<Uuid>, StoreError> {
    let free = Condition::any().add(chat::Column::HeldBy.is_null()).add(chat::Column::HeldUntil.lt(now));
    Ok(chat::Entity::find()
        .select_only()
        .column(chat::Column::Id)
        .filter(chat::Column::DeletedAt.is_not_null())
        .filter(free)
        .limit(limit)
        .into_tuple()
        .all(connection)
        .await?)
}

/// One chat that is deleted and not yet removed.
///
/// # Errors
/// If the database can't be reached.
pub async fn find_deleted<C: ConnectionTrait>(connection: &C, id: Uuid) -> Result<Option<ChatRow>, StoreError> {
    Ok(chat::Entity::find_by_id(id).filter(chat::Column::DeletedAt.is_not_null()).one(connection).await?)
}

/// Removes a chat that nothing refers to any more.
///
/// # Errors
/// If the database can't be reached.
pub async fn remove<C: ConnectionTrait>(connection: &C, id: Uuid) -> Result<(), StoreError> {
    chat::Entity::delete_by_id(id).exec(connection).await?;
    Ok(())
}
