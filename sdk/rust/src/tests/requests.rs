use uuid::Uuid;

use super::{Bench, CREATE, READ, ok};
use crate::runtime::{Answer, segment};
use crate::testing::Script;
use crate::{Call, Error, Method};

fn call(bench: &Bench, path: &str) -> Call<String> {
    bench.client.call(&READ, path)
}

#[tokio::test]
async fn parameters_are_escaped_and_absent_ones_left_out() {
    let bench = Bench::new([ok()]);
    call(&bench, "/things")
        .query("text", "a b&c=ü")
        .query_option("none", &None::<u32>)
        .query_option("some", &Some(7))
        .query_option("list", &["x", "y"])
        .await
        .expect("succeeds");
    assert_eq!(
        bench.transport.requests()[0].url.as_str(),
        "http://127.0.0.1:8787/things?text=a+b%26c%3D%C3%BC&some=7&list=x&list=y"
    );
}

#[tokio::test]
async fn no_parameters_leave_no_question_mark() {
    let bench = Bench::new([ok()]);
    call(&bench, "/things").query_option("none", &None::<u32>).await.expect("succeeds");
    assert_eq!(bench.transport.requests()[0].url.as_str(), "http://127.0.0.1:8787/things");
}

#[tokio::test]
async fn a_segment_stays_a_segment() {
    assert_eq!(segment(&Uuid::nil()), "00000000-0000-0000-0000-000000000000");
    assert_eq!(segment("a/b?c#d%e ü"), "a%2Fb%3Fc%23d%25e%20%C3%BC");

    for (value, path) in [("..", "/things/%252E%252E/x"), (".", "/things/%252E/x"), ("a..b", "/things/a..b/x")] {
        let bench = Bench::new([ok()]);
        call(&bench, &format!("/things/{}/x", segment(value))).await.expect("succeeds");
        assert_eq!(bench.transport.requests()[0].url.path(), path);
    }
}

#[tokio::test]
async fn the_base_urls_path_is_kept() {
    for base_url in ["https://example.com/deck", "https://example.com/deck/"] {
        let bench = Bench::with([ok()], |builder| builder.base_url(base_url));
        call(&bench, "/things").await.expect("succeeds");
        assert_eq!(bench.transport.requests()[0].url.as_str(), "https://example.com/deck/things");
    }
}

#[tokio::test]
async fn a_path_cannot_lead_to_another_server() {
    for path in ["things", "@elsewhere.example/", ":1/", ""] {
        let bench = Bench::new([ok()]);
        let error = bench.client.request::<String>(Method::Get, path).await.expect_err("not a path");
        assert!(matches!(error, Error::Configuration(_)), "{path:?}: {error}");
        assert_eq!(bench.attempts(), 0);
    }
}

#[tokio::test]
async fn the_client_names_itself() {
    let bench = Bench::with([ok()], |builder| builder.user_agent("my-hook/1.2"));
    call(&bench, "/things").request_id("mine-1").await.expect("succeeds");
    let expected = format!(
        "my-hook/1.2 flightdeck-rust/{} ({}; {})",
        env!("CARGO_PKG_VERSION"),
        std::env::consts::OS,
        std::env::consts::ARCH
    );
    assert_eq!(bench.header("user-agent"), [expected]);
    assert_eq!(bench.header("x-request-id"), ["mine-1"]);
}

#[tokio::test]
async fn the_first_mistake_in_a_call_is_reported_when_it_is_awaited() {
    let bench = Bench::new([ok()]);
    let error = call(&bench, "/things").header("x-bad", "a\nb").query("fine", &1).await.expect_err("a line break");
    assert_eq!(error.to_string(), "the value of the header `x-bad` cannot be sent; remove control characters");
    assert_eq!(bench.attempts(), 0);
}

#[tokio::test]
async fn a_response_can_be_seen_whole() {
    let bench = Bench::new([Script::answer(201, "made").header("x-request-id", "r-9").header("x-extra", "1")]);
    let response = bench.client.call::<String>(&CREATE, "/things").json(&1).with_response().await.expect("succeeds");
    assert_eq!((response.status, response.request_id.as_deref(), response.attempts), (201, Some("r-9"), 1));
    assert_eq!(response.headers["x-extra"], "1");
    assert_eq!(bench.header("content-type"), ["application/json"]);
}

#[test]
fn answers_are_read_by_their_type() {
    assert_eq!(<Vec<u8>>::decode(200, b"[1,2]").expect("a list"), [1, 2]);
    assert_eq!(String::decode(200, "grün".as_bytes()).expect("text"), "grün");
    String::decode(200, b"\xff").expect_err("not text");
    <()>::decode(204, b"").expect("nothing");
    <()>::decode(200, b"ignored").expect("nothing that matters");
}
