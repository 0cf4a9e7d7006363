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
