//! Answering a repeated request as before.

use flightdeck_api::generated::errors::ErrorCode;
use flightdeck_api::support::{ApiError, Context};
use sha2::{Digest, Sha256};

use crate::log::Work;
use crate::store::idempotency::{self, Claim, Known};

/// How long answers to keyed requests are remembered, in milliseconds.
const LIFETIME: i64 = 24 * 60 * 60 * 1_000;

/// Longer keys are refused.
const MAX_KEY: usize = 200;

/// The claim that a request makes with its `Idempotency-Key`, if it has one. `caller` keeps the keys of different
/// callers apart.
///
/// # Errors
/// `invalid_request`, for a key that is empty, too long or not visible ASCII.
pub fn claim(context: &Context, operation: &str, caller: &str) -> Result<Option<Claim>, ApiError> {
    let Some(value) = context.headers().get("idempotency-key") else { return Ok(None) };
    let key = value
        .to_str()
        .ok()
        .filter(|key| (1..=MAX_KEY).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic()));
    let Some(key) = key else {
        return Err(ApiError::new(ErrorCode::InvalidRequest)
            .detail("Idempotency-Key", format!("must be 1 to {MAX_KEY} visible ASCII characters")));
    };
    let mut hasher = Sha256::new();
    hasher.update(context.path().as_bytes());
    hasher.update([0]);
    hasher.update(context.body());
    Ok(Some(Claim {
        scope: format!("{operation}:{caller}"),
        key: key.to_owned(),
        request_digest: hasher.finalize().into(),
        lifetime: LIFETIME,
    }))
}

/// What the request was answered before, if it was.
///
/// # Errors
/// `idempotency_key_reused`, if the key belongs to another request.
pub(super) async fn known(work: &Work<'_>, claim: Option<&Claim>) -> Result<Option<Vec<u8>>, ApiError> {
    let Some(claim) = claim else { return Ok(None) };
    match idempotency::look_up(work.tx().connection(), &[claim]).await?.pop().flatten() {
        None => Ok(None),
        Some(Known::Answered(answer)) => Ok(Some(answer)),
        Some(Known::Reused) => Err(ErrorCode::IdempotencyKeyReused.into()),
    }
}

/// Remembers what the request is answered.
pub(super) async fn remember(work: &Work<'_>, claim: Option<&Claim>, answer: &[u8], now: i64) -> Result<(), ApiError> {
    match claim {
        Some(claim) => Ok(idempotency::insert(work.tx().connection(), &[(claim, answer)], now).await?),
        None => Ok(()),
    }
}

/// Forgets a request that came to nothing.
pub(super) async fn forget(work: &Work<'_>, claim: &Claim) -> Result<(), ApiError> {
    Ok(idempotency::forget(work.tx().connection(), claim).await?)
}
