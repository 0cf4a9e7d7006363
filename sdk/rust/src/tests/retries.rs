use std::time::Duration;

use super::{Bench, CREATE, POKE, READ, SETTLE, ok, refusal};
use crate::runtime::{Clock, RetryPolicy};
use crate::testing::{Script, SeededRandom};
use crate::{Call, Error, TimeLimit};

fn call(bench: &Bench, operation: &'static crate::runtime::Operation) -> Call<String> {
    bench.client.call(operation, "/things")
}

fn times(count: usize, step: &Script) -> Vec<Script> {
    vec![step.clone(); count]
}

#[tokio::test]
async fn a_read_is_repeated_until_it_succeeds() {
    let bench = Bench::new([Script::refused(), Script::broken(), refusal(503, "http_503"), ok()]);
    let response = call(&bench, &READ).with_response().await.expect("the fourth attempt succeeds");
    assert_eq!((response.value.as_str(), response.attempts), ("fine", 4));
    assert_eq!(bench.header("x-retry-count"), ["", "1", "2", "3"]);
}

#[tokio::test]
async fn each_transient_status_is_repeated() {
    for status in [408, 425, 429, 500, 502, 503, 504] {
        let bench = Bench::new([Script::answer(status, "busy"), ok()]);
        call(&bench, &READ).await.unwrap_or_else(|error| panic!("{status} is transient: {error}"));
    }
    for status in [400, 401, 403, 404, 409, 422, 501] {
        let bench = Bench::new([Script::answer(status, "no"), ok()]);
        call(&bench, &READ).await.expect_err("not transient");
        assert_eq!(bench.attempts(), 1, "{status}");
    }
}

#[tokio::test]
async fn the_catalogue_wins_over_the_status() {
    let bench = Bench::new([refusal(503, "run_not_found"), ok()]);
    let error = call(&bench, &READ).await.expect_err("the code is known to be final");
    assert!(!error.is_retryable());
    assert_eq!(bench.attempts(), 1);
}

#[tokio::test]
async fn retries_are_limited() {
    let bench = Bench::new([]);
    call(&bench, &READ).await.expect_err("nothing listens");
    assert_eq!(bench.attempts(), 5);

    let bench = Bench::new([]);
    call(&bench, &READ).retries(0).await.expect_err("nothing listens");
    assert_eq!(bench.attempts(), 1);
}

#[tokio::test]
async fn a_keyed_post_is_repeated_with_one_key() {
    let bench = Bench::new([Script::broken(), Script::silence(), ok()]);
    call(&bench, &CREATE).await.expect("the third attempt succeeds");
    let keys = bench.header("idempotency-key");
    assert_eq!(keys.len(), 3);
    assert!(keys.iter().all(|key| key == &keys[0]));
    let key: uuid::Uuid = keys[0].parse().expect("the key is a UUID");
    assert_eq!(key.get_version_num(), 7);
}

#[tokio::test]
async fn two_calls_have_two_keys_unless_the_caller_gives_one() {
    let bench = Bench::new([ok(), ok(), ok()]);
    call(&bench, &CREATE).await.expect("succeeds");
    call(&bench, &CREATE).await.expect("succeeds");
    call(&bench, &POKE).idempotency_key("mine").await.expect("succeeds");
    let keys = bench.header("idempotency-key");
    assert_ne!(keys[0], keys[1]);
    assert_eq!(keys[2], "mine");
}

#[tokio::test]
async fn a_post_that_may_be_repeated_is_treated_like_a_read() {
    let steps =
        [Script::refused(), Script::broken(), Script::silence(), refusal(500, "internal"), Script::answer(502, "")];
    for step in steps {
        let bench = Bench::new([step, ok()]);
        call(&bench, &SETTLE).await.expect("the second attempt succeeds");
        assert_eq!(bench.header("idempotency-key"), ["", ""], "it needs no key");
    }
    let bench = Bench::new([refusal(409, "approval_conflict"), ok()]);
    call(&bench, &SETTLE).await.expect_err("a final refusal stays final");
    assert_eq!(bench.attempts(), 1);
}

#[tokio::test]
async fn an_unkeyed_post_is_repeated_only_if_it_had_no_effect() {
    for step in [Script::refused(), Script::answer(429, ""), Script::answer(503, "")] {
        let bench = Bench::new([step, ok()]);
        call(&bench, &POKE).await.expect("the first attempt had no effect");
        assert_eq!(bench.header("idempotency-key"), ["", ""]);
    }
    let doubtful = [Script::broken(), Script::silence(), refusal(500, "internal"), Script::answer(502, "")];
    for step in doubtful {
        let bench = Bench::new([step, ok()]);
        call(&bench, &POKE).await.expect_err("the first attempt may have had an effect");
        assert_eq!(bench.attempts(), 1);
    }
}

#[tokio::test]
async fn an_attempt_that_takes_too_long_is_given_up() {
    let bench = Bench::new([Script::silence(), ok()]);
    call(&bench, &READ).timeout(Duration::from_secs(3)).await.expect("the second attempt succeeds");
    assert!(bench.clock.elapsed() >= Duration::from_secs(3));
    assert!(bench.clock.elapsed() < Duration::from_secs(4));
}

#[tokio::test]
async fn the_deadline_holds_across_attempts() {
    let bench = Bench::new(times(9, &Script::silence()));
    let error = call(&bench, &READ).await.expect_err("the server is silent");
    assert!(
        matches!(error, Error::Timeout { limit: TimeLimit::Deadline, after } if after == Duration::from_secs(60)),
        "{error:?}"
    );
    assert_eq!(bench.clock.elapsed(), Duration::from_secs(60));
    assert_eq!(bench.attempts(), 2);
}

#[tokio::test]
async fn retry_after_is_obeyed_when_it_fits() {
    let bench = Bench::new([Script::answer(429, "").header("retry-after", "20"), ok()]);
    call(&bench, &READ).await.expect("the second attempt succeeds");
    let waited = bench.clock.elapsed();
    assert!((Duration::from_secs(20)..=Duration::from_millis(20_100)).contains(&waited), "{waited:?}");
}

#[tokio::test]
async fn retry_after_past_the_deadline_is_an_error_at_once() {
    let bench = Bench::new([Script::answer(429, "").header("retry-after", "3600"), ok()]);
    let error = call(&bench, &READ).await.expect_err("an hour does not fit into a minute");
    assert_eq!(error.retry_after(), Some(Duration::from_secs(3600)));
    assert_eq!(bench.clock.elapsed(), Duration::ZERO);
}

#[tokio::test]
async fn retry_after_may_be_a_date() {
    // The client's clock says 2026-01-01; the server's own date wins where it is given.
    let by_own_clock = Script::answer(503, "").header("retry-after", "Thu, 01 Jan 2026 00:00:07 GMT");
    let by_server = Script::answer(503, "")
        .header("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT")
        .header("date", "Sun, 06 Nov 1994 08:49:30 GMT");
    for step in [by_own_clock, by_server] {
        let bench = Bench::new([step]);
        let error = call(&bench, &READ).retries(0).await.expect_err("refused");
        assert_eq!(error.retry_after(), Some(Duration::from_secs(7)));
    }
}

#[tokio::test]
async fn the_budget_is_shared_and_comes_back_with_success() {
    let bench = Bench::new(times(15, &Script::refused()).into_iter().chain([ok(), Script::refused(), ok()]));
    for attempts_so_far in [5, 10, 13, 14, 15] {
        // Two calls use up eight of ten repetitions, the third the last two, the others have none.
        call(&bench, &READ).await.expect_err("nothing listens");
        assert_eq!(bench.attempts(), attempts_so_far);
    }
    call(&bench.client_clone(), &READ).await.expect("the server is back");
    call(&bench, &READ).await.expect("one repetition has come back");
    assert_eq!(bench.attempts(), 18);
}

impl Bench {
    fn client_clone(&self) -> Self {
        Self { client: self.client.clone(), clock: self.clock.clone(), transport: self.transport.clone() }
    }
}

#[test]
fn backoff_has_full_jitter_and_a_cap() {
    let policy = RetryPolicy::default();
    let random = SeededRandom::new(1);
    for (repetition, longest) in [(0, 100), (1, 200), (3, 800), (10, 5000), (u32::MAX, 5000)] {
        let longest = Duration::from_millis(longest);
        let waits: Vec<_> = (0..200).map(|_| policy.backoff(repetition, &random)).collect();
        assert!(waits.iter().all(|wait| *wait <= longest));
        assert!(waits.iter().any(|wait| *wait < longest / 10), "jitter reaches down to nothing");
        assert!(waits.iter().any(|wait| *wait > longest * 9 / 10), "jitter reaches up to the maximum");
    }
}
