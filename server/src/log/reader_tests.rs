//! What readers are promised, on a database in memory: each event once, in order, or a gap that is told.

use std::collections::BTreeMap;

use flightdeck_api::support::ApiError;

use super::tests::{append, log};
use super::*;
use crate::store::streams;

const LIMITS: ReaderLimits = ReaderLimits { events: 4_096, bytes: 8 << 20 };

async fn fill(log: &Log, workspace: Uuid, run: Uuid, count: usize) {
    let all = (0..count).map(|_| log.append(append(workspace, run, None), None));
    for appended in futures_util::future::join_all(all).await {
        appended.expect("committed");
    }
}

/// Reads until `last` has come, and returns the seqs and whether `Synced` came where it belongs.
async fn read_to(reader: &mut Reader, last: i64) -> Vec<i64> {
    let mut seqs = Vec::new();
    let mut synced = None;
    while seqs.last() != Some(&last) || synced.is_none() {
        match reader.next().await.expect("it reads") {
            Item::Stored { events, .. } => {
                assert_eq!(synced, None, "history comes before the mark");
                seqs.extend(events.iter().map(|event| event.seq));
            }
            Item::Live { event, .. } => {
                assert!(synced.is_some(), "live events come after the mark");
                seqs.push(event.seq);
            }
            Item::Synced { seq, .. } => {
                assert_eq!(synced.replace(seq), None, "the mark comes once");
                assert_eq!(seqs.last().copied().unwrap_or(seq), seq);
            }
            other => panic!("unexpected: {other:?}"),
        }
    }
    seqs
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_seam_has_neither_gap_nor_double_whatever_the_timing() {
    let (log, _, workspace) = log().await;
    let run = Uuid::now_v7();
    fill(&log, workspace, run, 500).await;
    let writer = tokio::spawn({
        let log = log.clone();
        async move {
            for _ in 0..60 {
                fill(&log, workspace, run, 50).await;
            }
        }
    });
    let mut readers = Vec::new();
    for start in 0..40_i64 {
        let log = log.clone();
        readers.push(tokio::spawn(async move {
            let mut reader = log.reader(LIMITS);
            let since = start * 13 % 400;
            reader.follow(&run_stream(run), Start::After(since));
            assert_eq!(read_to(&mut reader, 3_500).await, (since + 1..=3_500).collect::<Vec<_>>());
        }));
        tokio::task::yield_now().await;
    }
    for reader in readers {
        reader.await.expect("it saw everything once");
    }
    writer.await.expect("it wrote");
    assert_eq!(log.tails.len(), 0, "nobody follows, nothing is kept");
}

#[tokio::test]
async fn from_now_on_means_without_history() {
    let (log, _, workspace) = log().await;
    let run = Uuid::now_v7();
    fill(&log, workspace, run, 3).await;
    let mut reader = log.reader(LIMITS);
    reader.follow(&run_stream(run), Start::Now);
    assert!(matches!(reader.next().await, Ok(Item::Synced { seq: 3, .. })));
    fill(&log, workspace, run, 1).await;
    assert!(matches!(reader.next().await, Ok(Item::Live { event, .. }) if event.seq == 4));
}

#[tokio::test]
async fn a_stream_that_does_not_exist_yet_can_be_followed() {
    let (log, _, workspace) = log().await;
    let run = Uuid::now_v7();
    let mut reader = log.reader(LIMITS);
    reader.follow(&run_stream(run), Start::After(0));
    assert!(matches!(reader.next().await, Ok(Item::Synced { seq: 0, .. })));
    fill(&log, workspace, run, 1).await;
    assert!(matches!(reader.next().await, Ok(Item::Live { event, .. }) if event.seq == 1));
}

#[tokio::test]
async fn missing_history_is_told_with_where_it_begins() {
    let (log, _, workspace) = log().await;
    let run = Uuid::now_v7();
    fill(&log, workspace, run, 10).await;
    let stream = log.extent(&run_stream(run)).await.expect("it is there").expect("it is there");
    let id = stream.id;
    log.transact(None, move |work: &mut Work<'_>| {
        Box::pin(async move { Ok::<_, ApiError>(streams::trim(work.tx().connection(), id, 8).await?) })
    })
    .await
    .expect("trimmed");
    let trimmed = |since| (Start::After(since), GapReason::Trimmed, 8, vec![8, 9, 10]);
    let ahead = (Start::After(99), GapReason::Ahead, 8, vec![8, 9, 10]);
    for (start, expected, begins, seqs) in [trimmed(0), trimmed(3), trimmed(6), ahead] {
        let mut reader = log.reader(LIMITS);
        reader.follow(&run_stream(run), start);
        match reader.next().await {
            Ok(Item::Gap { next, reason, .. }) => assert_eq!((next, reason), (begins, expected)),
            other => panic!("no gap for {start:?}: {other:?}"),
        }
        assert_eq!(read_to(&mut reader, 10).await, seqs);
    }
    let mut reader = log.reader(LIMITS);
    reader.follow(&run_stream(run), Start::After(7));
    assert_eq!(read_to(&mut reader, 10).await, [8, 9, 10], "nothing is missing after 7");
    let mut reader = log.reader(LIMITS);
    reader.follow("runs/nobody", Start::After(5));
    assert!(matches!(reader.next().await, Ok(Item::Gap { next: 1, reason: GapReason::Ahead, .. })));
    assert!(matches!(reader.next().await, Ok(Item::Synced { seq: 0, .. })));
}

#[tokio::test]
async fn a_stream_that_is_trimmed_to_nothing_goes_on_counting() {
    let (log, _, workspace) = log().await;
    let run = Uuid::now_v7();
    fill(&log, workspace, run, 5).await;
    let id = log.extent(&run_stream(run)).await.expect("it is there").expect("it is there").id;
    log.transact(None, move |work: &mut Work<'_>| {
        Box::pin(async move { Ok::<_, ApiError>(streams::trim(work.tx().connection(), id, 6).await?) })
    })
    .await
    .expect("trimmed");
    let mut reader = log.reader(LIMITS);
    reader.follow(&run_stream(run), Start::After(2));
    assert!(matches!(reader.next().await, Ok(Item::Gap { since: 2, next: 6, .. })));
    assert!(matches!(reader.next().await, Ok(Item::Synced { seq: 5, .. })));
    fill(&log, workspace, run, 1).await;
    assert!(matches!(reader.next().await, Ok(Item::Live { event, .. }) if event.seq == 6));
}

#[tokio::test]
async fn a_reader_that_falls_behind_is_told_and_others_are_not() {
    let (log, _, workspace) = log().await;
    let run = Uuid::now_v7();
    let mut slow = log.reader(ReaderLimits { events: 10, ..LIMITS });
    let mut quick = log.reader(LIMITS);
    for reader in [&mut slow, &mut quick] {
        reader.follow(&run_stream(run), Start::Now);
        assert!(matches!(reader.next().await, Ok(Item::Synced { .. })));
    }
    fill(&log, workspace, run, 100).await;
    let mut seqs = Vec::new();
    while seqs.len() < 100 {
        match quick.next().await {
            Ok(Item::Live { event, .. }) => seqs.push(event.seq),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(seqs, (1..=100).collect::<Vec<_>>());
    assert!(matches!(slow.next().await, Ok(Item::FellBehind)));
}

#[tokio::test]
async fn nothing_comes_of_a_subscription_that_was_given_up() {
    let (log, _, workspace) = log().await;
    let (one, other) = (Uuid::now_v7(), Uuid::now_v7());
    let mut reader = log.reader(LIMITS);
    let mut synced = BTreeMap::new();
    let given_up = reader.follow(&run_stream(one), Start::Now);
    let kept = reader.follow(&run_stream(other), Start::Now);
    while synced.len() < 2 {
        if let Ok(Item::Synced { subscription, seq }) = reader.next().await {
            synced.insert(subscription, seq);
        }
    }
    fill(&log, workspace, one, 5).await;
    fill(&log, workspace, other, 1).await;
    reader.unfollow(given_up);
    // Its place is taken again at once.
    let anew = reader.follow(&run_stream(one), Start::After(4));
    let mut live = Vec::new();
    let mut stored = Vec::new();
    while live.is_empty() || stored.is_empty() {
        match reader.next().await.expect("it reads") {
            Item::Live { subscription, event } => live.push((subscription, event.seq)),
            Item::Stored { subscription, events } => stored.push((subscription, events[0].seq)),
            Item::Synced { .. } => {}
            item => panic!("unexpected: {item:?}"),
        }
    }
    assert_eq!((live, stored), (vec![(kept, 1)], vec![(anew, 5)]));
}

#[tokio::test]
async fn what_is_announced_reaches_those_who_listen_and_is_not_kept() {
    let (log, ..) = log().await;
    let mut reader = log.reader(LIMITS);
    reader.follow("channels/metrics", Start::Now);
    assert!(matches!(reader.next().await, Ok(Item::Synced { seq: 0, .. })));
    assert_eq!(log.followers("channels/"), [("channels/metrics".to_owned(), 1)]);
    log.announce("channels/metrics", || NewEvent {
        stream: "channels/metrics".into(),
        id: Uuid::now_v7(),
        kind: "metric.update".into(),
        created_at: 1,
        happened_at: None,
        payload: "{}".into(),
    });
    assert!(matches!(reader.next().await, Ok(Item::Live { event, .. }) if event.seq == 0));
    assert!(log.read("channels/metrics", 0, 10).await.expect("read").is_empty());
}

/// Forty waiting tasks would hide it: an event is encoded by the first who asks, and by nobody else.
#[tokio::test]
async fn a_live_event_is_encoded_once() {
    let (log, _, workspace) = log().await;
    let run = Uuid::now_v7();
    let mut readers: Vec<_> = (0..3).map(|_| log.reader(LIMITS)).collect();
    for reader in &mut readers {
        reader.follow(&run_stream(run), Start::Now);
        assert!(matches!(reader.next().await, Ok(Item::Synced { .. })));
    }
    fill(&log, workspace, run, 1).await;
    let mut encoded = 0;
    let mut frames = Vec::new();
    for reader in &mut readers {
        let Ok(Item::Live { event, .. }) = reader.next().await else { panic!("it is live") };
        frames.push(event.frame(Encoding::Stream, |event| {
            encoded += 1;
            event.event.kind.clone().into()
        }));
    }
    assert_eq!(encoded, 1);
    assert!(frames.iter().all(|frame| frame.as_str().as_ptr() == frames[0].as_str().as_ptr()));
}
