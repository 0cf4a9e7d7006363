//! The generated methods and types on the runtime, end to end.

use futures_util::TryStreamExt;
use serde_json::json;

use super::{Bench, DEVICE, WORKSPACE, ok, refusal};
use crate::generated::runs::ListRunsParameters;
use crate::testing::Script;
use crate::types::{BridgeEvent, DecisionOutcome, DeviceUpdate, PairingResult, PairingStarted};
use crate::{ErrorCode, Timestamp};

fn answer(body: &serde_json::Value) -> Script {
    Script::answer(200, body.to_string())
}

fn run(seq: u64) -> serde_json::Value {
    json!({
        "run_id": DEVICE, "workspace_id": WORKSPACE, "provider": "claude_code", "status": "HIBERNATING",
        "started_at": "2026-01-01T00:00:00.000Z", "ended_at": null, "last_event_at": "2026-01-01T00:00:00.000Z",
        "last_seq": seq, "last_message": null, "pending_approvals": 0, "from_the_future": true,
    })
}

#[tokio::test]
async fn runs_are_streamed_page_after_page() {
    let pages = [
        answer(&json!({ "items": [run(1), run(2)], "next_cursor": "c2" })),
        Script::broken(),
        answer(&json!({ "items": [run(3)], "next_cursor": null })),
    ];
    let bench = Bench::with(pages, |builder| builder.device_token("token"));
    let parameters = ListRunsParameters::default().with_limit(2);
    let runs: Vec<_> = bench.client.runs().list_runs_stream(&parameters).try_collect().await.expect("no page is lost");
    assert_eq!(runs.iter().map(|run| run.last_seq).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(runs[0].status.as_str(), "HIBERNATING", "an unknown status is kept");
    let queries: Vec<_> =
        bench.transport.requests().iter().map(|request| request.url.query().map(str::to_owned)).collect();
    let page = |query: &str| Some(query.to_owned());
    assert_eq!(queries[0], page("limit=2"));
    assert!(queries[1..].iter().all(|query| { query.as_deref().is_some_and(|query| query.contains("cursor=c2")) }));
}

#[tokio::test]
async fn an_event_is_signed_and_keyed() {
    let bench = Bench::with([Script::broken(), refusal(404, "run_not_found"), ok()], |builder| {
        builder.workspace(WORKSPACE, "secret")
    });
    let event = BridgeEvent::new(WORKSPACE, DEVICE, "codex", "RUN_STARTED", Timestamp::from_millis(0));
    let error = bench.client.bridge().submit_event(&event).await.expect_err("refused");
    assert_eq!(error.code(), Some(&ErrorCode::RunNotFound));

    let requests = bench.transport.requests();
    assert_eq!(requests.len(), 2, "the first attempt is repeated, the refusal is not");
    let body: serde_json::Value = serde_json::from_slice(requests[0].body.as_deref().expect("a body")).expect("JSON");
    assert_eq!(body["event_ts"], "1970-01-01T00:00:00.000Z");
    assert!(body.get("payload").is_none());
    let keys = bench.header("idempotency-key");
    assert!(!keys[0].is_empty() && keys[0] == keys[1]);
    assert_ne!(bench.header("x-signature")[0], bench.header("x-signature")[1]);
}

#[tokio::test]
async fn a_decision_is_repeated_without_a_key() {
    let decided = json!({ "status": "APPROVED", "note": null });
    let bench = Bench::with([Script::broken(), answer(&decided)], |builder| builder.device_token("token"));
    let decision = serde_json::from_value(json!({ "decision": "APPROVE" })).expect("a decision");
    bench.client.mobile().decide_mobile_approval(&DEVICE, &decision).await.expect("the second attempt succeeds");
    assert_eq!(bench.header("idempotency-key"), ["", ""]);
}

#[test]
fn credentials_of_the_protocol_are_never_shown() {
    let started = PairingStarted::new("pair-s3cret", Timestamp::from_millis(0), "AB12", "poll-s3cret");
    let result: PairingResult =
        serde_json::from_value(json!({ "status": "COMPLETED", "bridge_secret": "s3cret" })).expect("a result");
    let update = DeviceUpdate::default().with_push_token("s3cret".to_owned());
    for shown in [format!("{started:?}"), format!("{result:?}"), format!("{update:#?}")] {
        assert!(shown.contains("[redacted]") && !shown.contains("s3cret"), "{shown}");
    }
    assert_eq!(serde_json::to_value(&update).expect("an update"), json!({ "push_token": "s3cret" }));
}

#[test]
fn an_unknown_variant_is_kept() {
    let document = json!({ "outcome": "POSTPONED", "until": "tomorrow" });
    let outcome: DecisionOutcome = serde_json::from_value(document.clone()).expect("unions are open");
    assert_eq!(outcome.tag(), "POSTPONED");
    assert_eq!(serde_json::to_value(&outcome).expect("it can be written"), document);
}
