//! Streams: where each begins and ends, and trimming what is too old.

use std::collections::BTreeMap;

use sea_orm::sea_query::{Expr, ExprTrait, JoinType, Order, Query};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter};

use super::StoreError;
use super::entity::{event, stream};

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
