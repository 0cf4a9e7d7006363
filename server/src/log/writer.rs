//! The writer: one task that commits whatever is queued in one transaction, again and again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};

use super::job::Job;
use super::{Append, Appended, CommitListener, Committed, Projection, WriteError, batch};
use crate::bus::Bus;
use crate::store::Store;
use crate::store::nonces::Nonce;

/// Requests in one transaction: enough to share a commit well, few enough to keep it short.
const BATCH: usize = 512;

/// Requests at once that count as load.
const LOADED: usize = 4;

/// How long one transaction may take.
const TIME_LIMIT: Duration = Duration::from_secs(10);

/// The shortest and the longest time to wait for more requests.
const WORTHWHILE: Duration = Duration::from_micros(50);
const PATIENCE: Duration = Duration::from_micros(500);

/// Something to write.
pub(super) struct Request {
    pub(super) nonce: Option<Nonce>,
    pub(super) task: Task,
}

impl Request {
    fn forget_if_abandoned(&mut self) {
        let abandoned = match &self.task {
            Task::Append { reply, .. } => reply.is_closed(),
            Task::Job(job) => job.is_abandoned(),
            Task::Nothing => false,
        };
        if abandoned {
            self.task = Task::Nothing;
        }
    }
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

/// What the writer works with.
pub(super) struct Parts {
    pub(super) store: Store,
    pub(super) bus: Bus,
    pub(super) listeners: Arc<[Arc<dyn CommitListener>]>,
    pub(super) projections: Vec<Arc<dyn Projection>>,
}

pub(super) async fn run(parts: Parts, mut queue: mpsc::Receiver<Request>) {
    let mut requests = Vec::with_capacity(BATCH);
    let mut before = 0;
    let mut took = Duration::ZERO;
    let mut uncertain = false;
    while queue.recv_many(&mut requests, BATCH).await > 0 {
        gather(&mut queue, &mut requests, before, took / 2).await;
        // Who has gone away before the write began will not be surprised to find it undone.
        requests.iter_mut().for_each(Request::forget_if_abandoned);
        before = requests.len();
        let started = Instant::now();
        let certain = commit(&parts, &mut requests).await;
        // A commit that was not answered may have happened. Once the database answers again, followers look for it.
        if certain && std::mem::take(&mut uncertain) {
            parts.listeners.iter().for_each(|listener| listener.missed());
        }
        uncertain |= !certain;
        took = started.elapsed();
        requests.clear();
    }
}

/// Lets those who were just answered come back before the next commit: with a slow disk, a group that waits a little and
/// commits once is faster for everybody than two that take turns. Only under load, and never for long: `patience` is a
/// part of what a commit takes, and a few writers are not worth waiting for.
async fn gather(queue: &mut mpsc::Receiver<Request>, requests: &mut Vec<Request>, before: usize, patience: Duration) {
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

/// Why a transaction came to nothing.
enum Failed {
    /// The one job in it refused.
    Refused,
    Write(WriteError),
}

/// Commits `requests` together; if that fails for a reason that may lie in one of them, each by itself. `false`: the
/// database was away, and what became of the transaction is not known.
async fn commit(parts: &Parts, requests: &mut Vec<Request>) -> bool {
    let mut certain = true;
    match attempt(parts, requests).await {
        Ok(outcome) => publish(outcome, requests.drain(..), &parts.listeners),
        Err(Failed::Write(error)) if requests.len() > 1 && !error.is_unavailable() => {
            let mut rest = requests.drain(..);
            while let Some(request) = rest.next() {
                let unavailable = commit_alone(parts, request).await;
                // What is left would wait for the same time-out, one after the other.
                if let Some(error) = unavailable {
                    certain = false;
                    rest.by_ref().for_each(|request| refuse(request, error.clone()));
                }
            }
        }
        Err(failed) => {
            certain = !matches!(&failed, Failed::Write(error) if error.is_unavailable());
            for request in requests.drain(..) {
                conclude(parts, request, &failed).await;
            }
        }
    }
    certain
}

/// Commits one request; returns the error if the database is not available.
async fn commit_alone(parts: &Parts, request: Request) -> Option<WriteError> {
    let mut alone = [request];
    let attempted = attempt(parts, &mut alone).await;
    let [request] = alone;
    match attempted {
        Ok(outcome) => publish(outcome, std::iter::once(request), &parts.listeners),
        Err(failed) => {
            conclude(parts, request, &failed).await;
            if let Failed::Write(error) = failed
                && error.is_unavailable()
            {
                return Some(error);
            }
        }
    }
    None
}

/// Ends a request whose transaction came to nothing.
async fn conclude(parts: &Parts, request: Request, failed: &Failed) {
    match failed {
        Failed::Write(error) => {
            tracing::warn!(error = error as &dyn std::error::Error, "could not commit");
            refuse(request, error.clone());
        }
        Failed::Refused => {
            // The refusal wrote nothing, but its nonce is spent all the same.
            if let Some(nonce) = request.nonce {
                let _ = attempt(parts, &mut [Request { nonce: Some(nonce), task: Task::Nothing }]).await;
            }
            if let Task::Job(job) = request.task {
                job.finish(Ok(()));
            }
        }
    }
}

/// One transaction with all of `requests`.
async fn attempt(parts: &Parts, requests: &mut [Request]) -> Result<batch::Outcome, Failed> {
    let transaction = async {
        let tx = parts.store.begin().await.map_err(WriteError::from)?;
        match batch::apply(&tx, requests, &parts.projections).await {
            Ok(batch::Applied::Done(outcome)) => {
                parts.bus.announce(&tx, &outcome.committed).await.map_err(WriteError::from)?;
                tx.commit().await.map_err(WriteError::from)?;
                Ok(outcome)
            }
            Ok(batch::Applied::Refused) => {
                let _ = tx.rollback().await;
                Err(Failed::Refused)
            }
            Err(error) => {
                // The connection takes an open transaction back by itself if this fails.
                let _ = tx.rollback().await;
                Err(Failed::Write(error))
            }
        }
    };
    // A database that hangs is a database that can't be reached.
    tokio::time::timeout(TIME_LIMIT, transaction).await.unwrap_or_else(|_| Err(Failed::Write(WriteError::TimedOut)))
}

impl From<WriteError> for Failed {
    fn from(error: WriteError) -> Self {
        Self::Write(error)
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
