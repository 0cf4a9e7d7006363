//! The log: append, read, follow. Everything that happens is an event in a stream, with a gapless `seq`.
//!
//! All writing goes through one writer per process, which commits what is queued in one transaction: an answer comes
//! after its commit, and the cost of that commit is shared. What is committed is told to the [`CommitListener`]s, in
//! order. They are readers like any other: what they miss, the database still has.
//!
//! Rules do not belong here: services decide, and hand over what is to be written.

mod batch;
mod follow;
mod job;
mod writer;

use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::store::events::{self, EventRow, NewEvent};
use crate::store::idempotency::Claim;
use crate::store::nonces::Nonce;
use crate::store::runs::RunChange;
use crate::store::{Store, StoreError};

pub use follow::Following;
pub use job::Work;

/// Writes that may wait. More than that many mean that the database is away; then callers are told at once.
const QUEUE: usize = 32_768;

/// The stream of a run's timeline.
#[must_use]
pub fn run_stream(run_id: Uuid) -> String {
    format!("runs/{run_id}")
}

/// The stream of what happens to a workspace itself: devices that come and go.
#[must_use]
pub fn workspace_stream(workspace_id: Uuid) -> String {
    format!("workspaces/{workspace_id}")
}

/// The stream of a pairing.
#[must_use]
pub fn pairing_stream(pairing_id: Uuid) -> String {
    format!("pairings/{pairing_id}")
}

/// An event that has been committed.
#[derive(Debug, Clone)]
pub struct Committed {
    pub event: Arc<NewEvent>,
    pub seq: i64,
}

/// Is told what has been committed, in order, before the writers get their answers.
pub trait CommitListener: Send + Sync {
    /// Must be quick: the writer waits for it.
    fn committed(&self, events: &[Committed]);
}

/// An agent's event, on its way into the log.
#[derive(Debug, Clone)]
pub struct Append {
    pub event: Arc<NewEvent>,
    pub run: RunChange,
    pub claim: Option<Claim>,
}

/// What became of an [`Append`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Appended {
    /// It has its place.
    At { event_id: Uuid, seq: i64 },
    /// The run belongs to another workspace.
    ForeignRun,
    /// The idempotency key belongs to another request.
    KeyReused,
}

/// Why a write did not happen.
#[derive(Debug, Clone, thiserror::Error)]
pub enum WriteError {
    /// The nonce has been used, as another server knows.
    #[error("the nonce has been used before")]
    NonceReused,
    /// The database could not do it. Shared, because every write of a transaction fails with it.
    #[error("the write could not be committed")]
    Store(#[source] Arc<StoreError>),
    /// The database did not answer in time. Whether the write happened is not known.
    #[error("the database did not answer in time")]
    TimedOut,
    /// Too much is queued already.
    #[error("too many writes are waiting")]
    Busy,
    /// The server is shutting down.
    #[error("the log is closed")]
    Closed,
}

impl WriteError {
    /// Whether trying again later may work.
    fn is_unavailable(&self) -> bool {
        match self {
            Self::NonceReused => false,
            Self::Store(cause) => cause.is_unavailable(),
            Self::TimedOut | Self::Busy | Self::Closed => true,
        }
    }
}

impl From<StoreError> for WriteError {
    fn from(error: StoreError) -> Self {
        Self::Store(Arc::new(error))
    }
}

/// The log of this process. Cheap to clone.
#[derive(Clone)]
pub struct Log {
    store: Store,
    requests: mpsc::Sender<writer::Request>,
    follows: Arc<follow::Follows>,
}

impl Log {
    /// Starts the writer. It ends when every clone of the log is gone, after writing what is queued.
    #[must_use]
    pub fn start(store: Store, mut listeners: Vec<Arc<dyn CommitListener>>) -> (Self, JoinHandle<()>) {
        let follows = Arc::new(follow::Follows::default());
        listeners.push(follows.clone());
        let (requests, queue) = mpsc::channel(QUEUE);
        let writer = tokio::spawn(writer::run(store.clone(), queue, listeners));
        (Self { store, requests, follows }, writer)
    }

    /// Appends an agent's event and moves its run.
    ///
    /// # Errors
    /// If it could not be committed.
    pub async fn append(&self, append: Append, nonce: Option<NonceGuard>) -> Result<Appended, WriteError> {
        let (reply, answer) = oneshot::channel();
        self.send(nonce.map(NonceGuard::take), writer::Task::Append { append, reply })?;
        answer.await.map_err(|_| WriteError::Closed)?
    }

    /// Does `work` inside the writer's transaction, and returns what it returned once that is committed. An error that
    /// `work` returns takes back what it did. It may run more than once, if the transaction it was in failed.
    ///
    /// # Errors
    /// What `work` returned, or that it could not be committed.
    pub async fn transact<T, E, F>(&self, nonce: Option<NonceGuard>, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<WriteError> + From<StoreError> + Send + 'static,
        F: for<'w> Fn(&'w mut Work<'_>) -> BoxFuture<'w, Result<T, E>> + Send + 'static,
    {
        let (job, answer) = job::Typed::new(work);
        self.send(nonce.map(NonceGuard::take), writer::Task::Job(Box::new(job)))?;
        answer.await.unwrap_or_else(|_| Err(WriteError::Closed.into()))
    }

    /// A nonce that will be remembered in any case: together with the write it is handed to, or by itself when dropped.
    #[must_use]
    pub fn guard_nonce(&self, nonce: Nonce) -> NonceGuard {
        NonceGuard { nonce: Some(nonce), requests: self.requests.clone() }
    }

    /// The events of a stream after `since`, at most `limit`.
    ///
    /// # Errors
    /// If the database can't be reached.
    pub async fn read(&self, stream: &str, since: i64, limit: u64) -> Result<Vec<EventRow>, StoreError> {
        events::read(self.store.reader(), stream, since, limit).await
    }

    /// Tells when something is appended to a stream from now on. Follow first, then read: nothing falls in between.
    #[must_use]
    pub fn follow(&self, stream: &str) -> Following {
        self.follows.follow(stream)
    }

    fn send(&self, nonce: Option<Nonce>, task: writer::Task) -> Result<(), WriteError> {
        self.requests.try_send(writer::Request { nonce, task }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => WriteError::Busy,
            mpsc::error::TrySendError::Closed(_) => WriteError::Closed,
        })
    }
}

/// A used nonce on its way into the database; see [`Log::guard_nonce`].
#[derive(Debug)]
pub struct NonceGuard {
    nonce: Option<Nonce>,
    requests: mpsc::Sender<writer::Request>,
}

impl NonceGuard {
    fn take(mut self) -> Nonce {
        self.nonce.take().unwrap_or_else(|| unreachable!("taken once, because it takes itself"))
    }
}

impl Drop for NonceGuard {
    fn drop(&mut self) {
        if let Some(nonce) = self.nonce.take() {
            // If the writer is gone, so is the server that could be asked again. If it is swamped, the nonce is kept in
            // memory only, and a restart forgets it.
            let _ = self.requests.try_send(writer::Request { nonce: Some(nonce), task: writer::Task::Nothing });
        }
    }
}

#[cfg(test)]
mod tests;
