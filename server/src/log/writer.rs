//! The writer: one task that commits whatever is queued in one transaction, again and again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};

use super::job::Job;
use super::{Append, Appended, CommitListener, Committed, WriteError, batch};
use crate::store::Store;
use crate::store::nonces::Nonce;

/// Requests in one transaction: enough to share a commit well, few enough to keep it short.
const BATCH: usize = 512;

/// Requests at once that count as load.
const LOADED: usize = 4;

/// The shortest and the longest time to wait for more requests.
const WORTHWHILE: Duration = Duration::from_micros(50);
const PATIENCE: Duration = Duration::from_micros(500);

/// Something to write.
pub(super) struct Request {
    pub(super) nonce: Option<Nonce>,
    pub(super) task: Task,
}

pub(super) enum Task {
    Append {
        append: Append,
        reply: oneshot::Sender<Result<Appended, WriteError>>,
    },
    Job(Box<dyn Job>),
    /// Only the nonce.
    Nothing,
}

pub(super) async fn run(
    store: Store,
    mut queue: mpsc::UnboundedReceiver<Request>,
    listeners: Vec<Arc<dyn CommitListener>>,
) {
    let mut requests = Vec::with_capacity(BATCH);
    let mut before = 0;
    let mut took = Duration::ZERO;
    while queue.recv_many(&mut requests, BATCH).await > 0 {
        gather(&mut queue, &mut requests, before, took / 4).await;
        before = requests.len();
        let started = Instant::now();
        commit(&store, &mut requests, &listeners).await;
        took = started.elapsed();
        requests.clear();
    }
}

/// Lets those who were just answered come back before the next commit: with a slow disk, a group that waits a little and
/// commits once is faster for everybody than two that take turns. Only under load, and never for long: `patience` is a
/// part of what a commit takes, and a few writers are not worth waiting for.
async fn gather(
    queue: &mut mpsc::UnboundedReceiver<Request>,
    requests: &mut Vec<Request>,
    before: usize,
    patience: Duration,
) {
    let expected = (before + requests.len()).min(BATCH);
    if requests.len() < LOADED || patience < WORTHWHILE {
        return;
    }
    let until = Instant::now() + patience.min(PATIENCE);
    while requests.len() < expected && Instant::now() < until {
        // Timers are too coarse for this; whoever has something to do, does it now.
        tokio::task::yield_now().await;
        while requests.len() < BATCH
            && let Ok(request) = queue.try_recv()
        {
            requests.push(request);
        }
    }
}

/// Commits `requests` together; if that fails for a reason that may lie in one of them, each by itself.
async fn commit(store: &Store, requests: &mut Vec<Request>, listeners: &[Arc<dyn CommitListener>]) {
    match attempt(store, requests).await {
        Ok(outcome) => publish(outcome, requests.drain(..), listeners),
        Err(error) if requests.len() == 1 || matches!(&error, WriteError::Store(cause) if cause.is_unavailable()) => {
            tracing::warn!(error = &error as &dyn std::error::Error, writes = requests.len(), "could not commit");
            for request in requests.drain(..) {
                refuse(request, error.clone());
            }
        }
        Err(_) => {
            for request in requests.drain(..) {
                let mut alone = vec![request];
                match attempt(store, &mut alone).await {
                    Ok(outcome) => publish(outcome, alone.drain(..), listeners),
                    Err(error) => {
                        for request in alone {
                            refuse(request, error.clone());
                        }
                    }
                }
            }
        }
    }
}

/// One transaction with all of `requests`.
async fn attempt(store: &Store, requests: &mut [Request]) -> Result<batch::Outcome, WriteError> {
    let tx = store.begin().await?;
    match batch::apply(&tx, requests).await {
        Ok(outcome) => {
            tx.commit().await?;
            Ok(outcome)
        }
        Err(error) => {
            // The connection takes an open transaction back by itself if this fails.
            let _ = tx.rollback().await;
            Err(error)
        }
    }
}

/// Tells the listeners, then the callers.
fn publish(outcome: batch::Outcome, requests: impl Iterator<Item = Request>, listeners: &[Arc<dyn CommitListener>]) {
    let events: &[Committed] = &outcome.committed;
    if !events.is_empty() {
        for listener in listeners {
            listener.committed(events);
        }
    }
    let mut appended = outcome.appended.into_iter();
    for request in requests {
        match request.task {
            Task::Append { reply, .. } => {
                let answer = appended.next().ok_or(WriteError::Closed);
                // The caller may have gone away; what was committed stays.
                let _ = reply.send(answer);
            }
            Task::Job(job) => job.finish(Ok(())),
            Task::Nothing => {}
        }
    }
}

fn refuse(request: Request, error: WriteError) {
    match request.task {
        Task::Append { reply, .. } => {
            let _ = reply.send(Err(error));
        }
        Task::Job(job) => job.finish(Err(error)),
        Task::Nothing => {}
    }
}
