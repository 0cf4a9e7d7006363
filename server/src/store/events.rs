//! Streams and their events. `seq` is given out here and nowhere else, inside the writer's transaction.

use std::collections::BTreeMap;
use std::sync::Arc;

use sea_orm::sea_query::{Expr, OnConflict, Query};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use uuid::Uuid;

use super::entity::{event, stream};
use super::{StoreError, streams};

pub use super::entity::event::Model as EventRow;

/// An event that has no place yet.
#[derive(Debug, Clone)]
pub struct NewEvent {
    /// The stream's name, e.g. `runs/{id}`.
    pub stream: String,
    pub id: Uuid,
    pub kind: String,
    pub created_at: i64,
    /// By the reporter's clock.
    pub happened_at: Option<i64>,
    /// JSON text.
    pub payload: String,
}

/// An event that has been committed.
#[derive(Debug, Clone)]
pub struct Committed {
    pub event: Arc<NewEvent>,
    pub seq: i64,
}

impl EventRow {
    /// The event without its place.
    #[must_use]
    pub fn into_event(self, stream: &str) -> NewEvent {
        NewEvent {
            stream: stream.to_owned(),
            id: self.id,
            kind: self.kind,
            created_at: self.created_at,
            happened_at: self.happened_at,
            payload: self.payload,
        }
    }
}

/// Rows in one INSERT: far below the limit of bound parameters on both databases.
const ROWS: usize = 500;

/// Appends events to their streams, creating streams as needed, and returns each one's `seq`, in the order given.
///
/// # Errors
/// If the database can't be reached.
pub async fn append<C: ConnectionTrait>(connection: &C, events: &[&NewEvent]) -> Result<Vec<i64>, StoreError> {
    if events.is_empty() {
        return Ok(Vec::new());
    }
    // Sorted, so that two servers on one PostgreSQL lock streams in the same order.
    let mut counts: BTreeMap<&str, i64> = BTreeMap::new();
    for event in events {
        *counts.entry(&event.stream).or_default() += 1;
    }
    let mut heads = advance(connection, &counts).await?;

    let mut seqs = Vec::with_capacity(events.len());
    for rows in events.chunks(ROWS) {
        let mut insert = Query::insert();
        insert.into_table(event::Entity).columns([
            event::Column::StreamId,
            event::Column::Seq,
            event::Column::Id,
            event::Column::Kind,
            event::Column::CreatedAt,
            event::Column::HappenedAt,
            event::Column::Payload,
        ]);
        for row in rows {
            let Some((stream_id, next)) = heads.get_mut(row.stream.as_str()) else {
                unreachable!("every stream was advanced above")
            };
            insert.values_panic([
                Expr::val(*stream_id),
                Expr::val(*next),
                Expr::val(row.id),
                Expr::val(row.kind.as_str()),
                Expr::val(row.created_at),
                Expr::val(row.happened_at),
                Expr::val(row.payload.as_str()),
            ]);
            seqs.push(*next);
            *next += 1;
        }
        connection.execute(&insert).await?;
    }
    Ok(seqs)
}

/// Moves each stream's head on by its count; returns its id and the first of the new numbers.
async fn advance<'n, C: ConnectionTrait>(
    connection: &C,
    counts: &BTreeMap<&'n str, i64>,
) -> Result<BTreeMap<&'n str, (i64, i64)>, StoreError> {
    let mut heads = BTreeMap::new();
    let entries: Vec<(&&str, &i64)> = counts.iter().collect();
    for rows in entries.chunks(ROWS) {
        let mut upsert = Query::insert();
        upsert.into_table(stream::Entity).columns([stream::Column::Name, stream::Column::LastSeq]);
        for (name, count) in rows {
            upsert.values_panic([Expr::val(**name), Expr::val(**count)]);
        }
        upsert
            .on_conflict(
                OnConflict::column(stream::Column::Name)
                    .value(stream::Column::LastSeq, Expr::cust("streams.last_seq + excluded.last_seq"))
                    .to_owned(),
            )
            .returning(Query::returning().columns([stream::Column::Id, stream::Column::Name, stream::Column::LastSeq]));
        for row in connection.query_all(&upsert).await? {
            let (id, name, last): (i64, String, i64) =
                (row.try_get("", "id")?, row.try_get("", "name")?, row.try_get("", "last_seq")?);
            if let Some((name, count)) = counts.get_key_value(name.as_str()) {
                heads.insert(*name, (id, last - count + 1));
            }
        }
    }
    lift(connection, &mut heads).await?;
    Ok(heads)
}

/// Moves on what has just been made and must not begin with 1. Where nothing is new, that costs nothing.
async fn lift<C: ConnectionTrait>(connection: &C, heads: &mut BTreeMap<&str, (i64, i64)>) -> Result<(), StoreError> {
    let made: Vec<&mut (i64, i64)> = heads
        .iter_mut()
        .filter(|(name, (_, next))| *next == 1 && streams::has_floor(name))
        .map(|(_, head)| head)
        .collect();
    if !made.is_empty() {
        let floor = streams::lift(connection, made.iter().map(|(id, _)| *id).collect()).await?;
        made.into_iter().for_each(|(_, next)| *next += floor);
    }
    Ok(())
}

/// What one page of events may cost.
#[derive(Debug, Clone, Copy)]
pub struct PageLimits {
    pub events: u64,
    /// Of payloads. The page ends before the event that would exceed it, but holds one in any case.
    pub bytes: usize,
}

/// Rows read at once, before their size is looked at.
const STRETCH: u64 = 250;

/// The events of a stream with `seq` above `since`, in order, as many as the limits allow.
///
/// # Errors
/// If the database can't be reached.
pub async fn page<C: ConnectionTrait>(
    connection: &C,
    stream_id: i64,
    mut since: i64,
    limits: PageLimits,
) -> Result<Vec<EventRow>, StoreError> {
    let mut page: Vec<EventRow> = Vec::new();
    let mut bytes = 0;
    while (page.len() as u64) < limits.events {
        let stretch = STRETCH.min(limits.events - page.len() as u64);
        let rows = event::Entity::find()
            .filter(event::Column::StreamId.eq(stream_id))
            .filter(event::Column::Seq.gt(since))
            .order_by_asc(event::Column::Seq)
            .limit(stretch)
            .all(connection)
            .await?;
        let last = (rows.len() as u64) < stretch;
        for row in rows {
            bytes += row.payload.len();
            if bytes > limits.bytes && !page.is_empty() {
                return Ok(page);
            }
            since = row.seq;
            page.push(row);
        }
        if last {
            break;
        }
    }
    Ok(page)
}

/// The same where only some kinds are wanted, whose events may be large.
const STRETCH_OF_KINDS: u64 = 50;

/// The events of these kinds in a stream with `seq` above `since`, in order, as many as the limits allow.
///
/// # Errors
/// If the database can't be reached.
pub async fn of_kinds<C: ConnectionTrait>(
    connection: &C,
    stream: &str,
    kinds: &[&str],
    mut since: i64,
    limits: PageLimits,
) -> Result<Vec<EventRow>, StoreError> {
    let Some(stream) = streams::find(connection, stream).await? else { return Ok(Vec::new()) };
    let mut page: Vec<EventRow> = Vec::new();
    let mut bytes = 0;
    while (page.len() as u64) < limits.events {
        let stretch = STRETCH_OF_KINDS.min(limits.events - page.len() as u64);
        let rows = event::Entity::find()
            .filter(event::Column::StreamId.eq(stream.id))
            .filter(event::Column::Seq.gt(since))
            .filter(event::Column::Kind.is_in(kinds.iter().copied()))
            .order_by_asc(event::Column::Seq)
            .limit(stretch)
            .all(connection)
            .await?;
        let last = (rows.len() as u64) < stretch;
        for row in rows {
            bytes += row.payload.len();
            if bytes > limits.bytes && !page.is_empty() {
                return Ok(page);
            }
            since = row.seq;
            page.push(row);
        }
        if last {
            break;
        }
    }
    Ok(page)
}

/// The place of an event, if it is among the newest `newest` of its stream: ids have no index.
///
/// # Errors
/// If the database can't be reached.
pub async fn find_new<C: ConnectionTrait>(
    connection: &C,
    stream: &str,
    id: Uuid,
    newest: i64,
) -> Result<Option<i64>, StoreError> {
    let Some(stream) = streams::find(connection, stream).await? else { return Ok(None) };
    Ok(event::Entity::find()
        .select_only()
        .column(event::Column::Seq)
        .filter(event::Column::StreamId.eq(stream.id))
        .filter(event::Column::Seq.gt(stream.last_seq - newest))
        .filter(event::Column::Id.eq(id))
        .into_tuple()
        .one(connection)
        .await?)
}

/// The last events of these kinds in a stream up to `seq`, the last one first, as far as `bytes` of payloads go; and whether
/// they are all.
///
/// # Errors
/// If the database can't be reached.
pub async fn last_of_kinds<C: ConnectionTrait>(
    connection: &C,
    stream: &str,
    kinds: &[&str],
    seq: i64,
    bytes: usize,
) -> Result<(Vec<EventRow>, bool), StoreError> {
    let Some(stream) = streams::find(connection, stream).await? else { return Ok((Vec::new(), true)) };
    let (mut found, mut taken, mut before) = (Vec::new(), 0, seq.saturating_add(1));
    loop {
        let rows = event::Entity::find()
            .filter(event::Column::StreamId.eq(stream.id))
            .filter(event::Column::Seq.lt(before))
            .filter(event::Column::Kind.is_in(kinds.iter().copied()))
            .order_by_desc(event::Column::Seq)
            .limit(if bytes == 0 { 1 } else { STRETCH_OF_KINDS })
            .all(connection)
            .await?;
        let last = bytes > 0 && (rows.len() as u64) < STRETCH_OF_KINDS;
        for row in rows {
            taken += row.payload.len();
            if taken > bytes && !found.is_empty() {
                return Ok((found, false));
            }
            before = row.seq;
            found.push(row);
        }
        if last || bytes == 0 {
            return Ok((found, last));
        }
    }
}
