//! Nonces that have been used, so that a restart or another server does not forget them.

use sea_orm::sea_query::{Expr, OnConflict, Query};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

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

/// Forgets a few thousand nonces signed before `before`, the oldest first, and says whether there are more: whoever
/// writes meanwhile should not wait for millions.
///
/// # Errors
/// If the database can't be reached.
pub async fn prune<C: ConnectionTrait>(connection: &C, before: i64) -> Result<bool, StoreError> {
    let next: Option<i64> = nonce::Entity::find()
        .select_only()
        .column(nonce::Column::SignedAt)
        .filter(nonce::Column::SignedAt.lt(before))
        .order_by_asc(nonce::Column::SignedAt)
        .offset(5_000)
        .limit(1)
        .into_tuple()
        .one(connection)
        .await?;
    // `+ 1`, so that a slice is never empty, however many share one millisecond.
    let slice = next.map_or(before, |signed_at| signed_at + 1);
    nonce::Entity::delete_many().filter(nonce::Column::SignedAt.lt(slice)).exec(connection).await?;
    Ok(next.is_some())
}
