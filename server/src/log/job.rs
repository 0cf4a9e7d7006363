//! Work that runs inside the writer's transaction, with its type hidden from the writer.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::sync::oneshot;

use super::batch::{self, Projections};
use super::{Committed, WriteError};
use crate::store::events::NewEvent;
use crate::store::{StoreError, Tx};

/// The transaction, as work sees it.
pub struct Work<'t> {
    tx: &'t Tx,
    projections: &'t Projections,
    appended: Vec<Committed>,
}

impl<'t> Work<'t> {
    pub(super) const fn new(tx: &'t Tx, projections: &'t Projections) -> Self {
        Self { tx, projections, appended: Vec::new() }
    }

    /// What queries run on.
    #[must_use]
    pub const fn tx(&self) -> &'t Tx {
        self.tx
    }

    /// Appends events to their streams, and returns them with their places.
    ///
    /// # Errors
    /// If the database can't be reached.
    pub async fn append(&mut self, events: Vec<NewEvent>) -> Result<Vec<Committed>, StoreError> {
        let count = events.len();
        let events = events.into_iter().map(Arc::new).collect();
        let mut committed = batch::place(self.tx, events, self.projections).await?;
        self.appended.extend(committed.iter().cloned());
        committed.truncate(count);
        Ok(committed)
    }

    pub(super) fn into_appended(self) -> Vec<Committed> {
        self.appended
    }
}

/// Work whose result type the writer need not know.
pub(super) trait Job: Send {
    /// Does the work. `false`: it refused, and what it did is to be taken back.
    fn run<'w>(&'w mut self, work: &'w mut Work<'_>) -> BoxFuture<'w, bool>;

    /// Whether nobody waits for it any more.
    fn is_abandoned(&self) -> bool;

    /// Tells the caller what the last run returned, or that it could not be committed.
    fn finish(self: Box<Self>, committed: Result<(), WriteError>);
}

/// A [`Job`] that knows its types.
pub(super) struct Typed<T, E, F> {
    work: F,
    outcome: Option<Result<T, E>>,
    reply: oneshot::Sender<Result<T, E>>,
}

impl<T, E, F> Typed<T, E, F> {
    pub(super) fn new(work: F) -> (Self, oneshot::Receiver<Result<T, E>>) {
        let (reply, answer) = oneshot::channel();
        (Self { work, outcome: None, reply }, answer)
    }
}

impl<T, E, F> Job for Typed<T, E, F>
where
    T: Send,
    E: From<WriteError> + Send,
    F: for<'w> Fn(&'w mut Work<'_>) -> BoxFuture<'w, Result<T, E>> + Send,
{
    fn run<'w>(&'w mut self, work: &'w mut Work<'_>) -> BoxFuture<'w, bool> {
        let running = (self.work)(work);
        Box::pin(async move {
            let outcome = running.await;
            let done = outcome.is_ok();
            self.outcome = Some(outcome);
            done
        })
    }

    fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }

    fn finish(self: Box<Self>, committed: Result<(), WriteError>) {
        // A refusal is the answer whether or not the others were committed: it wrote nothing.
        let answer = match (self.outcome, committed) {
            (Some(Err(refusal)), _) => Err(refusal),
            (Some(outcome), Ok(())) => outcome,
            (_, Err(error)) => Err(error.into()),
            (None, Ok(())) => Err(WriteError::Closed.into()),
        };
        // The caller may have gone away; what was committed stays.
        let _ = self.reply.send(answer);
    }
}
