//! What the sockets have in common that follow the log.

use std::time::Duration;

use flightdeck_api::generated::sockets::CloseCode;
use flightdeck_api::generated::types;
use flightdeck_api::support::ApiError;
use uuid::Uuid;

use crate::log::GapReason;
use crate::service::streams;
use crate::store::StoreError;

/// Before history is read again, when the database is away.
const PAUSE: Duration = Duration::from_millis(500);

/// How often that is tried before the client is sent away.
const ATTEMPTS: u8 = 60;

/// Failures in a row to read history.
#[derive(Debug, Default)]
pub(super) struct Failures(u8);

impl Failures {
    /// Something could be read.
    pub(super) const fn end(&mut self) {
        self.0 = 0;
    }

    /// History could not be read: waits a while, and gives up at last.
    pub(super) async fn add(&mut self, error: StoreError) -> Result<(), CloseCode> {
        self.0 += 1;
        let refused = matches!(error, StoreError::Refused(_));
        if self.0 == 1 || refused {
            // Logs it.
            let _ = ApiError::from(error);
        }
        if refused {
            return Err(CloseCode::Internal);
        }
        if self.0 >= ATTEMPTS {
            return Err(CloseCode::Overloaded);
        }
        // Boxed: a connection has no room to spare for what hardly ever happens.
        Box::pin(tokio::time::sleep(PAUSE)).await;
        Ok(())
    }
}

/// Ends a device's connection when it is revoked.
pub(super) fn must_stay(device_id: Uuid, kind: &str, payload: &str) -> Result<(), CloseCode> {
    if streams::revokes(device_id, kind, payload) { Err(CloseCode::CredentialInvalid) } else { Ok(()) }
}

/// Why events are missing, as all protocols call it.
pub(super) const fn gap_reason(reason: GapReason) -> types::GapReason {
    match reason {
        GapReason::Trimmed => types::GapReason::Trimmed,
        GapReason::Ahead => types::GapReason::Ahead,
    }
}
