//! The terminals of this server.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use uuid::Uuid;

use super::{OnDisconnect, RunError, Terminal, pty};
use crate::clock::Clock;
use crate::service::agents::process::Supervisor;

/// Terminals by the id of whom they belong to. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Terminals(Arc<Parts>);

struct Parts {
    supervisor: Supervisor,
    clock: Arc<dyn Clock>,
    on_disconnect: OnDisconnect,
    /// `None` once all are closed.
    open: Mutex<Option<HashMap<Uuid, Terminal>>>,
}

impl fmt::Debug for Parts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Terminals").field("open", &self.open).finish_non_exhaustive()
    }
}

impl Terminals {
    #[must_use]
    pub fn new(supervisor: Supervisor, clock: Arc<dyn Clock>, on_disconnect: OnDisconnect) -> Self {
        pty::heed_signals();
        Self(Arc::new(Parts { supervisor, clock, on_disconnect, open: Mutex::new(Some(HashMap::new())) }))
    }

    /// The terminal of `id`, which begins to exist when it is first asked for.
    ///
    /// # Errors
    /// [`RunError::Closed`] after [`Terminals::close_all`].
    pub fn open(&self, id: Uuid) -> Result<Terminal, RunError> {
        let Parts { supervisor, clock, on_disconnect, open } = &*self.0;
        let mut open = open.lock();
        let terminals = open.as_mut().ok_or(RunError::Closed)?;
        let start = || Terminal::start(supervisor.clone(), clock.clone(), *on_disconnect);
        Ok(terminals.entry(id).or_insert_with(start).clone())
    }

    /// The terminal of `id`, if it was opened.
    #[must_use]
    pub fn get(&self, id: Uuid) -> Option<Terminal> {
        self.0.open.lock().as_ref()?.get(&id).cloned()
    }

    /// Whose terminals are open.
    #[must_use]
    pub fn ids(&self) -> Vec<Uuid> {
        self.0.open.lock().as_ref().map_or_else(Vec::new, |open| open.keys().copied().collect())
    }

    /// Closes the terminal of `id`, if there is one; completes when nothing of it is left.
    pub async fn close(&self, id: Uuid) {
        let terminal = self.0.open.lock().as_mut().and_then(|terminals| terminals.remove(&id));
        if let Some(terminal) = terminal {
            terminal.close().await;
        }
    }

    /// Closes all of them, and opens no more.
    pub async fn close_all(&self) {
        let terminals = self.0.open.lock().take().unwrap_or_default();
        futures_util::future::join_all(terminals.values().map(Terminal::close)).await;
    }
}
