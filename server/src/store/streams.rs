//! Streams: where each begins and ends, trimming what is too old, and forgetting channels of which nothing is left.
//!
//! A channel that was forgotten and is used again must not begin with 1: a client that has its old place would miss what
//! comes, and not know it. So the highest place of all that were forgotten is kept, and every new channel begins above it.

use std::collections::BTreeMap;

use sea_orm::sea_query::{Expr, ExprTrait, JoinType, Order, Query};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use super::entity::{event, stream};
use super::{StoreError, facts};

pub use super::entity::stream::Model as StreamRow;

/// The stream of this name; one without events does not exist.
///
/// # Errors
/// If the database can't be reached.
pub async fn find<C: ConnectionTrait>(connection: &C, name: &str) -> Result<Option<StreamRow>, StoreError> {
    Ok(stream::Entity::find().filter(stream::Column::Name.eq(name)).one(connection).await?)
}

/// The last `seq` of each named stream; a stream without events is not among them.
///
/// # Errors
/// If the database can't be reached.
pub async fn heads<C: ConnectionTrait>(
    connection: &C,
    names: impl IntoIterator<Item = String>,
) -> Result<BTreeMap<String, i64>, StoreError> {
    Ok(stream::Entity::find()
        .filter(stream::Column::Name.is_in(names))
        .all(connection)
        .await?
        .into_iter()
        .map(|stream| (stream.name, stream.last_seq))
        .collect())
}

/// A stream, and when its oldest event was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extent {
    pub id: i64,
    pub name: String,
    pub first_seq: i64,
    pub last_seq: i64,
    /// Absent for a stream without events.
    pub oldest_at: Option<i64>,
}

/// The streams with an id above `after` that hold events, in order, at most `limit`.
///
/// # Errors
/// If the database can't be reached.
pub async fn extents<C: ConnectionTrait>(connection: &C, after: i64, limit: u64) -> Result<Vec<Extent>, StoreError> {
    let oldest = Expr::col((event::Entity, event::Column::StreamId))
        .equals((stream::Entity, stream::Column::Id))
        .and(Expr::col((event::Entity, event::Column::Seq)).equals((stream::Entity, stream::Column::FirstSeq)));
    let mut select = Query::select();
    select
        .columns([
            (stream::Entity, stream::Column::Id),
            (stream::Entity, stream::Column::Name),
            (stream::Entity, stream::Column::FirstSeq),
            (stream::Entity, stream::Column::LastSeq),
        ])
        .column((event::Entity, event::Column::CreatedAt))
        .from(stream::Entity)
        .join(JoinType::LeftJoin, event::Entity, oldest)
        .and_where(Expr::col((stream::Entity, stream::Column::Id)).gt(after))
        .and_where(
            Expr::col((stream::Entity, stream::Column::FirstSeq))
                .lte(Expr::col((stream::Entity, stream::Column::LastSeq))),
        )
        .order_by((stream::Entity, stream::Column::Id), Order::Asc)
        .limit(limit);
    let rows = connection.query_all(&select).await?.into_iter().map(|row| {
        Ok(Extent {
            id: row.try_get("", "id")?,
            name: row.try_get("", "name")?,
            first_seq: row.try_get("", "first_seq")?,
            last_seq: row.try_get("", "last_seq")?,
            oldest_at: row.try_get("", "created_at")?,
        })
    });
    rows.collect()
}

/// The first event of a stream that was written at or after `at`, looking no further than `limit` events from `from`;
/// the event after those if all of them are older.
///
/// # Errors
/// If the database can't be reached.
pub async fn first_since<C: ConnectionTrait>(
    connection: &C,
    stream_id: i64,
    from: i64,
    at: i64,
    limit: u64,
) -> Result<i64, StoreError> {
    let mut select = Query::select();
    select
        .columns([event::Column::Seq, event::Column::CreatedAt])
        .from(event::Entity)
        .and_where(Expr::col(event::Column::StreamId).eq(stream_id))
        .and_where(Expr::col(event::Column::Seq).gte(from))
        .order_by(event::Column::Seq, Order::Asc)
        .limit(limit);
    let mut first = from;
    for row in connection.query_all(&select).await? {
        let (seq, created_at): (i64, i64) = (row.try_get("", "seq")?, row.try_get("", "created_at")?);
        if created_at >= at {
            return Ok(seq);
        }
        first = seq + 1;
    }
    Ok(first)
}

/// Makes a stream's history begin at `first_seq`.
///
/// # Errors
/// If the database can't be reached.
pub async fn trim<C: ConnectionTrait>(connection: &C, stream_id: i64, first_seq: i64) -> Result<(), StoreError> {
    let mut begin = Query::update();
    begin
        .table(stream::Entity)
        .value(stream::Column::FirstSeq, first_seq)
        .and_where(Expr::col(stream::Column::Id).eq(stream_id))
        .and_where(Expr::col(stream::Column::FirstSeq).lt(first_seq));
    connection.execute(&begin).await?;
    event::Entity::delete_many()
        .filter(event::Column::StreamId.eq(stream_id))
        .filter(event::Column::Seq.lt(first_seq))
        .exec(connection)
        .await?;
    Ok(())
}

/// How the names of streams begin that can be forgotten.
const CHANNELS: &str = "channels/";

/// The fact that keeps the highest place of those that were.
const FLOOR: &str = "channels_floor";

/// Whether a stream of this name begins above the floor.
pub(super) fn has_floor(name: &str) -> bool {
    name.starts_with(CHANNELS)
}

/// Moves streams that have just been made, in this transaction, above the floor; returns it.
///
/// Whoever forgets a stream raises the floor in the same transaction. A statement of its own sees it: to make the stream,
/// this transaction had to wait for that one's end.
///
/// # Errors
/// If the database can't be reached.
pub(super) async fn lift<C: ConnectionTrait>(connection: &C, made: Vec<i64>) -> Result<i64, StoreError> {
    let floor = facts::number(connection, FLOOR).await?;
    if floor > 0 {
        let mut lift = Query::update();
        lift.table(stream::Entity)
            .value(stream::Column::FirstSeq, floor + 1)
            .value(stream::Column::LastSeq, Expr::col(stream::Column::LastSeq).add(floor))
            .and_where(Expr::col(stream::Column::Id).is_in(made));
        connection.execute(&lift).await?;
    }
    Ok(floor)
}

/// The channels with an id above `after` of which nothing is left and that no agent is on, in order, at most `limit`.
///
/// # Errors
/// If the database can't be reached.
pub async fn unused_channels<C: ConnectionTrait>(
    connection: &C,
    after: i64,
    limit: u64,
) -> Result<Vec<StreamRow>, StoreError> {
    Ok(stream::Entity::find()
        .filter(stream::Column::Id.gt(after))
        .filter(stream::Column::Name.like(format!("{CHANNELS}%")))
        .filter(is_empty())
        .filter(Expr::cust(format!("name NOT IN (SELECT '{CHANNELS}' || channel FROM hub_subscriptions)")))
        .order_by_asc(stream::Column::Id)
        .limit(limit)
        .all(connection)
        .await?)
}

/// Forgets those of these channels of which nothing is left still.
///
/// # Errors
/// If the database can't be reached.
pub async fn forget<C: ConnectionTrait>(connection: &C, ids: &[i64]) -> Result<(), StoreError> {
    let mut delete = Query::delete();
    delete
        .from_table(stream::Entity)
        .and_where(Expr::col(stream::Column::Id).is_in(ids.iter().copied()))
        .and_where(is_empty())
        .returning(Query::returning().columns([stream::Column::LastSeq]));
    let rows = connection.query_all(&delete).await?;
    let lasts = rows.iter().map(|row| row.try_get::<i64>("", "last_seq")).collect::<Result<Vec<_>, _>>()?;
    match lasts.into_iter().max() {
        Some(highest) => facts::raise(connection, FLOOR, highest).await,
        None => Ok(()),
    }
}

fn is_empty() -> Expr {
    Expr::col(stream::Column::FirstSeq).gt(Expr::col(stream::Column::LastSeq))
}

/// Removes a stream that has no events and will never have one again.
///
/// # Errors
/// If the database can't be reached.
pub async fn remove<C: ConnectionTrait>(connection: &C, stream_id: i64) -> Result<(), StoreError> {
    stream::Entity::delete_by_id(stream_id).exec(connection).await?;
    Ok(())
}
