//! Types: what is read can be written back unchanged, whatever a newer server put into it.

use serde_json::{Value, json};

use crate::generated::errors::ErrorCode;
use crate::generated::int64::Int64;
use crate::generated::types::{
    Circle, Color, Empty, Frame, Keywords, Nothing, Option_, Scalars, Secrets, Shape, States, Tree,
};
use crate::runtime::Field;

pub fn scalars() -> Value {
    json!({
        "text": "t",
        "id": "0190a1b2-0000-7000-8000-000000000001",
        "at": "2026-01-31T12:00:00.007Z",
        "link": "https://example.com/",
        "large": "-9223372036854775808",
        "integer": -1,
        "unsigned": 1,
        "int32": 1,
        "number": 0.5,
        "boolean": true,
        "object": { "any": [1, "thing", null] },
        "names": ["a"],
        "counts": { "x": 1 },
        "colors": { "y": "on-request" },
        "run": "0190a1b2-0000-7000-8000-000000000002",
    })
}

fn there_and_back<T: serde::Serialize + serde::de::DeserializeOwned>(value: &Value) -> Value {
    let read: T = serde_json::from_value(value.clone()).unwrap_or_else(|error| panic!("{error}: {value}"));
    serde_json::to_value(read).expect("it serialises")
}

#[test]
fn every_scalar_comes_back() {
    assert_eq!(there_and_back::<Scalars>(&scalars()), scalars());
    let read: Scalars = serde_json::from_value(scalars()).expect("it is right");
    assert_eq!(read.large, Int64(i64::MIN));
    assert_eq!(read.name, None);
}

#[test]
fn secrets_travel_but_are_never_shown() {
    let least = json!({ "plain": "hush", "nullable": null, "type": "hush", "shown": "seen" });
    let full = json!({
        "plain": "hush", "nullable": "hush", "optional": "hush", "both": "hush", "type": "hush", "shown": "seen",
        "inside": least,
    });
    for body in [least, full] {
        assert_eq!(there_and_back::<Secrets>(&body), body);
        let read: Secrets = serde_json::from_value(body).expect("it is right");
        for shown in [format!("{read:?}"), format!("{read:#?}")] {
            assert!(!shown.contains("hush") && shown.contains("seen"), "{shown}");
            let count = shown.matches("[redacted]").count();
            assert_eq!(count, if read.inside.is_some() { 10 } else { 5 }, "{shown}");
        }
    }
    let made = Secrets::new("hush", Some("hush".to_owned()), "hush", "seen").with_both("hush".to_owned());
    assert_eq!(
        format!("{made:?}"),
        "Secrets { plain: [redacted], nullable: [redacted], optional: [redacted], both: [redacted], \
         type: [redacted], shown: \"seen\", inside: None }"
    );
}

#[test]
fn a_value_of_the_future_is_kept() {
    let color: Color = serde_json::from_value(json!("ultraviolet")).expect("enums are open");
    assert!(matches!(&color, Color::Unknown(value) if value.as_str() == "ultraviolet"));
    assert_eq!(serde_json::to_value(&color).expect("it serialises"), "ultraviolet");
    assert_eq!(color.to_string(), "ultraviolet");
    let mut body = scalars();
    body["colors"]["y"] = json!("ultraviolet");
    assert_eq!(there_and_back::<Scalars>(&body), body);
}

#[test]
fn a_value_that_is_called_unknown_is_a_known_one() {
    let color: Color = serde_json::from_value(json!("Unknown")).expect("it is right");
    assert_eq!(color, Color::Unknown_);
    for color in Color::ALL {
        let text = serde_json::to_value(color).expect("it serialises");
        assert_eq!(&serde_json::from_value::<Color>(text).expect("it comes back"), color);
    }
    assert_eq!(ErrorCode::from("unknown"), ErrorCode::Unknown_);
    assert_eq!(ErrorCode::from("unknown").retryable(), Some(false));
    assert_eq!(ErrorCode::from("of_the_future").retryable(), None);
    assert_eq!(ErrorCode::from("of_the_future").as_str(), "of_the_future");
}

#[test]
fn the_union_owns_the_tag() {
    let circle = Circle::new(2.0);
    assert_eq!(serde_json::to_value(&circle).expect("it serialises"), json!({ "radius": 2.0 }));
    let shape = Shape::from(Frame::new(Shape::from(circle)));
    let text = serde_json::to_string(&shape).expect("it serialises");
    assert_eq!(text, r#"{"kind":"frame","inside":{"kind":"circle","radius":2.0}}"#);
    assert_eq!(shape.tag(), "frame");
    assert_eq!(serde_json::from_str::<Shape>(&text).expect("it comes back"), shape);
    let nothing = Shape::Unknown_(Nothing::default());
    assert_eq!(serde_json::to_value(&nothing).expect("it serialises"), json!({ "kind": "Unknown" }));
}

#[test]
fn a_variant_of_the_future_is_kept_whole() {
    let body = json!({ "kind": "spiral", "turns": 7, "inside": { "kind": "circle" } });
    let shape: Shape = serde_json::from_value(body.clone()).expect("unions are open");
    assert!(matches!(&shape, Shape::Unknown(variant) if variant.tag() == "spiral"));
    assert_eq!(shape.tag(), "spiral");
    assert_eq!(serde_json::to_value(&shape).expect("it serialises"), body);
    let nested = json!({ "kind": "frame", "inside": body });
    assert_eq!(there_and_back::<Shape>(&nested), nested);
    for wrong in [json!({}), json!({ "kind": 1 }), json!({ "kind": "circle" }), json!(null)] {
        assert!(serde_json::from_value::<Shape>(wrong.clone()).is_err(), "{wrong}");
    }
}

#[test]
fn the_three_states_are_kept_apart() {
    let least = json!({ "plain": "p", "nullable": null, "nullable_shape": null });
    let mut null = least.clone();
    null["both"] = json!(null);
    let mut value = least.clone();
    value["both"] = json!("b");
    value["both_object"] = json!({});
    value["both_color"] = json!("ultraviolet");
    for (body, both) in [(least, Field::Absent), (null, Field::Null), (value, Field::Value("b".to_owned()))] {
        let states: States = serde_json::from_value(body.clone()).expect("it is right");
        assert_eq!(states.both, both);
        assert_eq!(serde_json::to_value(&states).expect("it serialises"), body);
    }
    // A reader is more patient than a writer: what must be there, or must not be null, may still be missing or null.
    let patient: States = serde_json::from_value(json!({ "plain": "p", "optional": null })).expect("it is readable");
    assert_eq!((patient.optional, patient.nullable), (None, None));
}

#[test]
fn names_of_the_wire_are_kept() {
    let body = json!({
        "type": "t", "self": "s", "Crate": "c", "agentId": "a", "class": "k", "fn": "f", "async": true,
        "problems": "p", "here": "h", "value": "v", "at": "a",
    });
    assert_eq!(there_and_back::<Keywords>(&body), body);
    let keywords = Keywords::new("t", "s", "c", "a", "k").with_fn("f").with_async(true);
    assert_eq!(keywords.r#fn.as_deref(), Some("f"));
}

#[test]
fn types_may_contain_themselves() {
    let leaf = Tree::new(1, None, vec![]);
    let tree = Tree::new(2, Some(Box::new(leaf.clone())), vec![leaf.clone()]).with_left(leaf);
    let body = serde_json::to_value(&tree).expect("it serialises");
    assert_eq!(serde_json::from_value::<Tree>(body).expect("it comes back"), tree);
}

#[test]
fn what_has_nothing_required_has_a_default() {
    assert_eq!(serde_json::to_value(Option_::default()).expect("it serialises"), json!({}));
    assert_eq!(serde_json::to_value(Empty::default()).expect("it serialises"), json!({}));
    assert_eq!(Option_::default().with_none(true).none, Some(true));
}
