//! The writer's promises, on a database in memory.

use std::collections::HashSet;
use std::sync::Arc;

use flightdeck_api::generated::errors::ErrorCode;
use flightdeck_api::support::ApiError;
use parking_lot::Mutex;
use uuid::Uuid;

use super::*;
use crate::store::workspaces::{self, WorkspaceRow};
use crate::store::{SqliteSync, StoreOptions};

#[derive(Default)]
pub(super) struct Seen(Mutex<Vec<(String, i64)>>);

impl CommitListener for Seen {
    fn committed(&self, events: &[Committed]) {
        self.0.lock().extend(events.iter().map(|event| (event.event.stream.clone(), event.seq)));
    }
}

pub(super) async fn log() -> (Log, Arc<Seen>, Uuid) {
    let options = StoreOptions { url: "sqlite::memory:".into(), sqlite_sync: SqliteSync::Normal, readers: 1 };
    let store = Store::open(&options).await.expect("a database");
    let seen = Arc::new(Seen::default());
    let readers = Readers { listeners: vec![seen.clone()], projections: Vec::new() };
    let (log, _) = Log::start(store, Bus::Alone, readers);
    let workspace = workspace(&log).await;
    (log, seen, workspace)
}

async fn workspace(log: &Log) -> Uuid {
    let id = Uuid::now_v7();
    log.transact(None, move |work: &mut Work<'_>| {
        Box::pin(async move {
            let row = WorkspaceRow {
                id,
                device_id: None,
                machine_id: "machine".into(),
                display_name: "name".into(),
                project_fingerprint: "fingerprint".into(),
                created_at: 1,
                updated_at: 1,
            };
            Ok::<_, ApiError>(workspaces::insert(work.tx().connection(), row).await?)
        })
    })
    .await
    .expect("a workspace");
    id
}

pub(super) fn append(workspace_id: Uuid, run_id: Uuid, key: Option<(&str, u8)>) -> Append {
    Append {
        event: Arc::new(event(run_id)),
        run: Some(RunChange { run_id, workspace_id, provider: "test".into(), status: None, message: None, at: 1 }),
        claim: key.map(|(key, request)| Claim {
            scope: "test".into(),
            key: key.into(),
            request_digest: [request; 32],
            lifetime: 1_000,
        }),
    }
}

fn event(run_id: Uuid) -> NewEvent {
    NewEvent {
        stream: run_stream(run_id),
        id: Uuid::now_v7(),
        kind: "TEST".into(),
        created_at: 1,
        happened_at: None,
        payload: "{}".into(),
    }
}

fn seq(appended: &Appended) -> i64 {
    match appended {
        Appended::At { seq, .. } => *seq,
        other => panic!("it has no place: {other:?}"),
    }
}

#[tokio::test]
async fn every_stream_counts_without_gaps_however_many_write_at_once() {
    let (log, seen, workspace) = log().await;
    let runs: Vec<Uuid> = (0..4).map(|_| Uuid::now_v7()).collect();
    let writers = (0..64).map(|writer| {
        let (log, run) = (log.clone(), runs[writer % 4]);
        tokio::spawn(async move {
            for _ in 0..10 {
                log.append(append(workspace, run, None), None).await.expect("it is committed");
            }
        })
    });
    for writer in writers {
        writer.await.expect("it ends");
    }
    for run in runs {
        let stored: Vec<i64> =
            log.read(&run_stream(run), 0, 1_000).await.expect("events").iter().map(|row| row.seq).collect();
        assert_eq!(stored, (1..=160).collect::<Vec<_>>());
        let told: Vec<i64> =
            seen.0.lock().iter().filter(|(stream, _)| *stream == run_stream(run)).map(|(_, seq)| *seq).collect();
        assert_eq!(told, stored, "listeners are told each, in order");
    }
}

#[tokio::test]
async fn a_repeated_key_is_answered_as_before_also_within_one_batch() {
    let (log, _, workspace) = log().await;
    let run = Uuid::now_v7();
    let all: Vec<_> = (0..32)
        .map(|_| {
            let log = log.clone();
            tokio::spawn(async move { log.append(append(workspace, run, Some(("key", 1))), None).await })
        })
        .collect();
    let mut answers = HashSet::new();
    for one in all {
        answers.insert(format!("{:?}", one.await.expect("it ends").expect("it is committed")));
    }
    assert_eq!(answers.len(), 1, "{answers:?}");
    let other = log.append(append(workspace, run, Some(("key", 2))), None).await.expect("it is answered");
    assert_eq!(other, Appended::KeyReused);
    assert_eq!(log.read(&run_stream(run), 0, 10).await.expect("events").len(), 1);
}

#[tokio::test]
async fn a_run_takes_events_of_its_own_workspace_only() {
    let (log, _, owner) = log().await;
    let stranger = workspace(&log).await;
    let run = Uuid::now_v7();
    assert_eq!(seq(&log.append(append(owner, run, None), None).await.expect("committed")), 1);
    let (foreign, own, elsewhere) = tokio::join!(
        log.append(append(stranger, run, None), None),
        log.append(append(owner, run, None), None),
        log.append(append(stranger, Uuid::now_v7(), None), None),
    );
    assert_eq!(foreign.expect("answered"), Appended::ForeignRun);
    assert_eq!(seq(&own.expect("answered")), 2);
    assert_eq!(seq(&elsewhere.expect("answered")), 1);
}

#[tokio::test]
async fn a_job_that_refuses_leaves_nothing_and_harms_nobody() {
    let (log, seen, workspace) = log().await;
    let run = Uuid::now_v7();
    let refusing = log.transact(None, move |work: &mut Work<'_>| {
        Box::pin(async move {
            work.append(vec![event(run)]).await?;
            Err::<(), _>(ApiError::new(ErrorCode::ApprovalConflict))
        })
    });
    let (refused, kept) = tokio::join!(refusing, log.append(append(workspace, run, None), None));
    assert_eq!(refused.expect_err("it refuses").code, ErrorCode::ApprovalConflict);
    assert_eq!(seq(&kept.expect("committed")), 1);
    assert_eq!(*seen.0.lock(), vec![(run_stream(run), 1)]);
}

#[tokio::test]
async fn a_nonce_that_is_known_to_the_database_refuses_its_own_request_only() {
    let (log, _, workspace) = log().await;
    let run = Uuid::now_v7();
    let nonce = Nonce { signed_at: 5, digest: [7; 16] };
    log.append(append(workspace, run, None), Some(log.guard_nonce(nonce))).await.expect("new");
    let (replayed, other) = tokio::join!(
        log.append(append(workspace, run, None), Some(log.guard_nonce(nonce))),
        log.append(append(workspace, run, None), Some(log.guard_nonce(Nonce { digest: [8; 16], ..nonce }))),
    );
    assert!(matches!(replayed, Err(WriteError::NonceReused)), "{replayed:?}");
    assert_eq!(seq(&other.expect("committed")), 2);
}

#[tokio::test]
async fn a_nonce_is_remembered_even_if_its_request_writes_nothing() {
    let (log, _, workspace) = log().await;
    drop(log.guard_nonce(Nonce { signed_at: 5, digest: [7; 16] }));
    // The writer works in order: once this is committed, so is the nonce.
    log.append(append(workspace, Uuid::now_v7(), None), None).await.expect("committed");
    let remembered = crate::store::nonces::since(log.store.reader(), 0).await.expect("nonces");
    assert_eq!(remembered, vec![Nonce { signed_at: 5, digest: [7; 16] }]);
}

#[tokio::test]
async fn a_watcher_is_woken_by_its_own_stream() {
    let (log, _, workspace) = log().await;
    let run = Uuid::now_v7();
    let mut watching = log.watch(&run_stream(run));
    log.append(append(workspace, Uuid::now_v7(), None), None).await.expect("committed");
    assert!(futures_util::FutureExt::now_or_never(watching.appended()).is_none());
    log.append(append(workspace, run, None), None).await.expect("committed");
    watching.appended().await;
    drop(watching);
    assert_eq!(log.tails.len(), 0, "nobody watches, nothing is kept");
}
