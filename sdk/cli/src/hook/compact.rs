//! Makes a JSON value small enough for a timeline that is read on a phone, and says where something was left out.

use serde_json::{Map, Value};

/// How large things may be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Letters in one text.
    pub(crate) text: usize,
    /// Members of an object, and items of a list.
    pub(crate) entries: usize,
    pub(crate) depth: usize,
    /// Letters in all texts together.
    pub(crate) total: usize,
}

/// For an entry of the timeline.
pub(crate) const TIMELINE: Limits = Limits { text: 2_000, entries: 40, depth: 6, total: 12_000 };
/// For the evidence of a question: a person decides by it, so as much as can be shown.
pub(crate) const EVIDENCE: Limits = Limits { text: 100_000, entries: 500, depth: 20, total: 300_000 };

/// The value within the limits, and whether it is still whole. NUL, which databases refuse, is shown as `␀`.
pub(crate) fn compact(value: &Value, limits: Limits) -> (Value, bool) {
    let mut work = Work { limits, left: limits.total, whole: true };
    let value = work.value(value, limits.depth);
    (value, work.whole)
}

/// An object within the limits, for a timeline.
pub(crate) fn compact_object<'a>(members: impl Iterator<Item = (&'a String, &'a Value)>) -> Map<String, Value> {
    let mut work = Work { limits: TIMELINE, left: TIMELINE.total, whole: true };
    members.map(|(name, member)| (name.clone(), work.value(member, TIMELINE.depth))).collect()
}

/// Text of at most so many letters; what is left out is counted.
pub(crate) fn shorten(text: &str, letters: usize) -> String {
    let text = if text.contains('\0') { text.replace('\0', "␀") } else { text.to_owned() };
    match text.char_indices().nth(letters) {
        None => text,
        Some((end, _)) => {
            let more = text.get(end..).map_or(0, |rest| rest.chars().count());
            format!("{}… ({more} more characters)", text.get(..end).unwrap_or_default())
        }
    }
}

struct Work {
    limits: Limits,
    left: usize,
    whole: bool,
}

impl Work {
    fn value(&mut self, value: &Value, depth: usize) -> Value {
        match value {
            Value::String(text) => Value::String(self.text(text)),
            Value::Array(_) | Value::Object(_) if depth == 0 => {
                self.whole = false;
                Value::from("…")
            }
            Value::Array(items) => {
                let mut kept: Vec<_> =
                    items.iter().take(self.limits.entries).map(|item| self.value(item, depth - 1)).collect();
                if items.len() > kept.len() {
                    self.whole = false;
                    kept.push(Value::from(format!("… ({} more)", items.len() - self.limits.entries)));
                }
                Value::Array(kept)
            }
            Value::Object(members) => {
                let mut kept = Map::new();
                for (name, member) in members.iter().take(self.limits.entries) {
                    let name = self.text(name);
                    let member = self.value(member, depth - 1);
                    kept.insert(name, member);
                }
                if members.len() > self.limits.entries {
                    self.whole = false;
                    kept.insert("…".into(), Value::from(format!("{} more", members.len() - self.limits.entries)));
                }
                Value::Object(kept)
            }
            scalar => scalar.clone(),
        }
    }

    fn text(&mut self, text: &str) -> String {
        let short = shorten(text, self.limits.text.min(self.left));
        let letters = text.chars().count();
        self.whole &= letters <= self.limits.text.min(self.left);
        self.left = self.left.saturating_sub(letters.min(self.limits.text));
        short
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn small_values_stay_as_they_are() {
        let value = json!({"a": [1, null, true, "text"], "b": {"c": 1.5}});
        assert_eq!(compact(&value, TIMELINE), (value, true));
    }

    #[test]
    fn what_is_left_out_is_counted() {
        assert_eq!(shorten("äöüß", 2), "äö… (2 more characters)");
        let (value, whole) = compact(&json!("x".repeat(3_000)), TIMELINE);
        assert!(!whole && value.as_str().is_some_and(|text| text.ends_with("… (1000 more characters)")));
        let (value, whole) = compact(&json!(vec![0; 50]), TIMELINE);
        assert!(!whole);
        assert_eq!(value.get(40), Some(&json!("… (10 more)")));
    }

    #[test]
    fn nothing_makes_it_large() {
        let mut deep = json!("end");
        for _ in 0..200 {
            deep = json!([deep]);
        }
        let wide: Value =
            (0..1_000).map(|index| (format!("key {index}"), json!("y".repeat(5_000)))).collect::<Map<_, _>>().into();
        for value in [deep, wide] {
            let (small, whole) = compact(&value, TIMELINE);
            assert!(!whole && small.to_string().len() < 32_000, "{}", small.to_string().len());
        }
    }

    #[test]
    fn nul_is_shown() {
        assert_eq!(compact(&json!({"a\0": "b\0"}), TIMELINE).0, json!({"a␀": "b␀"}));
    }
}
