//! What the hub's metrics ask of runs and agents, and of the log. Each question is answered from an index.

use sea_orm::sea_query::{Alias, Expr, ExprTrait, JoinType, Query};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect};
use uuid::Uuid;

use super::StoreError;
use super::entity::{agent, approval, event, run, stream};

/// What goes on, and what came of it lately.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Figures {
    /// Runs that run.
    pub running: u64,
    /// Those of them that wait for an approval.
    pub waiting: u64,
    /// Runs that finished since the given time.
    pub finished: u64,
    /// How long those took on average, in milliseconds.
    pub average_duration: u64,
    /// Agents of the companion whose machine is there.
    pub agents_online: u64,
}

/// The figures, where the last ones begin at `since`.
///
/// # Errors
/// If the database can't be reached.
pub async fn figures<C: ConnectionTrait>(connection: &C, since: i64) -> Result<Figures, StoreError> {
    let running = run::Entity::find().filter(run::Column::Status.eq("RUNNING")).count(connection).await?;
    let online = agent::Entity::find().filter(agent::Column::Status.eq("online")).count(connection).await?;
    let (finished, average_duration) = finished(connection, since).await?;
    let waiting = waiting(connection).await?;
    Ok(Figures { running, waiting, finished, average_duration, agents_online: online })
}

async fn waiting<C: ConnectionTrait>(connection: &C) -> Result<u64, StoreError> {
    let of_run = Expr::col((run::Entity, run::Column::Id)).equals((approval::Entity, approval::Column::RunId));
    let mut select = Query::select();
    select
        .expr_as(Expr::col((approval::Entity, approval::Column::RunId)).count_distinct(), Alias::new("runs"))
        .from(approval::Entity)
        .join(JoinType::InnerJoin, run::Entity, of_run)
        .and_where(Expr::col((approval::Entity, approval::Column::Status)).eq("PENDING"))
        .and_where(Expr::col((run::Entity, run::Column::Status)).eq("RUNNING"));
    let row = connection.query_one(&select).await?;
    let runs: i64 = row.map_or(Ok(0), |row| row.try_get("", "runs"))?;
    Ok(runs.unsigned_abs())
}

async fn finished<C: ConnectionTrait>(connection: &C, since: i64) -> Result<(u64, u64), StoreError> {
    let mut select = Query::select();
    select
        .expr_as(Expr::col(run::Column::Id).count(), Alias::new("runs"))
        // Summed up as it is: the two databases average integers differently.
        .expr_as(Expr::cust("CAST(COALESCE(SUM(ended_at - started_at), 0) AS BIGINT)"), Alias::new("took"))
        .from(run::Entity)
        .and_where(Expr::col(run::Column::Status).eq("FINISHED"))
        .and_where(Expr::col(run::Column::EndedAt).gte(since));
    let Some(row) = connection.query_one(&select).await? else { return Ok((0, 0)) };
    let (runs, took): (i64, i64) = (row.try_get("", "runs")?, row.try_get("", "took")?);
    Ok((runs.unsigned_abs(), took.checked_div(runs).unwrap_or(0).unsigned_abs()))
}

/// Streams, or runs, looked at with one query.
const STREAMS: u64 = 500;

/// Events read with one query.
const EVENTS: u64 = 5_000;

/// Tells `count` the id and the time of every event of this kind that was written on a channel since the given time.
///
/// # Errors
/// If the database can't be reached.
pub async fn said<C: ConnectionTrait>(
    connection: &C,
    kind: &str,
    since: i64,
    mut count: impl FnMut(Uuid, i64),
) -> Result<(), StoreError> {
    let mut after = 0;
    loop {
        let channels = stream::Entity::find()
            .filter(stream::Column::Id.gt(after))
            .filter(stream::Column::Name.like("channels/%"))
            .order_by_asc(stream::Column::Id)
            .limit(STREAMS)
            .all(connection)
            .await?;
        let Some(last) = channels.last() else { return Ok(()) };
        after = last.id;
        for channel in &channels {
            let mut from = first_since(connection, channel, since).await?;
            while from <= channel.last_seq {
                let rows: Vec<(i64, Uuid, i64)> = recent(channel, from)
                    .filter(event::Column::Kind.eq(kind))
                    .select_only()
                    .columns([event::Column::Seq, event::Column::Id, event::Column::CreatedAt])
                    .into_tuple()
                    .all(connection)
                    .await?;
                rows.iter().for_each(|(_, id, at)| count(*id, *at));
                from = next(channel, rows.len(), rows.last().map(|row| row.0));
            }
        }
    }
}

/// Tells `count` the kind and the time of every event that was written since the given time in the timeline of a run that
/// runs, or that ended only then.
///
/// # Errors
/// If the database can't be reached.
pub async fn done<C: ConnectionTrait>(
    connection: &C,
    since: i64,
    mut count: impl FnMut(&str, i64),
) -> Result<(), StoreError> {
    let running = run::Column::Status.eq("RUNNING").and(run::Column::LastEventAt.gte(since));
    let ended = run::Column::Status.is_in(["FINISHED", "FAILED", "STOPPED"]).and(run::Column::EndedAt.gte(since));
    let runs: Vec<Uuid> = run::Entity::find()
        .filter(running.or(ended))
        .select_only()
        .column(run::Column::Id)
        .into_tuple()
        .all(connection)
        .await?;
    for runs in runs.chunks(usize::try_from(STREAMS).unwrap_or(usize::MAX)) {
        let names = runs.iter().map(|run| format!("runs/{run}"));
        for timeline in stream::Entity::find().filter(stream::Column::Name.is_in(names)).all(connection).await? {
            let mut from = first_since(connection, &timeline, since).await?;
            while from <= timeline.last_seq {
                let rows: Vec<(i64, String, i64)> = recent(&timeline, from)
                    .select_only()
                    .columns([event::Column::Seq, event::Column::Kind, event::Column::CreatedAt])
                    .into_tuple()
                    .all(connection)
                    .await?;
                rows.iter().for_each(|(_, kind, at)| count(kind, *at));
                from = next(&timeline, rows.len(), rows.last().map(|row| row.0));
            }
        }
    }
    Ok(())
}

fn recent(stream: &stream::Model, from: i64) -> sea_orm::Select<event::Entity> {
    event::Entity::find()
        .filter(event::Column::StreamId.eq(stream.id))
        .filter(event::Column::Seq.gte(from))
        .order_by_asc(event::Column::Seq)
        .limit(EVENTS)
}

/// Where the next query goes on.
fn next(stream: &stream::Model, rows: usize, last: Option<i64>) -> i64 {
    let full = rows as u64 == EVENTS;
    last.filter(|_| full).unwrap_or(stream.last_seq) + 1
}

/// The first event of a stream that was written at or after `at`. Looked for by halves: events are in the order of time, and
/// only their places are in an index.
async fn first_since<C: ConnectionTrait>(connection: &C, stream: &stream::Model, at: i64) -> Result<i64, StoreError> {
    let (mut first, mut end) = (stream.first_seq, stream.last_seq + 1);
    // Most have been quiet for longer, and the last event tells.
    let mut look = stream.last_seq;
    while first < end {
        let written: Option<i64> = event::Entity::find_by_id((stream.id, look))
            .select_only()
            .column(event::Column::CreatedAt)
            .into_tuple()
            .one(connection)
            .await?;
        // One that is trimmed meanwhile is old.
        if written.is_some_and(|written| written >= at) {
            end = look;
        } else {
            first = look + 1;
        }
        look = first + (end - first) / 2;
    }
    Ok(first)
}
