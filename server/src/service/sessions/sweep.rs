//! Ending sessions whose time is up, or whose device is revoked.

use flightdeck_api::generated::errors::ErrorCode;

use super::Sessions;
use crate::store::sessions;

/// Between two rounds, in milliseconds.
const EVERY: i64 = 5_000;

/// Sessions ended in one round.
const SESSIONS: u64 = 500;

/// Works until dropped.
pub async fn sweep(sessions: Sessions) {
    let clock = sessions.0.clock.clone();
    loop {
        clock.sleep_until(clock.now() + EVERY).await;
        let due = match sessions::due(sessions.0.store.reader(), clock.now(), SESSIONS).await {
            Ok(due) => due,
            Err(error) => {
                tracing::warn!(%error, "could not look for sessions that are over; will try again");
                continue;
            }
        };
        for session_id in due {
            match sessions.end(session_id).await {
                Ok(()) => {}
                // Another server was faster.
                Err(error) if error.code == ErrorCode::SessionNotFound => {}
                Err(error) => tracing::warn!(%session_id, %error, "could not end a session; will try again"),
            }
        }
    }
}
