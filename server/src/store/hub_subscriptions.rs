//! The channels that agents are on, also while they are away, and what each agent has acknowledged there.

use sea_orm::sea_query::{OnConflict, Value};
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, IntoActiveModel, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect,
    Statement,
};

use super::StoreError;
use super::entity::hub_subscription;

pub use super::entity::hub_subscription::Model as HubSubscriptionRow;

/// Rows in one statement.
const ROWS: usize = 500;

/// The channels of an agent, the one that it used last first, at most `limit`.
///
/// # Errors
/// If the database can't be reached.
pub async fn of_agent<C: ConnectionTrait>(
    connection: &C,
    agent_id: &str,
    limit: u64,
) -> Result<Vec<HubSubscriptionRow>, StoreError> {
    Ok(hub_subscription::Entity::find()
        .filter(hub_subscription::Column::AgentId.eq(agent_id))
        .order_by_desc(hub_subscription::Column::UpdatedAt)
        .order_by_asc(hub_subscription::Column::Channel)
        .limit(limit)
        .all(connection)
        .await?)
}

/// An agent's place on a channel, if it is on it.
///
/// # Errors
/// If the database can't be reached.
pub async fn find<C: ConnectionTrait>(
    connection: &C,
    agent_id: &str,
    channel: &str,
) -> Result<Option<HubSubscriptionRow>, StoreError> {
    let key = (agent_id.to_owned(), channel.to_owned());
    Ok(hub_subscription::Entity::find_by_id(key).one(connection).await?)
}

/// On how many channels an agent is.
///
/// # Errors
/// If the database can't be reached.
pub async fn count<C: ConnectionTrait>(connection: &C, agent_id: &str) -> Result<u64, StoreError> {
    let rows = hub_subscription::Entity::find().filter(hub_subscription::Column::AgentId.eq(agent_id));
    Ok(rows.count(connection).await?)
}

/// Puts agents on channels. Where one is already, it stays as it is.
///
/// # Errors
/// If the database can't be reached.
pub async fn insert<C: ConnectionTrait>(connection: &C, rows: Vec<HubSubscriptionRow>) -> Result<(), StoreError> {
    for rows in rows.chunks(ROWS) {
        let rows = rows.iter().cloned().map(IntoActiveModel::into_active_model);
        let there = [hub_subscription::Column::AgentId, hub_subscription::Column::Channel];
        hub_subscription::Entity::insert_many(rows)
            .on_conflict(OnConflict::columns(there).do_nothing().to_owned())
            .exec_without_returning(connection)
            .await?;
    }
    Ok(())
}

/// Writes down what has been acknowledged. A channel that the agent has left meanwhile stays left.
///
/// # Errors
/// If the database can't be reached.
pub async fn save<C: ConnectionTrait>(connection: &C, rows: &[HubSubscriptionRow]) -> Result<(), StoreError> {
    for rows in rows.chunks(ROWS) {
        let lines: Vec<String> = (0..rows.len())
            .map(|row| {
                format!("(${}, ${}, ${}, ${}, ${})", row * 5 + 1, row * 5 + 2, row * 5 + 3, row * 5 + 4, row * 5 + 5)
            })
            .collect();
        let values = rows.iter().flat_map(|row| {
            let HubSubscriptionRow { agent_id, channel, acknowledged_seq, unacknowledged, updated_at } = row;
            [
                Value::from(agent_id.as_str()),
                Value::from(channel.as_str()),
                Value::from(*acknowledged_seq),
                Value::from(unacknowledged.as_deref()),
                Value::from(*updated_at),
            ]
        });
        // An upsert would bring back what was left.
        let sql = format!(
            "WITH saved (agent_id, channel, acknowledged_seq, unacknowledged, updated_at) AS (VALUES {}) \
             UPDATE hub_subscriptions SET acknowledged_seq = saved.acknowledged_seq, \
             unacknowledged = saved.unacknowledged, updated_at = saved.updated_at FROM saved \
             WHERE hub_subscriptions.agent_id = saved.agent_id AND hub_subscriptions.channel = saved.channel",
            lines.join(", ")
        );
        let backend = connection.get_database_backend();
        connection.execute_raw(Statement::from_sql_and_values(backend, sql, values)).await?;
    }
    Ok(())
}

/// Notes that the agent uses these channels.
///
/// # Errors
/// If the database can't be reached.
pub async fn touch<C: ConnectionTrait>(
    connection: &C,
    agent_id: &str,
    channels: &[String],
    now: i64,
) -> Result<(), StoreError> {
    for channels in channels.chunks(ROWS) {
        hub_subscription::Entity::update_many()
            .col_expr(hub_subscription::Column::UpdatedAt, now.into())
            .filter(hub_subscription::Column::AgentId.eq(agent_id))
            .filter(hub_subscription::Column::Channel.is_in(channels))
            .exec(connection)
            .await?;
    }
    Ok(())
}

/// Takes an agent off channels.
///
/// # Errors
/// If the database can't be reached.
pub async fn forget<C: ConnectionTrait>(connection: &C, agent_id: &str, channels: &[String]) -> Result<(), StoreError> {
    for channels in channels.chunks(ROWS) {
        hub_subscription::Entity::delete_many()
            .filter(hub_subscription::Column::AgentId.eq(agent_id))
            .filter(hub_subscription::Column::Channel.is_in(channels))
            .exec(connection)
            .await?;
    }
    Ok(())
}

/// Forgets what nobody has used since `before`.
///
/// # Errors
/// If the database can't be reached.
pub async fn prune<C: ConnectionTrait>(connection: &C, before: i64) -> Result<(), StoreError> {
    hub_subscription::Entity::delete_many()
        .filter(hub_subscription::Column::UpdatedAt.lt(before))
        .exec(connection)
        .await?;
    Ok(())
}
