//! What keyed requests were answered.

use std::collections::BTreeMap;

use sea_orm::sea_query::{Expr, Query};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter};

use super::StoreError;
use super::entity::idempotency_key;

/// A keyed request. Two requests are the same if their digests are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The operation and the caller: keys of different callers never meet.
    pub scope: String,
    pub key: String,
    pub request_digest: [u8; 32],
    /// For how long the answer is remembered, in milliseconds.
    pub lifetime: i64,
}

/// What is known of a [`Claim`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known {
    /// The same request was answered so.
    Answered(Vec<u8>),
    /// The key belongs to another request.
    Reused,
}

/// What is known of each claim, in the order given.
///
/// # Errors
/// If the database can't be reached.
pub async fn look_up<C: ConnectionTrait>(connection: &C, claims: &[&Claim]) -> Result<Vec<Option<Known>>, StoreError> {
    let mut keys: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for claim in claims {
        keys.entry(&claim.scope).or_default().push(&claim.key);
    }
    let mut rows = Vec::new();
    for (scope, keys) in keys {
        let found = idempotency_key::Entity::find()
            .filter(idempotency_key::Column::Scope.eq(scope))
            .filter(idempotency_key::Column::Key.is_in(keys))
            .all(connection)
            .await?;
        rows.extend(found);
    }
    let known = |claim: &&Claim| {
        let row = rows.iter().find(|row| row.scope == claim.scope && row.key == claim.key)?;
        Some(if row.request_digest == claim.request_digest {
            Known::Answered(row.answer.clone())
        } else {
            Known::Reused
        })
    };
    Ok(claims.iter().map(known).collect())
}

/// Remembers what each claim was answered, from `now` on.
///
/// # Errors
/// If the database can't be reached, or a claim is there already.
pub async fn insert<C: ConnectionTrait>(
    connection: &C,
    answers: &[(&Claim, &[u8])],
    now: i64,
) -> Result<(), StoreError> {
    for rows in answers.chunks(500) {
        let mut insert = Query::insert();
        insert.into_table(idempotency_key::Entity).columns([
            idempotency_key::Column::Scope,
            idempotency_key::Column::Key,
            idempotency_key::Column::RequestDigest,
            idempotency_key::Column::Answer,
            idempotency_key::Column::ForgetAt,
        ]);
        for (claim, answer) in rows {
            insert.values_panic([
                Expr::val(claim.scope.as_str()),
                Expr::val(claim.key.as_str()),
                Expr::val(claim.request_digest.as_slice()),
                Expr::val(*answer),
                Expr::val(now.saturating_add(claim.lifetime)),
            ]);
        }
        connection.execute(&insert).await?;
    }
    Ok(())
}

/// Forgets what a claim was answered.
///
/// # Errors
/// If the database can't be reached.
pub async fn forget<C: ConnectionTrait>(connection: &C, claim: &Claim) -> Result<(), StoreError> {
    idempotency_key::Entity::delete_many()
        .filter(idempotency_key::Column::Scope.eq(claim.scope.as_str()))
        .filter(idempotency_key::Column::Key.eq(claim.key.as_str()))
        .exec(connection)
        .await?;
    Ok(())
}

/// Forgets the answers whose time is over.
///
/// # Errors
/// If the database can't be reached.
pub async fn prune<C: ConnectionTrait>(connection: &C, now: i64) -> Result<u64, StoreError> {
    Ok(idempotency_key::Entity::delete_many()
        .filter(idempotency_key::Column::ForgetAt.lt(now))
        .exec(connection)
        .await?
        .rows_affected)
}
