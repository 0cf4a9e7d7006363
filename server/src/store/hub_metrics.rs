//! What the hub's metrics ask of runs and agents. Each question is answered from an index.

use sea_orm::sea_query::{Alias, Expr, ExprTrait, JoinType, Query};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, PaginatorTrait, QueryFilter};

use super::StoreError;
use super::entity::{agent, approval, run};

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
