//! Methods: what they send, and what they make of an answer.

use futures_util::TryStreamExt;
use serde_json::json;
use uuid::Uuid;

use crate::client::{Client, Error};
use crate::generated::int64::Int64;
use crate::generated::things::{CreateThingSuccess, ListPartsParameters};
use crate::generated::types::{Circle, Color, Secrets, Shape, States};
use crate::runtime::{Security, Timestamp};

const ID: Uuid = Uuid::from_u128(7);

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn what_is_left_out_is_not_sent() {
    let parameters = ListPartsParameters::new("c", vec![ID], 3);
    let call = Client::default().things().list_parts(&ID, &Color::Self_, &5, &parameters);
    assert_eq!(call.sent.operation.id, "listParts");
    assert_eq!(call.sent.path, format!("/things/{ID}/parts/self/5"));
    assert_eq!(call.sent.query, pairs(&[("context", "c"), ("must", &ID.to_string())]));
    assert_eq!(call.sent.headers, pairs(&[("X-Depth", "3")]));
}

#[test]
fn every_parameter_is_sent_as_the_wire_has_it() {
    let at: Timestamp = "2026-01-31T12:00:00Z".parse().expect("it is a time");
    let parameters = ListPartsParameters::new("c", vec![], 3)
        .with_text("t")
        .with_color(Color::TwoWords)
        .with_colors(vec![Color::Red, Color::_1d])
        .with_flag(false)
        .with_ratio(0.25)
        .with_offset(-7)
        .with_since(at)
        .with_seq(Int64(i64::MAX))
        .with_limit(9)
        .with_cursor("x")
        .with_old("o")
        .with_x_trace("h");
    let call = Client::default().things().list_parts(&ID, &Color::Unknown_, &5, &parameters);
    let expected = [
        ("context", "c"),
        ("text", "t"),
        ("color", "two words"),
        ("colors", "red"),
        ("colors", "1d"),
        ("flag", "false"),
        ("ratio", "0.25"),
        ("offset", "-7"),
        ("since", "2026-01-31T12:00:00.000Z"),
        ("seq", "9223372036854775807"),
        ("limit", "9"),
        ("cursor", "x"),
        ("old", "o"),
    ];
    assert_eq!(call.sent.query, pairs(&expected));
    assert_eq!(call.sent.headers, pairs(&[("X-Trace", "h"), ("X-Depth", "3")]));
}

#[test]
fn a_value_stays_within_its_part_of_the_path() {
    let call = Client::default().things().remove_thing("../a b?c#d");
    assert_eq!(call.sent.path, "/things/..%2Fa%20b%3Fc%23d");
}

#[tokio::test]
async fn every_success_becomes_its_variant() {
    let keywords = r#"{"type":"t","self":"s","Crate":"c","agentId":"a","class":"k"}"#;
    let client = Client::answering(&[(201, keywords), (204, ""), (206, "{}")]);
    let body = serde_json::from_value(crate::values::scalars()).expect("it is right");
    let created = client.things().create_thing(&body).await.expect("it is an answer");
    let CreateThingSuccess::Created(created) = created else { panic!("{created:?}") };
    assert_eq!((created.r#type.as_str(), created.self_.as_str(), created.agent_id.as_str()), ("t", "s", "a"));
    let nothing = client.things().create_thing(&body).await.expect("it is an answer");
    assert_eq!(nothing, CreateThingSuccess::NoContent);
    let other = client.things().create_thing(&body).await;
    assert!(matches!(other, Err(Error::Decode(_))), "{other:?}");
}

#[tokio::test]
async fn answers_of_every_kind_are_read() {
    let client =
        Client::answering(&[(200, "a text"), (204, ""), (200, r#"[{"kind":"circle","radius":1.5}]"#), (200, "{}")]);
    assert_eq!(client.things().get_text().await.expect("it is an answer"), "a text");
    client.things().remove_thing("a").await.expect("it is an answer");
    let shapes = client.things().list_shapes().await.expect("it is an answer");
    assert_eq!(shapes, [Shape::from(Circle::new(1.5))]);
    client.r#type().move_it().await.expect("it is an answer");
}

#[test]
fn an_operation_says_whether_it_may_be_repeated() {
    let client = Client::default();
    let secrets = Secrets::new("a", None, "b", "c");
    let shape = Shape::from(Circle::new(1.5));
    let things = client.things();
    let promised = things.check_secrets(&secrets);
    assert!(promised.sent.operation.repeatable && !promised.sent.operation.idempotent);
    let by_key = things.submit_shape(&shape);
    assert!(!by_key.sent.operation.repeatable && by_key.sent.operation.idempotent);
    assert!(things.get_text().sent.operation.repeatable && things.remove_thing("a").sent.operation.repeatable);
    assert!(!things.change_states("a", &States::new("p", None, None)).sent.operation.repeatable);
}

#[tokio::test]
async fn pages_become_a_stream() {
    let client = Client::answering(&[
        (200, r#"{"items":[{"kind":"Unknown"}],"next_cursor":"two"}"#),
        (200, r#"{"items":[],"next_cursor":"three"}"#),
        (200, r#"{"items":[{"kind":"circle","radius":1.0}]}"#),
    ]);
    let parameters = ListPartsParameters::new("c", vec![ID], 3).with_limit(1);
    let stream = client.things().list_parts_stream(&ID, &Color::Red, &1, &parameters);
    let shapes: Vec<Shape> = stream.try_collect().await.expect("every page is right");
    assert_eq!(shapes.len(), 2);
    let sent = client.sent.lock().expect("nothing panicked").clone();
    let cursors =
        sent.iter().map(|sent| sent.query.iter().find(|(name, _)| name == "cursor").map(|(_, value)| value.as_str()));
    assert_eq!(cursors.collect::<Vec<_>>(), [None, Some("two"), Some("three")]);
}

#[test]
fn bodies_are_sent_with_their_three_states() {
    let states = States::new("p", None, None).with_both("b".to_owned());
    let call = Client::default().things().change_states("a", &states);
    let expected = json!({ "plain": "p", "nullable": null, "nullable_shape": null, "both": "b" });
    assert_eq!(call.sent.body, Some(expected));
}
