//! The stubs say what the spec says: the documents that poem and schemars derive from them are the authored one.
//!
//! They can't be equal to the letter, so all are brought to the form that [`normal`] describes, and then compared in
//! full.

mod nobody;
mod normal;
mod sockets;
mod types;

use anyhow::{Result, ensure};
use flightdeck_tests::document;
use serde_json::Value;

use normal::Null;

#[test]
fn the_operations_are_what_the_spec_says() -> Result<()> {
    let derived: Value = serde_json::from_str(&nobody::derived_document())?;
    let authored = document::document();
    let mut differences = Vec::new();
    compare("", &normal::paths(authored), &normal::paths(&derived), &mut differences);
    let schemas = |document: &Value| normal::schemas(&document["components"]["schemas"], Null::LeftOut);
    compare("", &schemas(authored), &schemas(&derived), &mut differences);
    ensure!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
    Ok(())
}

/// Where the two differ, place by place.
fn compare(place: &str, authored: &Value, derived: &Value, differences: &mut Vec<String>) {
    match (authored, derived) {
        (Value::Object(left), Value::Object(right)) => {
            for (key, value) in left {
                let place = format!("{place}/{key}");
                match right.get(key) {
                    Some(other) => compare(&place, value, other, differences),
                    None => differences.push(format!("{place} is missing in the stubs: {value}")),
                }
            }
            for (key, value) in right.iter().filter(|(key, _)| !left.contains_key(*key)) {
                differences.push(format!("{place}/{key} is in the stubs only: {value}"));
            }
        }
        (Value::Array(left), Value::Array(right)) if left.len() == right.len() => {
            for (index, (left, right)) in left.iter().zip(right).enumerate() {
                compare(&format!("{place}/{index}"), left, right, differences);
            }
        }
        _ if authored == derived => {}
        _ => differences.push(format!("{place}: the spec says {authored}, the stubs say {derived}")),
    }
}
