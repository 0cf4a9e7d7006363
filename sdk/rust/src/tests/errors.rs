use std::error::Error as _;

use super::{Bench, READ, refusal};
use crate::generated::types::PairingResult;
use crate::runtime::Json;
use crate::testing::Script;
use crate::{Error, ErrorCode};

async fn fail(step: Script) -> Error {
    let bench = Bench::new([step]);
    bench.client.call::<Json<u32>>(&READ, "/things").retries(0).await.expect_err("the script ends in an error")
}

#[tokio::test]
async fn a_refusal_shows_code_message_action_and_request() {
    let error = fail(refusal(404, "run_not_found")).await;
    assert_eq!(error.to_string(), "run_not_found: It did not work. Try harder. (HTTP 404, request r-1)");
    assert_eq!(error.code(), Some(&ErrorCode::RunNotFound));
    assert_eq!(error.request_id(), Some("r-1"));
    assert!(!error.is_retryable());
}

#[tokio::test]
async fn details_are_shown() {
    let body =
        r#"{"error":"Not right.","code":"too_new_to_know","details":[{"path":"/run_id","message":"not a UUID"}]}"#;
    let error = fail(Script::answer(400, body).header("x-request-id", "r-2")).await;
    assert_eq!(error.to_string(), "too_new_to_know: Not right. [/run_id: not a UUID] (HTTP 400, request r-2)");
    assert!(matches!(error.code(), Some(ErrorCode::Unknown(code)) if code.as_str() == "too_new_to_know"));
}

#[tokio::test]
async fn an_answer_that_is_not_flightdecks_is_quoted_in_part() {
    let error = fail(Script::answer(502, format!("<html>{}", "bad gateway ".repeat(100)))).await;
    let shown = error.to_string();
    assert!(shown.starts_with("http_502: The answer is not Flightdeck's: \"<html>bad gateway"), "{shown}");
    assert!(shown.ends_with("Check the base URL, and any proxy in between. (HTTP 502)"), "{shown}");
    assert!(shown.len() < 350, "{shown}");
    assert!(error.is_retryable());
}

#[tokio::test]
async fn a_redirect_is_explained() {
    let error = fail(Script::answer(308, "").header("location", "https://elsewhere.example/")).await;
    assert_eq!(
        error.to_string(),
        "http_308: The server redirects to \"https://elsewhere.example/\", which is not followed, because requests \
         carry credentials. Set the base URL to where the server really is. (HTTP 308)"
    );
}

#[tokio::test]
async fn no_connection_says_where_and_keeps_the_cause() {
    let error = fail(Script::refused()).await;
    assert_eq!(
        error.to_string(),
        "could not connect to http://127.0.0.1:8787; check that Flightdeck runs there and that the base URL is right"
    );
    assert_eq!(error.source().expect("the cause is kept").to_string(), "connection refused");
    assert!(error.is_retryable());
}

#[tokio::test]
async fn a_lost_connection_warns_that_it_may_have_worked() {
    let error = fail(Script::broken()).await;
    assert_eq!(
        error.to_string(),
        "lost the connection to http://127.0.0.1:8787 before the answer; the request may have taken effect, so check \
         before repeating it"
    );
}

#[tokio::test]
async fn a_timeout_says_which_limit() {
    let error = fail(Script::silence()).await;
    assert_eq!(
        error.to_string(),
        "no answer within 30s (the limit for one attempt); the request may have taken effect, so check before \
         repeating it, or allow more time"
    );
}

#[tokio::test]
async fn an_answer_that_is_not_json_shows_its_beginning_and_keeps_the_cause() {
    let error = fail(Script::answer(200, "<html>Sign in to the Wi-Fi")).await;
    assert!(
        matches!(&error, Error::Decode { status: 200, excerpt, .. } if excerpt == "<html>Sign in to the Wi-Fi"),
        "{error:?}"
    );
    assert!(error.to_string().contains("could not be read: \"<html>Sign in"), "{error}");
    assert!(error.source().expect("the cause is kept").to_string().contains("line 1 column 1"));
    assert!(!error.is_retryable());
}

#[tokio::test]
async fn an_unreadable_json_answer_says_where_and_shows_nothing_of_it() {
    for (body, reason) in [
        (r#"{"status":"COMPLETED","workspace_id":"s3cret"}"#, "not the expected form at line 1 column 45"),
        (r#"{"status":5,"bridge_secret":"s3cret"}"#, "expected a string at line 1 column 11"),
        (r#"{"bridge_secret":"s3cret"}"#, "missing field `status` at line 1 column 26"),
        (r#""s3cret, expected ""#, "expected struct PairingResult at line 1 column 19"),
        (r#"{"status":"COMPLETED","bridge_secret":"s3cret""#, "EOF while parsing an object at line 1 column 46"),
    ] {
        let bench = Bench::new([Script::answer(200, body)]);
        let error = bench.client.call::<PairingResult>(&READ, "/things").await.expect_err("it is not a result");
        assert!(matches!(&error, Error::Decode { excerpt, .. } if excerpt.is_empty()), "{error:?}");
        assert_eq!(error.source().expect("the cause is kept").to_string(), reason, "{body}");
        assert!(!format!("{error} {error:?}").contains("s3cret"), "{error:?}");
        assert!(error.to_string().starts_with("the server's answer (HTTP 200) could not be read; check"), "{error}");
    }
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_not_read() {
    let bench = Bench::with([Script::answer(200, "12345")], |builder| builder.body_limit(4));
    let error = bench.client.call::<String>(&READ, "/things").await.expect_err("five bytes are more than four");
    assert_eq!(error.source().expect("the cause is kept").to_string(), "the answer is larger than 4 bytes");
    assert_eq!(bench.attempts(), 1);
}

#[test]
fn an_error_is_small_and_can_cross_threads() {
    fn crosses<T: Send + Sync + 'static>() {}
    crosses::<Error>();
    assert!(size_of::<Error>() <= 64);
}
