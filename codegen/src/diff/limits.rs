//! Limits: tighter ones refuse what was sent before, looser ones give what was never received before.

use std::cmp::Ordering;

use super::direction::Direction;
use super::{Changes, Verdict};
use crate::ir::Limits;

/// Compares the limits of one value.
pub fn compare(subject: &str, direction: Direction, old: &Limits, new: &Limits, changes: &mut Changes) {
    let mut bound = |name: &str, old: Option<i128>, new: Option<i128>, is_lower: bool| {
        // No bound is the loosest one.
        let loosest = if is_lower { i128::MIN } else { i128::MAX };
        let order = new.unwrap_or(loosest).cmp(&old.unwrap_or(loosest));
        let verdict = match if is_lower { order } else { order.reverse() } {
            Ordering::Equal => return,
            Ordering::Greater => direction.narrowed(),
            Ordering::Less => direction.widened(),
        };
        let text = |value: Option<i128>| value.map_or_else(|| "none".to_owned(), |value| value.to_string());
        changes.add(verdict, subject, format!("{name} was {} and is {}", text(old), text(new)));
    };
    let count = |value: Option<u64>| value.map(i128::from);
    let number = |value: Option<i64>| value.map(i128::from);
    bound("minLength", count(old.min_length), count(new.min_length), true);
    bound("maxLength", count(old.max_length), count(new.max_length), false);
    bound("minimum", number(old.minimum), number(new.minimum), true);
    bound("maximum", number(old.maximum), number(new.maximum), false);
    bound("minItems", count(old.min_items), count(new.min_items), true);
    bound("maxItems", count(old.max_items), count(new.max_items), false);
    match (&old.pattern, &new.pattern) {
        (old, new) if old == new => {}
        (None, Some(_)) => changes.add(direction.narrowed(), subject, "has a pattern now"),
        (Some(_), None) => changes.add(direction.widened(), subject, "has no pattern any more"),
        // Whether one pattern admits all that another does is not for a program to guess.
        _ => changes.add(Verdict::Breaking, subject, "has another pattern"),
    }
}
