//! Ending sessions whose time is up, or whose device is revoked.

use std::sync::Arc;

use flightdeck_api::generated::errors::ErrorCode;
use tokio::sync::Notify;

use super::Sessions;
use crate::log::{CommitListener, Committed};
use crate::service::streams::revokes_somebody;
use crate::store::sessions;

/// Between two rounds, in milliseconds.
const EVERY: i64 = 5_000;

/// Sessions ended in one round.
const SESSIONS: u64 = 500;

/// Rings when a device is revoked, or may have been.
#[derive(Debug, Clone, Default)]
pub struct Alarm(Arc<Notify>);

impl CommitListener for Alarm {
    fn committed(&self, events: &[Committed]) {
        if events.iter().any(|committed| revokes_somebody(&committed.event.kind)) {
            self.0.notify_one();
        }
    }

    fn missed(&self) {
        self.0.notify_one();
    }
}

/// Works until dropped.
pub async fn sweep(sessions: Sessions, alarm: Alarm) {
    let clock = sessions.0.clock.clone();
    loop {
        tokio::select! {
            () = clock.sleep_until(clock.now() + EVERY) => {}
            () = alarm.0.notified() => {}
        }
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
