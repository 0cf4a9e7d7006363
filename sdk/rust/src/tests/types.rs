use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::runtime::{UnknownValue, UnknownVariant};
use crate::{ErrorCode, Field, Secret, Timestamp};

#[test]
fn timestamps_are_written_with_three_digits() {
    for (millis, text) in [
        (0, "1970-01-01T00:00:00.000Z"),
        (1_767_225_600_001, "2026-01-01T00:00:00.001Z"),
        (-1, "1969-12-31T23:59:59.999Z"),
        (951_782_400_000, "2000-02-29T00:00:00.000Z"),
        (i64::MAX, "9999-12-31T23:59:59.999Z"),
        (i64::MIN, "0000-01-01T00:00:00.000Z"),
    ] {
        assert_eq!(Timestamp::from_millis(millis).to_string(), text);
        let back: Timestamp = text.parse().expect("what is written can be read");
        assert_eq!(back, Timestamp::from_millis(millis));
    }
}

#[test]
fn timestamps_are_read_with_any_offset_and_precision() {
    for (text, expected) in [
        ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00.000Z"),
        ("2026-01-01T01:30:00.5+01:30", "2026-01-01T00:00:00.500Z"),
        ("2025-12-31T19:00:00.123999999-05:00", "2026-01-01T00:00:00.123Z"),
        ("1969-12-31T23:59:59.9999Z", "1969-12-31T23:59:59.999Z"),
    ] {
        let read: Timestamp = serde_json::from_value(json!(text)).expect("RFC 3339");
        assert_eq!(serde_json::to_value(read).expect("a string"), json!(expected), "{text}");
    }
    for text in ["", "2026-01-01", "2026-01-01T00:00:00", "2026-13-01T00:00:00Z", "yesterday", "1767225600"] {
        text.parse::<Timestamp>().expect_err("not RFC 3339");
    }
}

#[test]
fn timestamps_convert_to_system_time() {
    for time in [UNIX_EPOCH, UNIX_EPOCH + Duration::from_millis(1500), UNIX_EPOCH - Duration::from_millis(1500)] {
        assert_eq!(SystemTime::from(Timestamp::from(time)), time);
    }
}

#[test]
fn a_field_keeps_absent_null_and_value_apart() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Update {
        #[serde(default, skip_serializing_if = "Field::is_absent")]
        note: Field<String>,
    }
    for (field, document) in [
        (Field::Absent, json!({})),
        (Field::Null, json!({ "note": null })),
        (Field::Value("x".to_owned()), json!({ "note": "x" })),
    ] {
        let update = Update { note: field };
        assert_eq!(serde_json::to_value(&update).expect("an object"), document);
        assert_eq!(serde_json::from_value::<Update>(document).expect("an update"), update);
    }
}

#[test]
fn what_is_unknown_is_kept() {
    let code: ErrorCode = serde_json::from_value(json!("from_the_future")).expect("open");
    assert_eq!(code, ErrorCode::Unknown(UnknownValue::new("from_the_future")));
    assert_eq!(code.as_str(), "from_the_future");
    assert_eq!(code.retryable(), None);

    let object = json!({ "kind": "new", "depth": 3 }).as_object().expect("an object").clone();
    let variant = UnknownVariant::new("new", object.clone());
    assert_eq!(variant.tag(), "new");
    assert_eq!(serde_json::to_value(&variant).expect("an object"), serde_json::Value::Object(object));
}

#[test]
fn a_secret_is_read_but_never_shown() {
    let secret: Secret = serde_json::from_value(json!("hunter2")).expect("a string");
    assert_eq!(secret.expose(), "hunter2");
    assert_eq!(format!("{secret:?}"), "[redacted]");
}
