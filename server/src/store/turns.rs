//! The turns of chats. Every change is conditional on the status it starts from, so that the first one wins.

use std::collections::BTreeMap;

use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, EntityTrait, FromQueryResult, JoinType, QueryFilter, QueryOrder,
    QuerySelect,
};
use uuid::Uuid;

use super::entity::{chat, turn};
use super::{StoreError, chats};

pub use super::entity::turn::Model as TurnRow;

/// The statuses in which a turn is not over.
const OPEN: [&str; 2] = ["queued", "running"];

/// Writes a turn down.
///
/// # Errors
/// If the database can't be reached.
pub async fn insert<C: ConnectionTrait>(connection: &C, row: TurnRow) -> Result<(), StoreError> {
    turn::Entity::insert(turn::ActiveModel::from(row)).exec_without_returning(connection).await?;
    Ok(())
}

/// A turn of whichever chat.
///
/// # Errors
/// If the database can't be reached.
pub async fn find_any<C: ConnectionTrait>(connection: &C, id: Uuid) -> Result<Option<TurnRow>, StoreError> {
    Ok(turn::Entity::find_by_id(id).one(connection).await?)
}

/// A turn of a chat.
///
/// # Errors
/// If the database can't be reached.
pub async fn find<C: ConnectionTrait>(connection: &C, chat_id: Uuid, id: Uuid) -> Result<Option<TurnRow>, StoreError> {
    Ok(turn::Entity::find_by_id(id).filter(turn::Column::ChatId.eq(chat_id)).one(connection).await?)
}

/// The first turn of a chat that has this status.
///
/// # Errors
/// If the database can't be reached.
pub async fn first<C: ConnectionTrait>(
    connection: &C,
    chat_id: Uuid,
    status: &str,
) -> Result<Option<TurnRow>, StoreError> {
    Ok(turn::Entity::find()
        .filter(turn::Column::ChatId.eq(chat_id))
        .filter(turn::Column::Status.eq(status))
        .order_by_asc(turn::Column::Seq)
        .limit(1)
        .one(connection)
        .await?)
}

/// The turns of a chat that are not over, and the last `over` of the others, in order.
///
/// # Errors
/// If the database can't be reached.
pub async fn list<C: ConnectionTrait>(connection: &C, chat_id: Uuid, over: u64) -> Result<Vec<TurnRow>, StoreError> {
    let of_chat = || turn::Entity::find().filter(turn::Column::ChatId.eq(chat_id));
    let mut turns = of_chat()
        .filter(turn::Column::Status.is_not_in(OPEN))
        .order_by_desc(turn::Column::Seq)
        .limit(over)
        .all(connection)
        .await?;
    turns.extend(of_chat().filter(turn::Column::Status.is_in(OPEN)).all(connection).await?);
    turns.sort_by_key(|turn| turn.seq);
    Ok(turns)
}

/// Moves a turn from one status to another; says whether this call did it. A turn that begins to run gets its start, one
/// that ends its end.
///
/// # Errors
/// If the database can't be reached.
pub async fn advance<C: ConnectionTrait>(
    connection: &C,
    id: Uuid,
    (from, to): (&str, &str),
    error: Option<String>,
    now: i64,
) -> Result<bool, StoreError> {
    let stamp = if to == "running" { turn::Column::StartedAt } else { turn::Column::EndedAt };
    let done = turn::Entity::update_many()
        .col_expr(turn::Column::Status, Expr::value(to))
        .col_expr(turn::Column::Error, Expr::value(error))
        .col_expr(stamp, Expr::value(now))
        .filter(turn::Column::Id.eq(id))
        .filter(turn::Column::Status.eq(from))
        .exec(connection)
        .await?;
    Ok(done.rows_affected == 1)
}

/// Notes that somebody wants a turn that runs to end; says whether that is news.
///
/// # Errors
/// If the database can't be reached.
pub async fn ask_to_end<C: ConnectionTrait>(connection: &C, id: Uuid, now: i64) -> Result<bool, StoreError> {
    let done = turn::Entity::update_many()
        .col_expr(turn::Column::CancelRequestedAt, Expr::value(now))
        .filter(turn::Column::Id.eq(id))
        .filter(turn::Column::Status.eq("running"))
        .filter(turn::Column::CancelRequestedAt.is_null())
        .exec(connection)
        .await?;
    Ok(done.rows_affected == 1)
}

/// The turns that run in these chats and are to end, each with its chat.
///
/// # Errors
/// If the database can't be reached.
pub async fn ending<C: ConnectionTrait>(connection: &C, chats: &[Uuid]) -> Result<Vec<(Uuid, Uuid)>, StoreError> {
    Ok(turn::Entity::find()
        .select_only()
        .columns([turn::Column::ChatId, turn::Column::Id])
        .filter(turn::Column::ChatId.is_in(chats.iter().copied()))
        .filter(turn::Column::Status.eq("running"))
        .filter(turn::Column::CancelRequestedAt.is_not_null())
        .into_tuple()
        .all(connection)
        .await?)
}

#[derive(FromQueryResult)]
struct Count {
    chat_id: Uuid,
    status: String,
    turns: i64,
}

/// How many turns of each chat run, and how many wait; a chat without any is not among them.
///
/// # Errors
/// If the database can't be reached.
pub async fn open<C: ConnectionTrait>(
    connection: &C,
    chats: &[Uuid],
) -> Result<BTreeMap<Uuid, (u64, u64)>, StoreError> {
    let counts = turn::Entity::find()
        .select_only()
        .columns([turn::Column::ChatId, turn::Column::Status])
        .column_as(Expr::col(turn::Column::Id).count(), "turns")
        .filter(turn::Column::ChatId.is_in(chats.iter().copied()))
        .filter(turn::Column::Status.is_in(OPEN))
        .group_by(turn::Column::ChatId)
        .group_by(turn::Column::Status)
        .into_model::<Count>()
        .all(connection)
        .await?;
    let mut open: BTreeMap<Uuid, (u64, u64)> = BTreeMap::new();
    for Count { chat_id, status, turns } in counts {
        let (running, queued) = open.entry(chat_id).or_default();
        *if status == "running" { running } else { queued } = u64::try_from(turns).unwrap_or(0);
    }
    Ok(open)
}

/// The chats with open turns from before `since` that no server has at `now` and that may run at `home`, at most `limit`.
///
/// # Errors
/// If the database can't be reached.
pub async fn unattended<C: ConnectionTrait>(
    connection: &C,
    home: Uuid,
    now: i64,
    since: i64,
    limit: u64,
) -> Result<Vec<Uuid>, StoreError> {
    let free = Condition::any().add(chat::Column::HeldBy.is_null()).add(chat::Column::HeldUntil.lt(now));
    let of_chat = turn::Entity::belongs_to(chat::Entity).from(turn::Column::ChatId).to(chat::Column::Id).into();
    Ok(turn::Entity::find()
        .select_only()
        .column(turn::Column::ChatId)
        .distinct()
        .join(JoinType::InnerJoin, of_chat)
        .filter(turn::Column::Status.is_in(OPEN))
        .filter(turn::Column::CreatedAt.lt(since))
        .filter(chat::Column::DeletedAt.is_null())
        .filter(free)
        .filter(chats::at_home(home))
        .limit(limit)
        .into_tuple()
        .all(connection)
        .await?)
}

/// Removes the turns of a chat.
///
/// # Errors
/// If the database can't be reached.
pub async fn remove<C: ConnectionTrait>(connection: &C, chat_id: Uuid) -> Result<(), StoreError> {
    turn::Entity::delete_many().filter(turn::Column::ChatId.eq(chat_id)).exec(connection).await?;
    Ok(())
}
