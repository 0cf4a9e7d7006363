//! The log: append, read, follow. Everything that happens is an event in a stream, with a gapless `seq`.
//!
//! All writing goes through one writer per process, which commits what is queued in one transaction: an answer comes
//! after its commit, and the cost of that commit is shared. What is committed is told to the [`CommitListener`]s, in
//! order. They are readers like any other: what they miss, the database still has.
//!
//! Who follows a stream has a [`Reader`]: stored events first, then live ones, without gap or double. Live events reach the
//! readers through the tails (`tail`), fed by one task (`fan_out`) with what this process and others commit.
//!
//! Rules do not belong here: services decide, and hand over what is to be written.

mod batch;
mod fan_out;
mod inbox;
mod job;
mod live;
mod projection;
mod reader;
mod retention;
mod tail;
mod watch;
mod writer;

use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::bus::{Bus, Hearer, Word};
use crate::store::events::{self, EventRow, NewEvent, PageLimits};
use crate::store::idempotency::Claim;
use crate::store::nonces::Nonce;
use crate::store::runs::RunChange;
use crate::store::streams::{self, StreamRow};
use crate::store::{Store, StoreError};
use fan_out::FanOut;
use tail::Tails;

pub use inbox::ReaderLimits;
pub use job::Work;
pub use live::{Encoding, LiveEvent};
pub use projection::Projection;
pub use reader::{GapReason, Item, Reader, Start, Subscription};
pub use retention::{KindRule, Retention, Rule, keep};
pub use watch::Watching;

pub use crate::store::events::Committed;

/// Writes that may wait. More than that many mean that the database is away; then callers are told at once.
const QUEUE: usize = 32_768;

/// Payload bytes after which a page of events ends early, so that a page of large events stays affordable.
const READ_BYTES: usize = 1 << 20;

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

/// Is told what has been committed, in order, before the writers get their answers.
pub trait CommitListener: Send + Sync {
    /// Must be quick: the writer waits for it.
    fn committed(&self, events: &[Committed]);

    /// Another server committed these.
    fn heard(&self, events: &[Committed]) {
        self.committed(events);
    }

    /// Another server committed events of this stream that did not come along.
    fn missed_in(&self, _stream: &str) {}

    /// Something that was committed may not have been told, in any stream: another server's words were lost, or whether a
    /// commit of our own happened is not known.
    fn missed(&self) {}
}

/// An event on its way into the log.
#[derive(Debug, Clone)]
pub struct Append {
    pub event: Arc<NewEvent>,
    /// What it changes about a run, if it is an agent's report.
    pub run: Option<RunChange>,
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

/// The stream of what is asked and answered in a workspace.
#[must_use]
pub fn approvals_stream(workspace_id: Uuid) -> String {
    format!("approvals/{workspace_id}")
}

/// The stream of an agent of the companion.
#[must_use]
pub fn agent_stream(agent_id: Uuid) -> String {
    format!("agents/{agent_id}")
}

/// The stream of a channel of the hub.
#[must_use]
pub fn channel_stream(channel: &str) -> String {
    format!("channels/{channel}")
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

/// What reads the log inside the writer's reach.
#[derive(Default)]
pub struct Readers {
    pub listeners: Vec<Arc<dyn CommitListener>>,
    pub projections: Vec<Arc<dyn Projection>>,
}

/// The log of this process. Cheap to clone.
#[derive(Clone)]
pub struct Log {
    store: Store,
    requests: mpsc::Sender<writer::Request>,
    tails: Arc<Tails>,
    fan_out: FanOut,
    listeners: Arc<[Arc<dyn CommitListener>]>,
}

impl Log {
    /// Starts the writer and the fan-out. They end when every clone of the log is gone, after writing what is queued.
    #[must_use]
    pub fn start(store: Store, bus: Bus, readers: Readers) -> (Self, JoinHandle<()>) {
        let tails = Arc::new(Tails::new(store.clone()));
        let Readers { mut listeners, projections } = readers;
        let fan_out = FanOut::start(tails.clone());
        listeners.push(Arc::new(fan_out.clone()));
        let listeners: Arc<[_]> = listeners.into();
        let (requests, queue) = mpsc::channel(QUEUE);
        let parts = writer::Parts { store: store.clone(), bus, listeners: listeners.clone(), projections };
        let writer = tokio::spawn(writer::run(parts, queue));
        (Self { store, requests, tails, fan_out, listeners }, writer)
    }

    /// What listens to the bus for this log.
    #[must_use]
    pub fn hearer(&self) -> impl Hearer + use<> {
        Others { tails: self.tails.clone(), listeners: self.listeners.clone() }
    }

    /// Appends an event, and moves its run if it is an agent's report.
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
        let reader = self.store.reader();
        let Some(row) = streams::find(reader, stream).await? else { return Ok(Vec::new()) };
        events::page(reader, row.id, since, PageLimits { events: limit, bytes: READ_BYTES }).await
    }

    /// Where a stream begins and ends; `None` if it has no events yet.
    ///
    /// # Errors
    /// If the database can't be reached.
    pub async fn extent(&self, stream: &str) -> Result<Option<StreamRow>, StoreError> {
        streams::find(self.store.reader(), stream).await
    }

    /// Tells when something is appended to a stream from now on. Watch first, then read: nothing falls in between.
    #[must_use]
    pub fn watch(&self, stream: &str) -> Watching {
        Watching::new(self.tails.clone(), stream)
    }

    /// Follows streams.
    #[must_use]
    pub fn reader(&self, limits: ReaderLimits) -> Reader {
        Reader::new(self.store.clone(), self.tails.clone(), limits)
    }

    /// Sends an event to those of this server who follow its stream now, after what was committed before. It is not kept, has
    /// no place, and is lost where too much waits. `event` makes it if somebody follows.
    pub fn announce(&self, stream: &str, event: impl FnOnce() -> NewEvent) {
        self.fan_out.announce(stream, event);
    }

    /// How many readers follow each stream whose name begins with `prefix`, on this server.
    #[must_use]
    pub fn followers(&self, prefix: &str) -> Vec<(String, usize)> {
        self.tails.followers(prefix)
    }

    fn send(&self, nonce: Option<Nonce>, task: writer::Task) -> Result<(), WriteError> {
        self.requests.try_send(writer::Request { nonce, task }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => WriteError::Busy,
            mpsc::error::TrySendError::Closed(_) => WriteError::Closed,
        })
    }
}

/// Passes on what other servers commit.
struct Others {
    tails: Arc<Tails>,
    listeners: Arc<[Arc<dyn CommitListener>]>,
}

impl Hearer for Others {
    fn hear(&self, word: Word) {
        match word {
            Word::Committed(events) => self.listeners.iter().for_each(|listener| listener.heard(&events)),
            Word::Grown { stream, seq } => {
                self.tails.hint(&stream, seq);
                self.listeners.iter().for_each(|listener| listener.missed_in(&stream));
            }
            Word::Interrupted => {
                self.listeners.iter().for_each(|listener| listener.missed());
            }
        }
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
mod reader_tests;
#[cfg(test)]
mod tests;
