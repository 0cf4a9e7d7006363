//! How faults below become refusals above.
//!
//! Services return [`ApiError`] for what a caller did wrong, because those codes are the contract. Faults of the
//! database pass through here: their cause is logged once and never told to the caller.

use std::time::Duration;

use flightdeck_api::generated::errors::ErrorCode;
use flightdeck_api::support::ApiError;

use crate::log::WriteError;
use crate::store::StoreError;

/// When a caller should come back while the database is away.
const COME_BACK: Duration = Duration::from_secs(1);

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        from_store(&error)
    }
}

impl From<WriteError> for ApiError {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::NonceReused => Self::new(ErrorCode::NonceReused),
            WriteError::Store(cause) => from_store(&cause),
            WriteError::TimedOut | WriteError::Busy | WriteError::Closed => {
                Self::new(ErrorCode::Unavailable).retry_after(COME_BACK)
            }
        }
    }
}

fn from_store(error: &StoreError) -> ApiError {
    let cause = error as &dyn std::error::Error;
    match error {
        StoreError::Unavailable(_) => {
            tracing::warn!(error = cause, "the database is not available");
            ApiError::new(ErrorCode::Unavailable).retry_after(COME_BACK)
        }
        StoreError::Conflict(_) => ApiError::new(ErrorCode::Unavailable).retry_after(COME_BACK),
        StoreError::Refused(_) => {
            tracing::error!(error = cause, "the database refused a statement");
            ApiError::new(ErrorCode::Internal)
        }
    }
}
