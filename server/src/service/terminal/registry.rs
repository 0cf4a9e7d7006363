//! The terminals of this server.

use std::sync::Arc;

use uuid::Uuid;

use super::{OnDisconnect, RunError, Terminal};
use crate::clock::Clock;
use crate::service::agents::process::Supervisor;

/// Terminals by the id of whom they belong to. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Terminals {}

impl Terminals {
    #[must_use]
    pub fn new(_supervisor: Supervisor, _clock: Arc<dyn Clock>, _on_disconnect: OnDisconnect) -> Self {
        Self {}
    }

    /// The terminal of `id`, which begins to exist when it is first asked for.
    ///
    /// # Errors
    /// [`RunError::Closed`] after [`Terminals::close_all`].
    pub fn open(&self, _id: Uuid) -> Result<Terminal, RunError> {
        Err(RunError::Closed)
    }

    /// The terminal of `id`, if it was opened.
    #[must_use]
    pub fn get(&self, _id: Uuid) -> Option<Terminal> {
        None
    }

    /// Whose terminals are open.
    #[must_use]
    pub fn ids(&self) -> Vec<Uuid> {
        Vec::new()
    }

    /// Closes the terminal of `id`, if there is one; completes when nothing of it is left.
    pub async fn close(&self, _id: Uuid) {}

    /// Closes all of them, and opens no more.
    pub async fn close_all(&self) {}
}
