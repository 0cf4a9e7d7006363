//! Parameters of every place and type, their defaults and their limits.

use poem::http::Method;

use crate::service::{Answered, send};

const ID: &str = "0190a1b2-0000-7000-8000-000000000001";

async fn parts(path: &str, query: &str, headers: &[(&str, &str)]) -> Answered {
    send(Method::GET, &format!("/things/{path}?{query}"), headers, None).await
}

async fn arrived(query: &str, headers: &[(&str, &str)]) -> String {
    let answer = parts(&format!("{ID}/parts/self/3"), query, headers).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()["next_cursor"].as_str().expect("the answer tells what arrived").to_owned()
}

#[tokio::test]
async fn every_parameter_arrives() {
    let query = format!(
        "context=c%26d&must={ID}&must={ID}&text=&color=two%20words&colors=red&colors=1d&flag=false&ratio=1&offset=-7\
         &since=2026-01-31T12:00:00%2B01:00&seq=9223372036854775807&limit=200&cursor=abc&old=o"
    );
    let told = arrived(&query, &[("x-trace", "t"), ("X-DEPTH", "9")]).await;
    for part in [
        &format!("{ID} self 3 "),
        "context: \"c&d\"",
        &format!("must: [{ID}, {ID}]"),
        "text: \"\"",
        "color: TwoWords",
        "colors: [Red, _1d]",
        "flag: false",
        "ratio: 1.0",
        "offset: Some(-7)",
        "since: Some(Timestamp(1769857200000))",
        "seq: Some(Int64(9223372036854775807))",
        "limit: 200",
        "cursor: Some(\"abc\")",
        "old: Some(\"o\")",
        "x_trace: Some(\"t\")",
        "x_depth: 9",
    ] {
        assert!(told.contains(part), "{part} is not in {told}");
    }
}

#[tokio::test]
async fn what_is_left_out_has_its_default() {
    let told = arrived(&format!("context=c&must={ID}"), &[("x-depth", "0")]).await;
    for part in [
        "text: \"a \\\"quoted\\\" text\"",
        "color: Unknown",
        "colors: []",
        "flag: true",
        "ratio: 0.5",
        "offset: None",
        "since: None",
        "seq: None",
        "limit: 50",
        "cursor: None",
        "x_trace: None",
    ] {
        assert!(told.contains(part), "{part} is not in {told}");
    }
}

#[tokio::test]
async fn what_the_contract_forbids_is_refused_by_name() {
    let right = format!("context=c&must={ID}");
    for (wrong, name) in [
        ("color=blue", "color"),
        ("colors=red&colors=blue", "colors"),
        ("flag=yes", "flag"),
        ("ratio=1.5", "ratio"),
        ("offset=9007199254740992", "offset"),
        ("offset=1.0", "offset"),
        ("since=now", "since"),
        ("seq=x", "seq"),
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("cursor=123456789012345678901", "cursor"),
    ] {
        let answer = parts(&format!("{ID}/parts/red/1"), &format!("{right}&{wrong}"), &[("x-depth", "1")]).await;
        assert_eq!(answer.problems(), [name], "{wrong}");
    }
    for (query, name) in [
        (format!("must={ID}"), "context"),
        (format!("context=&must={ID}"), "context"),
        ("context=c".to_owned(), "must"),
        (format!("{right}&must={ID}&must={ID}"), "must"),
    ] {
        let answer = parts(&format!("{ID}/parts/red/1"), &query, &[("x-depth", "1")]).await;
        assert_eq!(answer.problems(), [name], "{query}");
    }
    for (headers, name) in
        [(vec![], "X-Depth"), (vec![("x-depth", "10")], "X-Depth"), (vec![("x-depth", "-1")], "X-Depth")]
    {
        let answer = parts(&format!("{ID}/parts/red/1"), &right, &headers).await;
        assert_eq!(answer.problems(), [name], "{headers:?}");
    }
    for path in ["no/parts/red/1".to_owned(), format!("{ID}/parts/blue/1"), format!("{ID}/parts/red/0")] {
        let answer = parts(&path, &right, &[("x-depth", "1")]).await;
        assert_eq!(answer.problems().len(), 1, "{path}");
    }
}

#[tokio::test]
async fn a_path_has_limits_too() {
    for thing in ["abcdefghi", "A", "a-b"] {
        let answer = send(Method::DELETE, &format!("/things/{thing}"), &[], None).await;
        assert_eq!(answer.problems(), ["thing_id"], "{thing}");
    }
}
