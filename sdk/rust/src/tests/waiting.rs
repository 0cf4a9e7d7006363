use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use super::{Bench, DEVICE, READ, WORKSPACE, ok, refusal};
use crate::generated::types::{ApprovalStatus, PairingStatus};
use crate::runtime::Clock;
use crate::runtime::wait::{Poll, WaitOptions, reattach};
use crate::testing::{ManualClock, Script, SeededRandom};
use crate::{Error, Result};

/// What one request of a wait meets.
enum Step {
    /// The server holds the request for as long as it was asked to, and has no verdict.
    Held,
    /// The server answers at once that there is no verdict: it is shutting down.
    Early,
    Refused,
    Gone,
    Verdict,
}

/// A wait that meets these steps, and what it asked for.
async fn wait(options: WaitOptions, steps: Vec<Step>) -> (Result<&'static str>, Vec<Poll>, Duration) {
    let clock = ManualClock::default();
    let mut steps = VecDeque::from(steps);
    let mut polls = Vec::new();
    let outcome = reattach(
        &clock,
        &SeededRandom::new(3),
        options,
        |answer| *answer == "verdict",
        |poll| {
            polls.push(poll);
            let outcome = match steps.pop_front() {
                Some(Step::Held) => {
                    clock.advance(Duration::from_secs(poll.seconds));
                    Ok("pending")
                }
                Some(Step::Early) => Ok("pending"),
                Some(Step::Gone) => Err(Error::Configuration("gone".into())),
                Some(Step::Verdict) => Ok("verdict"),
                Some(Step::Refused) | None => {
                    Err(Error::Connection { server: String::new(), maybe_delivered: false, source: "refused".into() })
                }
            };
            std::future::ready(outcome)
        },
    )
    .await;
    (outcome, polls, clock.elapsed())
}

#[tokio::test]
async fn it_asks_again_until_there_is_a_verdict() {
    let (outcome, polls, _) = wait(WaitOptions::default(), vec![Step::Held, Step::Held, Step::Verdict]).await;
    assert_eq!(outcome.expect("a verdict"), "verdict");
    assert_eq!(polls.len(), 3);
    assert!(polls.iter().all(|poll| *poll == Poll { seconds: 50, timeout: Duration::from_secs(60) }));
}

#[tokio::test]
async fn a_restart_of_the_server_is_survived_however_long_it_takes() {
    let down = std::iter::repeat_with(|| Step::Refused).take(500);
    let steps = std::iter::once(Step::Held).chain(down).chain([Step::Early, Step::Verdict]).collect();
    let (outcome, polls, waited) = wait(WaitOptions::default(), steps).await;
    assert_eq!(outcome.expect("a verdict"), "verdict");
    assert_eq!(polls.len(), 503);
    assert!(waited > Duration::from_secs(600), "it backed off: {waited:?}");
}

#[tokio::test]
async fn an_early_answer_does_not_make_it_hammer() {
    let steps = std::iter::repeat_with(|| Step::Early).take(50).chain([Step::Verdict]).collect();
    let (_, _, waited) = wait(WaitOptions::default(), steps).await;
    assert!(waited > Duration::from_secs(60), "{waited:?}");
}

#[tokio::test]
async fn it_ends_in_time_with_the_last_answer() {
    let options = WaitOptions::default().until(Duration::from_millis(70_500)).poll(Duration::from_secs(30));
    let (outcome, polls, waited) = wait(options, vec![Step::Held, Step::Held, Step::Held]).await;
    assert_eq!(outcome.expect("still pending"), "pending");
    assert_eq!(polls.iter().map(|poll| poll.seconds).collect::<Vec<_>>(), [30, 30, 10]);
    assert_eq!(polls[2].timeout, Duration::from_millis(10_500), "no request outlives the wait");
    assert_eq!(waited, Duration::from_secs(70));
}

#[tokio::test]
async fn it_ends_in_time_with_the_last_error() {
    let (outcome, _, waited) = wait(WaitOptions::default().until(Duration::from_secs(20)), vec![]).await;
    assert!(matches!(outcome, Err(Error::Connection { .. })));
    assert!(waited <= Duration::from_secs(20));
}

#[tokio::test]
async fn a_wish_of_the_server_that_goes_too_far_leaves_time_for_a_last_question() {
    let busy = Script::answer(503, "").header("retry-after", "3600");
    let bench = Bench::new([busy, ok()]);
    let shared = bench.client.shared();
    let options = WaitOptions::default().until(Duration::from_secs(30));
    let answer = reattach(
        &*shared.clock,
        &*shared.random,
        options,
        |_: &String| true,
        |_| bench.client.call(&READ, "/things").retries(0),
    );
    assert_eq!(answer.await.expect("the server is back"), "fine");
    assert_eq!(bench.clock.elapsed(), Duration::from_secs(29));
}

#[tokio::test]
async fn a_wish_of_a_proxy_does_not_make_a_wait_without_end_miss_the_verdict() {
    for wish in ["86400", "18446744073709551615"] {
        let bench = Bench::new([Script::answer(503, "").header("retry-after", wish), ok()]);
        let shared = bench.client.shared();
        let answer = reattach(
            &*shared.clock,
            &*shared.random,
            WaitOptions::default(),
            |_: &String| true,
            |_| bench.client.call(&READ, "/things").retries(0),
        );
        assert_eq!(answer.await.expect("the server is back"), "fine");
        let waited = bench.clock.elapsed();
        assert!((Duration::from_secs(30)..Duration::from_secs(31)).contains(&waited), "{waited:?}");
    }
}

#[tokio::test]
async fn what_waiting_does_not_mend_is_an_error_at_once() {
    let (outcome, polls, _) = wait(WaitOptions::default(), vec![Step::Held, Step::Gone, Step::Verdict]).await;
    assert!(matches!(outcome, Err(Error::Configuration(_))));
    assert_eq!(polls.len(), 2);
}

#[tokio::test]
async fn it_leaves_the_retry_budget_alone() {
    let bench = Bench::new((0..40).map(|_| Script::refused()).chain([refusal(503, "unavailable"), ok()]));
    let shared = bench.client.shared();
    let answer = reattach(
        &*shared.clock,
        &*shared.random,
        WaitOptions::default(),
        |_: &String| true,
        |poll| bench.client.call(&READ, "/things").retries(0).timeout(poll.timeout),
    )
    .await
    .expect("the server comes back");
    assert_eq!(answer, "fine");
    assert_eq!(bench.attempts(), 42);
    assert!(shared.budget.take());
    assert!(bench.clock.elapsed() > Duration::from_secs(10));
}

fn pending(seconds: u64) -> Script {
    verdict("PENDING", "null").after(Duration::from_secs(seconds))
}

fn verdict(status: &str, note: &str) -> Script {
    Script::answer(
        200,
        format!(
            r#"{{"approval_id":"{WORKSPACE}","status":"{status}","note":{note},"delivered_at":null,"consumed_at":null}}"#
        ),
    )
}

#[tokio::test]
async fn a_verdict_is_waited_for_through_a_restart() {
    let script = [pending(50), Script::broken(), Script::refused(), verdict("DENIED", r#""not on a Friday""#)];
    let bench = Bench::with(script, |builder| builder.workspace(WORKSPACE, "secret"));
    let verdict = bench.client.wait_for_approval(&DEVICE, WaitOptions::default()).await.expect("a verdict");
    assert_eq!(verdict.status, ApprovalStatus::Denied);
    assert_eq!(verdict.note.as_deref(), Some("not on a Friday"));

    let requests = bench.transport.requests();
    assert_eq!(requests.len(), 4);
    assert_eq!(requests[0].url.path(), format!("/bridge/approval/{DEVICE}/wait"));
    assert!(requests.iter().all(|request| request.url.query() == Some("timeout=50")));
    let nonces: BTreeSet<_> = bench.header("x-nonce").into_iter().collect();
    assert_eq!(nonces.len(), 4, "each request is signed anew");
}

#[tokio::test]
async fn a_verdict_that_does_not_come_in_time_is_pending() {
    let bench = Bench::with([pending(10)], |builder| builder.workspace(WORKSPACE, "secret"));
    let options = WaitOptions::default().until(Duration::from_secs(10));
    let verdict = bench.client.wait_for_approval(&DEVICE, options).await.expect("an answer");
    assert_eq!(verdict.status, ApprovalStatus::Pending);
}

#[tokio::test]
async fn an_approval_that_does_not_exist_is_an_error_at_once() {
    let bench = Bench::with([refusal(404, "approval_not_found")], |builder| builder.workspace(WORKSPACE, "secret"));
    let error = bench.client.wait_for_approval(&DEVICE, WaitOptions::default()).await.expect_err("not found");
    assert_eq!(error.as_api().map(|refusal| refusal.status), Some(404));
    assert_eq!(bench.attempts(), 1);
}

#[tokio::test]
async fn a_pairing_is_waited_for_with_its_own_token() {
    let answer = |status| Script::answer(200, format!(r#"{{"status":"{status}"}}"#));
    let bench = Bench::new([answer("PENDING"), answer("COMPLETED")]);
    let result = bench.client.wait_for_pairing("poll", WaitOptions::default()).await.expect("a device came");
    assert_eq!(result.status, PairingStatus::Completed);
    assert_eq!(bench.header("authorization"), ["Bearer poll", "Bearer poll"]);
}

#[test]
fn a_wait_can_be_spawned() {
    fn spawnable(_future: impl Future<Output: Send> + Send) {}
    let bench = Bench::new([]);
    spawnable(bench.client.wait_for_approval(&DEVICE, WaitOptions::default()));
    spawnable(bench.client.wait_for_pairing("poll", WaitOptions::default()));
}
