//! Limits: which type takes which, whether they agree with each other, and whether every target has the pattern.

use super::Reader;
use super::fields::{Fields, wrong_kind};
use crate::diagnostic::Code;
use crate::ir::{Limits, Type};
use crate::source::{Entry, Value};

/// Every keyword that limits a value.
pub const KEYWORDS: &[&str] = &["minLength", "maxLength", "pattern", "minimum", "maximum", "minItems", "maxItems"];

/// The largest integer that JavaScript keeps exactly.
pub const MAX_SAFE_INTEGER: i64 = (1 << 53) - 1;

/// Reads the limits beside a type, and reports those that do not fit it.
pub fn read(reader: &mut Reader<'_>, fields: &mut Fields<'_>, ty: &Type) -> Limits {
    for keyword in KEYWORDS {
        if let Some(entry) = fields.get(keyword)
            && !fits(keyword, ty)
        {
            reader.problems.report(
                Code::LimitMisplaced,
                entry.key_at,
                format!("`{keyword}` does not limit this type"),
                "lengths and patterns are for strings and URIs, minimum and maximum for numbers, items for lists",
            );
        }
    }
    let limits = Limits {
        min_length: count(reader, fields.get("minLength")),
        max_length: count(reader, fields.get("maxLength")),
        pattern: fields.text(reader, "pattern").map(|pattern| {
            check_pattern(reader, &pattern);
            pattern.value
        }),
        minimum: whole(reader, fields.get("minimum")),
        maximum: whole(reader, fields.get("maximum")),
        min_items: count(reader, fields.get("minItems")),
        max_items: count(reader, fields.get("maxItems")),
    };
    check_order(reader, fields, "minLength", limits.min_length, limits.max_length);
    check_order(reader, fields, "minItems", limits.min_items, limits.max_items);
    check_order(reader, fields, "minimum", limits.minimum, limits.maximum);
    check_range(reader, fields, ty, &limits);
    limits
}

fn fits(keyword: &str, ty: &Type) -> bool {
    match keyword {
        "minLength" | "maxLength" | "pattern" => matches!(ty, Type::String | Type::Uri),
        "minimum" | "maximum" => matches!(ty, Type::Integer | Type::Unsigned | Type::Int32 | Type::Number),
        _ => matches!(ty, Type::List { .. }),
    }
}

fn count(reader: &mut Reader<'_>, entry: Option<&Entry>) -> Option<u64> {
    let number = whole(reader, entry)?;
    let count = u64::try_from(number).ok();
    if count.is_none()
        && let Some(entry) = entry
    {
        let message = format!("`{}` is negative", entry.key);
        reader.problems.report(Code::LimitRange, entry.value.at, message, "a count is 0 or more");
    }
    count
}

fn whole(reader: &mut Reader<'_>, entry: Option<&Entry>) -> Option<i64> {
    let entry = entry?;
    match entry.value.value {
        Value::Integer(number) => Some(number),
        Value::Number(_) => {
            let message = format!("`{}` is not a whole number", entry.key);
            let hint = "limits are whole numbers within 2^53 - 1, so that every target has the same";
            reader.problems.report(Code::LimitRange, entry.value.at, message, hint);
            None
        }
        _ => {
            let what = format!("`{}`", entry.key);
            wrong_kind(reader.problems, &entry.value, entry.value.at, &what, "a whole number");
            None
        }
    }
}

fn check_order<T: PartialOrd>(
    reader: &mut Reader<'_>,
    fields: &mut Fields<'_>,
    lower: &'static str,
    least: Option<T>,
    most: Option<T>,
) {
    if let (Some(least), Some(most)) = (least, most)
        && least > most
    {
        let at = fields.get(lower).map_or(fields.at, |entry| entry.value.at);
        let message = format!("`{lower}` is above its maximum, so no value fits");
        reader.problems.report(Code::LimitRange, at, message, "swap the two, or correct one");
    }
}

fn check_range(reader: &mut Reader<'_>, fields: &mut Fields<'_>, ty: &Type, limits: &Limits) {
    let range = match ty {
        Type::Int32 => i64::from(i32::MIN)..=i64::from(i32::MAX),
        _ => -MAX_SAFE_INTEGER..=MAX_SAFE_INTEGER,
    };
    for (key, limit) in [("minimum", limits.minimum), ("maximum", limits.maximum)] {
        if let Some(limit) = limit
            && !range.contains(&limit)
        {
            let at = fields.get(key).map_or(fields.at, |entry| entry.value.at);
            let message = format!("`{key}` is outside {}..={}", range.start(), range.end());
            reader.problems.report(Code::LimitRange, at, message, "the type itself admits no such value");
        }
    }
}

/// A pattern must mean the same everywhere, so it keeps to what regular expressions have in common.
fn check_pattern(reader: &mut Reader<'_>, pattern: &crate::source::Located<String>) {
    let text = &pattern.value;
    let fault = match regex::Regex::new(text) {
        Err(error) => error.to_string().lines().last().unwrap_or_default().trim().to_owned(),
        Ok(_)
            if ["(?P<", "(?i", "(?x", "(?s", "(?m", "\\A", "\\z", "\\p", "[[:"]
                .iter()
                .any(|part| text.contains(part)) =>
        {
            "it uses a construct that ECMAScript does not have".to_owned()
        }
        Ok(_) => return,
    };
    reader.problems.report(
        Code::PatternInvalid,
        pattern.at,
        format!("not a pattern that every target has: {fault}"),
        "keep to classes, groups, repetition, `^` and `$`; no look-around and no back-references",
    );
}
