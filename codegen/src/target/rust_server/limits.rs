//! The spec's limits three times over: as poem-openapi's validators and schemars' attributes, which only show them,
//! and as the checks that enforce them.

use anyhow::Result;
use indexmap::IndexMap;
use serde::Serialize;

use crate::ir::{Limits, Protocol, Shape, Type};
use crate::target::rust::literal;
use crate::target::rust::types::{definition, resolved};

/// The largest integer that every JSON reader keeps: 2^53 − 1.
const SAFE: i64 = 9_007_199_254_740_991;

/// poem-openapi's validators. `of_list` is whether those of a list's items can be shown, too.
pub(super) fn validators(ty: &Type, limits: &Limits, of_items: bool) -> Vec<String> {
    let mut validators = Vec::new();
    if let Type::List { item } = ty {
        validators.extend(limits.min_items.map(|least| format!("min_items = {least}")));
        validators.extend(limits.max_items.map(|most| format!("max_items = {most}")));
        if of_items {
            validators.extend(self::validators(item, limits, true));
        }
        return validators;
    }
    if is_text(ty) {
        validators.extend(limits.min_length.map(|least| format!("min_length = {least}")));
        validators.extend(limits.max_length.map(|most| format!("max_length = {most}")));
        let pattern = limits.pattern.as_deref().map(literal::string);
        validators.extend(pattern.map(|pattern| format!("pattern = {pattern}")));
    }
    if is_number(ty) {
        validators.extend(limits.minimum.map(|least| format!("minimum(value = \"{least}\")")));
        validators.extend(limits.maximum.map(|most| format!("maximum(value = \"{most}\")")));
    }
    validators
}

/// schemars' attributes.
pub(super) fn schema_attributes(ty: &Type, limits: &Limits) -> Vec<String> {
    let mut attributes = Vec::new();
    if let Type::List { item } = ty {
        attributes.extend(bounds("length", limits.min_items, limits.max_items));
        let inner = schema_attributes(item, limits);
        if !inner.is_empty() {
            attributes.push(format!("inner({})", inner.join(", ")));
        }
        return attributes;
    }
    if is_text(ty) {
        attributes.extend(bounds("length", limits.min_length, limits.max_length));
        let pattern = limits.pattern.as_deref().map(literal::string);
        attributes.extend(pattern.map(|pattern| format!("regex(pattern = {pattern})")));
    }
    if is_number(ty) {
        let number = |value: i64| number_literal(ty, value);
        attributes.extend(bounds("range", limits.minimum.map(number), limits.maximum.map(number)));
    }
    if *ty == Type::Uri {
        attributes.push("extend(\"format\" = \"uri\")".to_owned());
    }
    attributes
}

fn bounds<T: std::fmt::Display>(name: &str, least: Option<T>, most: Option<T>) -> Option<String> {
    let least = least.map(|least| format!("min = {least}"));
    let most = most.map(|most| format!("max = {most}"));
    let bounds: Vec<String> = least.into_iter().chain(most).collect();
    (!bounds.is_empty()).then(|| format!("{name}({})", bounds.join(", ")))
}

fn number_literal(ty: &Type, value: i64) -> String {
    match ty {
        Type::Number => literal::float(value as f64),
        Type::Integer => format!("{}_i64", literal::integer(value)),
        Type::Unsigned => format!("{}_u64", literal::integer(value)),
        _ => literal::integer(value),
    }
}

const fn is_text(ty: &Type) -> bool {
    matches!(ty, Type::String | Type::Uri)
}

const fn is_number(ty: &Type) -> bool {
    matches!(ty, Type::Integer | Type::Unsigned | Type::Int32 | Type::Number)
}

/// The patterns that a file needs, each once.
#[derive(Default)]
pub(super) struct Patterns(IndexMap<String, String>);

/// A static of a generated file.
#[derive(Serialize)]
pub(super) struct PatternItem {
    name: String,
    /// A literal.
    text: String,
}

impl Patterns {
    /// The static of a pattern, called after the place that needs it first.
    fn name(&mut self, pattern: &str, place: &str) -> String {
        let taken = self.0.values().filter(|name| name.starts_with(place)).count();
        let suffix = if taken == 0 { String::new() } else { format!("_{}", taken + 1) };
        let name = self.0.entry(literal::string(pattern)).or_insert_with(|| format!("{place}_PATTERN{suffix}"));
        name.clone()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn into_items(self) -> Vec<PatternItem> {
        self.0.into_iter().map(|(text, name)| PatternItem { name, text }).collect()
    }
}

/// The statements that check a value.
pub(super) struct Checks<'a> {
    pub(super) protocol: &'a Protocol,
    pub(super) patterns: &'a mut Patterns,
    /// What patterns are called after.
    pub(super) place: String,
}

/// Statements about the location `here`, with it. A single statement names it itself.
pub(super) fn located(mut lines: Vec<String>, location: &str) -> Vec<String> {
    match lines.as_mut_slice() {
        [] => {}
        [only] if only.matches("&here").count() == 1 => {
            *only = only.replace("&here", &format!("&{location}"));
        }
        _ => lines.insert(0, format!("let here = {location};")),
    }
    lines
}

impl Checks<'_> {
    /// `value` is an expression of a reference to a `ty`; `here` is one of a reference to its location. Empty if
    /// there is nothing to check.
    pub(super) fn of(&mut self, ty: &Type, limits: &Limits, value: &str, here: &str) -> Result<Vec<String>> {
        let (ty, limits) = resolved(self.protocol, ty, limits)?;
        let mut lines = Vec::new();
        let mut line = |method: &str, value: &str, limit: String| {
            lines.push(format!("problems.{method}({here}, {value}, {limit});"));
        };
        match ty {
            Type::String | Type::Uri => {
                if let Some(least) = limits.min_length {
                    line("min_length", value, least.to_string());
                }
                if let Some(most) = limits.max_length {
                    line("max_length", value, most.to_string());
                }
                if let Some(pattern) = &limits.pattern {
                    line("pattern", value, format!("&{}", self.patterns.name(pattern, &self.place)));
                }
            }
            Type::Integer | Type::Unsigned | Type::Int32 | Type::Number => {
                let (least, most) = range(ty, &limits);
                let value = value.strip_prefix('&').map_or_else(|| format!("*{value}"), str::to_owned);
                if let Some(least) = least {
                    line("minimum", &value, bare_number(ty, least));
                }
                if let Some(most) = most {
                    line("maximum", &value, bare_number(ty, most));
                }
            }
            Type::List { item } => {
                let count = format!("{}.len()", value.trim_start_matches('&'));
                if let Some(least) = limits.min_items {
                    line("min_items", &count, least.to_string());
                }
                if let Some(most) = limits.max_items {
                    line("max_items", &count, most.to_string());
                }
                lines.extend(self.of_items(item, &limits, value, here, "(index, item)", "item(index)")?);
            }
            Type::Map { value: inner } => {
                let count = format!("{}.len()", value.trim_start_matches('&'));
                if let Some(least) = limits.min_items {
                    line("min_items", &count, least.to_string());
                }
                if let Some(most) = limits.max_items {
                    line("max_items", &count, most.to_string());
                }
                lines.extend(self.of_items(inner, &limits, value, here, "(key, item)", "property(key)")?);
            }
            Type::Named { name } if self.has_checks(name)? => {
                lines.push(format!("{}.validate({here}, problems);", value.trim_start_matches('&')));
            }
            _ => {}
        }
        Ok(lines)
    }

    fn of_items(
        &mut self,
        item: &Type,
        limits: &Limits,
        value: &str,
        here: &str,
        each: &str,
        place: &str,
    ) -> Result<Vec<String>> {
        let limits = Limits { min_items: None, max_items: None, ..limits.clone() };
        let checks = self.of(item, &limits, "item", "&here")?;
        if checks.is_empty() {
            return Ok(checks);
        }
        let here = here.trim_start_matches('&');
        let items = if place.starts_with("item") {
            format!("{}.iter().enumerate()", value.trim_start_matches('&'))
        } else {
            value.to_owned()
        };
        let mut lines = vec![format!("for {each} in {items} {{")];
        lines.extend(located(checks, &format!("{here}.{place}")));
        lines.push("}".to_owned());
        Ok(lines)
    }

    /// Whether a type of the spec has anything to check. Objects are asked at run time.
    fn has_checks(&self, name: &str) -> Result<bool> {
        let shape = &definition(self.protocol, name)?.shape;
        Ok(matches!(shape, Shape::Object { .. } | Shape::Union { .. }))
    }
}

fn range(ty: &Type, limits: &Limits) -> (Option<i64>, Option<i64>) {
    match ty {
        Type::Integer => (limits.minimum.or(Some(-SAFE)), limits.maximum.or(Some(SAFE))),
        Type::Unsigned => (limits.minimum.filter(|least| *least > 0), limits.maximum.or(Some(SAFE))),
        _ => (limits.minimum, limits.maximum),
    }
}

fn bare_number(ty: &Type, value: i64) -> String {
    if *ty == Type::Number { literal::float(value as f64) } else { literal::integer(value) }
}
