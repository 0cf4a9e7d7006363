//! What one transaction does: a few statements for all appends together, then the jobs one by one.

use std::collections::HashMap;
use std::sync::Arc;

use super::job::Work;
use super::writer::{Request, Task};
use super::{Append, Appended, Committed, Projection, WriteError};
use crate::store::events::{self, NewEvent};
use crate::store::idempotency::{self, Claim, Known};
use crate::store::nonces::{self, Nonce};
use crate::store::runs;
use crate::store::{StoreError, Tx};

/// What follows from events.
pub(super) type Projections = [Arc<dyn Projection>];

/// What a transaction did, once it is committed.
pub(super) struct Outcome {
    /// In the order of commitment.
    pub(super) committed: Vec<Committed>,
    /// One for each append, in the order asked.
    pub(super) appended: Vec<Appended>,
}

/// How the work on a transaction ended.
pub(super) enum Applied {
    /// To be committed.
    Done(Outcome),
    /// The only job in it refused: there is nothing to commit.
    Refused,
}

pub(super) async fn apply(tx: &Tx, requests: &mut [Request], projections: &Projections) -> Result<Applied, WriteError> {
    let nonces: Vec<Nonce> = requests.iter().filter_map(|request| request.nonce).collect();
    if !nonces::insert(tx.connection(), &nonces).await? {
        return Err(WriteError::NonceReused);
    }
    let appends: Vec<&Append> = requests
        .iter()
        .filter_map(|request| match &request.task {
            Task::Append { append, .. } => Some(append),
            _ => None,
        })
        .collect();
    let (mut committed, appended) = append_all(tx, &appends, projections).await?;

    if let [Request { task: Task::Job(job), .. }] = requests {
        // Alone, a job needs no savepoint, which would be a third of its statements.
        let mut work = Work::new(tx, projections);
        if !job.run(&mut work).await {
            return Ok(Applied::Refused);
        }
        return Ok(Applied::Done(Outcome { committed: work.into_appended(), appended }));
    }
    for request in requests {
        if let Task::Job(job) = &mut request.task {
            // A job that refuses must not take its neighbours' work with it.
            let savepoint = tx.savepoint().await?;
            let mut work = Work::new(&savepoint, projections);
            let done = job.run(&mut work).await;
            let events = work.into_appended();
            if done {
                savepoint.commit().await?;
                committed.extend(events);
            } else {
                savepoint.rollback().await?;
            }
        }
    }
    Ok(Applied::Done(Outcome { committed, appended }))
}

/// Appends that have been keyed before are answered as before; the others get their place.
async fn append_all(
    tx: &Tx,
    appends: &[&Append],
    projections: &Projections,
) -> Result<(Vec<Committed>, Vec<Appended>), StoreError> {
    let mut answers: Vec<Option<Appended>> = look_up(tx, appends).await?;
    // The same key twice in one batch: the later one is answered like the earlier.
    let mut first: HashMap<(&str, &str), usize> = HashMap::new();
    let mut same_as: HashMap<usize, usize> = HashMap::new();
    for (index, append) in appends.iter().enumerate() {
        let Some(claim) = &append.claim else { continue };
        if answers[index].is_some() {
            continue;
        }
        match first.get(&(claim.scope.as_str(), claim.key.as_str())) {
            Some(&earlier) if same_request(appends[earlier], claim) => {
                same_as.insert(index, earlier);
            }
            Some(_) => answers[index] = Some(Appended::KeyReused),
            None => {
                first.insert((&claim.scope, &claim.key), index);
            }
        }
    }

    let fresh = |index: &usize, answers: &[Option<Appended>]| answers[*index].is_none() && !same_as.contains_key(index);
    let changes: Vec<_> = (0..appends.len())
        .filter(|index| fresh(index, &answers))
        .filter_map(|index| appends[index].run.as_ref())
        .collect();
    let foreign = runs::apply(tx.connection(), &changes).await?;
    for (index, append) in appends.iter().enumerate() {
        if append.run.as_ref().is_some_and(|run| foreign.contains(&(run.run_id, run.workspace_id))) {
            answers[index] = Some(Appended::ForeignRun);
        }
    }

    let placed: Vec<usize> = (0..appends.len()).filter(|index| fresh(index, &answers)).collect();
    let new: Vec<Arc<NewEvent>> = placed.iter().map(|&index| appends[index].event.clone()).collect();
    let committed = place(tx, new, projections).await?;
    let seqs: Vec<i64> = committed.iter().take(placed.len()).map(|event| event.seq).collect();
    for (&index, &seq) in placed.iter().zip(&seqs) {
        answers[index] = Some(Appended::At { event_id: appends[index].event.id, seq });
    }
    remember(tx, appends, &placed, &seqs).await?;
    for (index, earlier) in same_as {
        answers[index] = answers[earlier].clone();
    }
    Ok((committed, answers.into_iter().flatten().collect()))
}

/// Gives events their places, and after them what follows from them.
pub(super) async fn place(
    tx: &Tx,
    mut events: Vec<Arc<NewEvent>>,
    projections: &Projections,
) -> Result<Vec<Committed>, StoreError> {
    let projected: Vec<_> =
        events.iter().flat_map(|event| projections.iter().flat_map(|projection| projection.project(event))).collect();
    events.extend(projected.into_iter().map(Arc::new));
    let new: Vec<&NewEvent> = events.iter().map(|event| &**event).collect();
    let seqs = events::append(tx.connection(), &new).await?;
    Ok(events.into_iter().zip(seqs).map(|(event, seq)| Committed { event, seq }).collect())
}

fn same_request(append: &Append, claim: &Claim) -> bool {
    append.claim.as_ref().is_some_and(|earlier| earlier.request_digest == claim.request_digest)
}

async fn look_up(tx: &Tx, appends: &[&Append]) -> Result<Vec<Option<Appended>>, StoreError> {
    let keyed: Vec<(usize, &Claim)> =
        appends.iter().enumerate().filter_map(|(index, append)| Some((index, append.claim.as_ref()?))).collect();
    let claims: Vec<&Claim> = keyed.iter().map(|(_, claim)| *claim).collect();
    let mut answers = vec![None; appends.len()];
    for ((index, _), known) in keyed.iter().zip(idempotency::look_up(tx.connection(), &claims).await?) {
        answers[*index] = match known {
            Some(Known::Answered(answer)) => Some(decode(&answer).unwrap_or(Appended::KeyReused)),
            Some(Known::Reused) => Some(Appended::KeyReused),
            None => None,
        };
    }
    Ok(answers)
}

async fn remember(tx: &Tx, appends: &[&Append], placed: &[usize], seqs: &[i64]) -> Result<(), StoreError> {
    let answers: Vec<(&Claim, Vec<u8>, i64)> = placed
        .iter()
        .zip(seqs)
        .filter_map(|(&index, &seq)| {
            let append = appends[index];
            Some((append.claim.as_ref()?, encode(append.event.id, seq), append.event.created_at))
        })
        .collect();
    if answers.is_empty() {
        return Ok(());
    }
    let now = answers.iter().map(|(_, _, at)| *at).max().unwrap_or_default();
    let rows: Vec<(&Claim, &[u8])> = answers.iter().map(|(claim, answer, _)| (*claim, answer.as_slice())).collect();
    idempotency::insert(tx.connection(), &rows, now).await
}

/// An append's answer as it is remembered: the event's id, then its place.
fn encode(event_id: uuid::Uuid, seq: i64) -> Vec<u8> {
    let mut answer = event_id.as_bytes().to_vec();
    answer.extend_from_slice(&seq.to_be_bytes());
    answer
}

fn decode(answer: &[u8]) -> Option<Appended> {
    let (id, seq) = answer.split_at_checked(16)?;
    Some(Appended::At { event_id: uuid::Uuid::from_slice(id).ok()?, seq: i64::from_be_bytes(seq.try_into().ok()?) })
}
