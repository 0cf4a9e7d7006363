//! Nonces that have been used, so that a restart or another server does not forget them.

use sea_orm::sea_query::{Expr, OnConflict, Query};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter};

use super::StoreError;
use super::entity::nonce;

/// A used nonce: when its request was signed, by the signer's clock, and a digest of workspace and nonce.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Nonce {
    pub signed_at: i64,
    pub digest: [u8; 16],
}

/// Rows in one INSERT.
const ROWS: usize = 1_000;

/// Writes nonces down, and says whether all of them were new. If not, the transaction is of no use any more.
///
/// # Errors
/// If the database can't be reached.
pub async fn insert<C: ConnectionTrait>(connection: &C, nonces: &[Nonce]) -> Result<bool, StoreError> {
    for rows in nonces.chunks(ROWS) {
        let mut insert = Query::insert();
        insert.into_table(nonce::Entity).columns([nonce::Column::SignedAt, nonce::Column::Digest]);
        for row in rows {
            insert.values_panic([Expr::val(row.signed_at), Expr::val(row.digest.as_slice())]);
        }
        insert.on_conflict(OnConflict::new().do_nothing().to_owned());
        if connection.execute(&insert).await?.rows_affected() < rows.len() as u64 {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Every nonce signed at or after `since`.
///
/// # Errors
/// If the database can't be reached.
pub async fn since<C: ConnectionTrait>(connection: &C, since: i64) -> Result<Vec<Nonce>, StoreError> {
    Ok(nonce::Entity::find()
        .filter(nonce::Column::SignedAt.gte(since))
        .all(connection)
        .await?
        .into_iter()
        .filter_map(|row| Some(Nonce { signed_at: row.signed_at, digest: row.digest.try_into().ok()? }))
        .collect())
}

/// Forgets nonces signed before `before`: their time stamps no longer pass.
///
/// # Errors
/// If the database can't be reached.
pub async fn prune<C: ConnectionTrait>(connection: &C, before: i64) -> Result<u64, StoreError> {
    Ok(nonce::Entity::delete_many().filter(nonce::Column::SignedAt.lt(before)).exec(connection).await?.rows_affected)
}
