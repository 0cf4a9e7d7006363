//! Bodies: what goes in comes out again, and what the contract forbids is refused with its place.

use poem::http::Method;
use serde_json::{Value, json};

use crate::generated::types::Secrets;
use crate::service::{post, send};

fn scalars() -> Value {
    json!({
        "text": "a\u{e9}",
        "id": "0190a1b2-0000-7000-8000-000000000001",
        "at": "2026-01-31T12:00:00.007Z",
        "link": "https://example.com/",
        "large": "9223372036854775807",
        "integer": -9_007_199_254_740_991_i64,
        "unsigned": 9_007_199_254_740_991_u64,
        "int32": -5,
        "number": 0.5,
        "boolean": true,
        "object": { "any": [1, "thing", null] },
        "names": ["a", "b"],
        "counts": { "x": 1 },
        "colors": { "y": "on-request" },
        "run": "0190a1b2-0000-7000-8000-000000000002",
    })
}

fn scalars_with(name: &str, value: Value) -> Value {
    let mut body = scalars();
    body[name] = value;
    body
}

#[tokio::test]
async fn every_scalar_comes_back() {
    let mut full = scalars();
    full["name"] = json!("n");
    full["option"] = json!({ "none": true });
    full["shapes"] = json!([{ "kind": "circle", "radius": 2.0 }]);
    for body in [scalars(), full] {
        let answer = post("/things", &body).await;
        assert_eq!((answer.status, answer.json()), (200, body));
        assert_eq!(answer.content_type.as_deref(), Some("application/json"));
    }
}

#[tokio::test]
async fn unknown_properties_are_ignored() {
    let answer = post("/things", &scalars_with("new_in_version_9", json!({ "a": 1 }))).await;
    assert_eq!(answer.json(), scalars());
}

#[tokio::test]
async fn what_the_contract_forbids_is_refused_with_its_place() {
    let too_large = 9_007_199_254_740_992_u64;
    for (name, value, place) in [
        ("text", json!(""), "/text"),
        ("text", json!("12345678901"), "/text"),
        ("text", json!("a\u{0}"), "/text"),
        ("text", json!(5), "/text"),
        ("text", json!(null), "/text"),
        ("id", json!("no"), "/id"),
        ("at", json!("yesterday"), "/at"),
        ("large", json!(5), "/large"),
        ("integer", json!(too_large), "/integer"),
        ("integer", json!(1.5), "/integer"),
        ("integer", json!("1"), "/integer"),
        ("unsigned", json!(-1), "/unsigned"),
        ("unsigned", json!(too_large), "/unsigned"),
        ("int32", json!(6), "/int32"),
        ("int32", json!(5_000_000_000_i64), "/int32"),
        ("number", json!(100.5), "/number"),
        ("boolean", json!("true"), "/boolean"),
        ("object", json!([]), "/object"),
        ("names", json!([]), "/names"),
        ("names", json!(["a", "123456"]), "/names/1"),
        ("counts", json!({ "a/b": too_large }), "/counts/a~1b"),
        ("colors", json!({ "a": "blue" }), "/colors/a"),
        ("run", json!(""), "/run"),
        ("name", json!(""), "/name"),
        ("name", json!(null), "/name"),
        ("option", json!({ "none": 1 }), "/option/none"),
        ("shapes", json!([{ "kind": "circle", "radius": -1.0 }]), "/shapes/0/radius"),
    ] {
        let answer = post("/things", &scalars_with(name, value.clone())).await;
        assert_eq!(answer.problems(), [place], "{name}: {value}");
    }
    let mut missing = scalars();
    missing.as_object_mut().expect("it is an object").remove("text");
    assert_eq!(post("/things", &missing).await.problems(), [""]);
}

#[tokio::test]
async fn a_body_that_is_not_json_is_refused() {
    for body in ["", "{", "[]", "null", "\"\"", "{} {}"] {
        let answer = send(Method::POST, "/things", &[], Some(body)).await;
        assert!(!answer.problems().is_empty(), "{body}");
    }
    let headers = [("content-type", "text/plain")];
    let answer = send(Method::POST, "/things", &headers, None).await;
    assert_eq!((answer.status, &answer.json()["code"]), (415, &json!("unsupported_media_type")));
}

#[tokio::test]
async fn every_success_has_its_own_status() {
    let answer = post("/things", &scalars_with("text", json!("new"))).await;
    let expected = json!({ "type": "t", "self": "s", "Crate": "c", "agentId": "req-1", "class": "k", "async": true });
    assert_eq!((answer.status, answer.json()), (201, expected));
    let answer = post("/things", &scalars_with("text", json!("none"))).await;
    assert_eq!((answer.status, answer.text.as_str()), (204, ""));
}

#[tokio::test]
async fn only_declared_codes_are_told() {
    let answer = post("/things", &scalars_with("text", json!("declared"))).await;
    let body = answer.json();
    assert_eq!((answer.status, &body["code"], &body["error"]), (404, &json!("unknown"), &json!("No.")));
    assert_eq!(body["request_id"], "req-1");
    assert_eq!(body.get("details"), None);
    let answer = post("/things", &scalars_with("text", json!("undeclared"))).await;
    assert_eq!((answer.status, &answer.json()["code"]), (500, &json!("internal")));
    assert!(!answer.text.contains("secret"));
}

#[tokio::test]
async fn the_three_states_are_kept_apart() {
    let least = json!({ "plain": "p", "nullable": null, "nullable_shape": null });
    let null = json!({ "plain": "p", "nullable": null, "nullable_shape": null, "both": null, "both_object": null, "both_color": null });
    let full = json!({
        "plain": "p", "nullable": "n", "optional": "o", "both": "b", "optional_list": [1],
        "nullable_shape": { "kind": "Unknown" }, "both_object": {}, "both_color": "1d",
    });
    for body in [least, null, full] {
        let answer = send(Method::PATCH, "/things/a", &[], Some(&body.to_string())).await;
        assert_eq!((answer.status, answer.json()), (200, body));
    }
    for (name, value, place) in [
        ("optional", json!(null), "/optional"),
        ("optional_list", json!(null), "/optional_list"),
        ("both", json!("123456"), "/both"),
        ("nullable", json!("123456"), "/nullable"),
        ("plain", json!(null), "/plain"),
    ] {
        let mut body = json!({ "plain": "p", "nullable": null, "nullable_shape": null });
        body[name] = value;
        let answer = send(Method::PATCH, "/things/a", &[], Some(&body.to_string())).await;
        assert_eq!(answer.problems(), [place]);
    }
    let missing = json!({ "plain": "p", "nullable_shape": null });
    let answer = send(Method::PATCH, "/things/a", &[], Some(&missing.to_string())).await;
    assert_eq!(answer.problems(), [""]);
}

#[tokio::test]
async fn secrets_travel_but_are_never_shown() {
    let least = json!({ "plain": "hush", "nullable": null, "type": "hush", "shown": "seen" });
    let full = json!({
        "plain": "hush", "nullable": "hush", "optional": "hush", "both": "hush", "type": "hush", "shown": "seen",
        "inside": least,
    });
    for body in [least, full] {
        let answer = post("/secrets", &body).await;
        assert_eq!((answer.status, answer.json()), (200, body.clone()));
        let read: Secrets = serde_json::from_value(body).expect("it is right");
        for shown in [format!("{read:?}"), format!("{read:#?}")] {
            assert!(!shown.contains("hush") && shown.contains("seen"), "{shown}");
            let count = shown.matches("[redacted]").count();
            assert_eq!(count, if read.inside.is_some() { 10 } else { 5 }, "{shown}");
        }
    }
    let mut empty = json!({ "plain": "", "nullable": null, "type": "hush", "shown": "seen" });
    assert_eq!(post("/secrets", &empty).await.problems(), ["/plain"]);
    empty["plain"] = json!("hush hush hush hush hush");
    let answer = post("/secrets", &empty).await;
    assert_eq!(answer.problems(), ["/plain"]);
    assert!(!answer.text.contains("hush"), "{}", answer.text);
}

#[tokio::test]
async fn unions_keep_their_tag() {
    for body in [
        json!({ "kind": "circle", "radius": 0.0 }),
        json!({ "kind": "Unknown" }),
        json!({ "kind": "frame", "inside": { "kind": "frame", "inside": { "kind": "circle", "radius": 1.0 } } }),
    ] {
        let answer = post("/shapes", &body).await;
        assert_eq!((answer.status, answer.json()), (200, body));
    }
    for wrong in [json!({ "kind": "square" }), json!({ "radius": 1.0 }), json!({ "kind": "circle" }), json!("circle")] {
        assert_eq!(post("/shapes", &wrong).await.problems().len(), 1, "{wrong}");
    }
    let deep = json!({ "kind": "frame", "inside": { "kind": "circle", "radius": -1.0 } });
    assert_eq!(post("/shapes", &deep).await.problems(), ["/inside/radius"]);
}

#[tokio::test]
async fn types_may_contain_themselves() {
    let leaf = json!({ "value": 1, "right": null, "children": [] });
    let body = json!({ "value": 2, "left": leaf, "right": leaf, "children": [leaf, leaf], "index": { "a": leaf } });
    let answer = send(Method::PUT, "/things", &[], Some(&body.to_string())).await;
    assert_eq!((answer.status, answer.json()), (202, body));
}

#[tokio::test]
async fn answers_without_json() {
    let answer = send(Method::GET, "/text", &[], None).await;
    assert_eq!((answer.status, answer.text.as_str()), (200, "for req-1"));
    assert_eq!(answer.content_type.as_deref(), Some("text/plain; charset=utf-8"));
    let answer = send(Method::DELETE, "/things/abc", &[], None).await;
    assert_eq!((answer.status, answer.text.as_str()), (204, ""));
    let answer = send(Method::GET, "/shapes", &[], None).await;
    assert_eq!(answer.json(), json!([{ "kind": "circle", "radius": 1.5 }, { "kind": "Unknown" }]));
    let answer = send(Method::GET, "/type", &[], None).await;
    assert_eq!(answer.json(), json!({}));
}
