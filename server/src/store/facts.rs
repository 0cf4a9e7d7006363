//! What is true of the whole database.

use sea_orm::sea_query::{Expr, OnConflict, Query};
use sea_orm::{ConnectionTrait, EntityTrait};

use super::StoreError;
use super::entity::fact;

/// The value of a fact; if there is none yet, `value` becomes it. Whoever comes first decides for all servers.
///
/// # Errors
/// If the database can't be reached.
pub async fn settle<C: ConnectionTrait>(connection: &C, name: &str, value: &str) -> Result<String, StoreError> {
    let mut insert = Query::insert();
    insert.into_table(fact::Entity).columns([fact::Column::Name, fact::Column::Value]);
    insert.values_panic([Expr::val(name), Expr::val(value)]);
    insert.on_conflict(OnConflict::new().do_nothing().to_owned());
    connection.execute(&insert).await?;
    let row = fact::Entity::find_by_id(name.to_owned()).one(connection).await?;
    Ok(row.map_or_else(|| value.to_owned(), |row| row.value))
}

/// The value of a fact that is a number; 0 if there is none yet.
///
/// # Errors
/// If the database can't be reached.
pub async fn number<C: ConnectionTrait>(connection: &C, name: &str) -> Result<i64, StoreError> {
    let row = fact::Entity::find_by_id(name.to_owned()).one(connection).await?;
    Ok(row.and_then(|row| row.value.parse().ok()).unwrap_or(0))
}

/// Raises a fact that is a number to `value`, unless it is higher already.
///
/// # Errors
/// If the database can't be reached.
pub async fn raise<C: ConnectionTrait>(connection: &C, name: &str, value: i64) -> Result<(), StoreError> {
    let higher = "CASE WHEN CAST(facts.value AS BIGINT) < CAST(excluded.value AS BIGINT) \
                  THEN excluded.value ELSE facts.value END";
    let mut insert = Query::insert();
    insert.into_table(fact::Entity).columns([fact::Column::Name, fact::Column::Value]);
    insert.values_panic([Expr::val(name), Expr::val(value.to_string())]);
    insert
        .on_conflict(OnConflict::column(fact::Column::Name).value(fact::Column::Value, Expr::cust(higher)).to_owned());
    connection.execute(&insert).await?;
    Ok(())
}
