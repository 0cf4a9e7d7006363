//! The contract's limits, checked after decoding, and where in a request they are broken.
//!
//! Only what the spec states belongs here; rules of the product belong in services.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::OnceLock;

use poem_openapi::types::MaybeUndefined;
use regex::Regex;

use super::error::{ApiError, Detail};
use crate::generated::errors::ErrorCode;

/// So many problems are told; a request with more is as wrong as one with fewer.
const MOST_PROBLEMS: usize = 20;

/// Knows the limits that the spec sets to it.
pub trait Validate {
    /// Adds what is wrong to `problems`; `at` is where this value stands in the request.
    fn validate(&self, at: &Location<'_>, problems: &mut Problems);
}

/// A place in a request. Costs nothing until it is written down.
#[derive(Debug, Clone, Copy)]
pub enum Location<'a> {
    /// The body itself.
    Body,
    /// A parameter, by its name on the wire.
    Parameter(&'a str),
    /// A property or a key of a map.
    Property(&'a Location<'a>, &'a str),
    /// An item of a list.
    Item(&'a Location<'a>, usize),
}

impl Location<'_> {
    /// The property `name` of this value.
    #[must_use]
    pub const fn property<'a>(&'a self, name: &'a str) -> Location<'a> {
        Location::Property(self, name)
    }

    /// The item `index` of this list.
    #[must_use]
    pub const fn item(&self, index: usize) -> Location<'_> {
        Location::Item(self, index)
    }
}

/// A JSON pointer into the body, or the name of a parameter.
impl fmt::Display for Location<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Body => Ok(()),
            Self::Parameter(name) => formatter.write_str(name),
            Self::Property(parent, name) => {
                write!(formatter, "{parent}/{}", name.replace('~', "~0").replace('/', "~1"))
            }
            Self::Item(parent, index) => write!(formatter, "{parent}/{index}"),
        }
    }
}

/// What is wrong with a request.
#[derive(Debug, Default)]
pub struct Problems(Vec<Detail>);

impl Problems {
    /// Nothing is wrong yet.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// One more thing is wrong.
    pub fn add(&mut self, at: &Location<'_>, message: impl fmt::Display) {
        if self.0.len() < MOST_PROBLEMS {
            self.0.push(Detail { path: at.to_string(), message: message.to_string() });
        }
    }

    /// `least` is in characters.
    pub fn min_length(&mut self, at: &Location<'_>, value: &str, least: usize) {
        if least > 0 && value.chars().nth(least - 1).is_none() {
            self.add(at, format_args!("shorter than {least} characters"));
        }
    }

    /// `most` is in characters.
    pub fn max_length(&mut self, at: &Location<'_>, value: &str, most: usize) {
        // A character has at least one byte, so most texts are not counted at all.
        if value.len() > most && value.chars().nth(most).is_some() {
            self.add(at, format_args!("longer than {most} characters"));
        }
    }

    /// The text has to match.
    pub fn pattern(&mut self, at: &Location<'_>, value: &str, pattern: &Pattern) {
        if !pattern.matches(value) {
            self.add(at, format_args!("does not match {}", pattern.text));
        }
    }

    /// Any kind of number.
    pub fn minimum<N: Copy + PartialOrd + fmt::Display>(&mut self, at: &Location<'_>, value: N, least: N) {
        if value < least {
            self.add(at, format_args!("less than {least}"));
        }
    }

    /// Any kind of number.
    pub fn maximum<N: Copy + PartialOrd + fmt::Display>(&mut self, at: &Location<'_>, value: N, most: N) {
        if value > most {
            self.add(at, format_args!("more than {most}"));
        }
    }

    /// `count` is the number of items of a list or a map.
    pub fn min_items(&mut self, at: &Location<'_>, count: usize, least: usize) {
        if count < least {
            self.add(at, format_args!("fewer than {least} items"));
        }
    }

    /// `count` is the number of items of a list or a map.
    pub fn max_items(&mut self, at: &Location<'_>, count: usize, most: usize) {
        if count > most {
            self.add(at, format_args!("more than {most} items"));
        }
    }

    /// The first thing that is wrong.
    pub(super) fn into_first(self) -> Option<Detail> {
        self.0.into_iter().next()
    }

    /// # Errors
    ///
    /// `invalid_request` with the details, if anything is wrong.
    pub fn into_result(self) -> Result<(), ApiError> {
        if self.0.is_empty() {
            return Ok(());
        }
        let mut error = ApiError::new(ErrorCode::InvalidRequest);
        error.details = self.0;
        Err(error)
    }
}

/// A regular expression of the spec, compiled when it is first needed.
pub struct Pattern {
    text: &'static str,
    compiled: OnceLock<Option<Regex>>,
}

impl Pattern {
    /// The generator has compiled `text` once already, so it is known to be right.
    #[must_use]
    pub const fn new(text: &'static str) -> Self {
        Self { text, compiled: OnceLock::new() }
    }

    fn matches(&self, value: &str) -> bool {
        let compiled = self.compiled.get_or_init(|| Regex::new(self.text).ok());
        compiled.as_ref().is_none_or(|regex| regex.is_match(value))
    }
}

impl<T: Validate> Validate for Box<T> {
    fn validate(&self, at: &Location<'_>, problems: &mut Problems) {
        self.as_ref().validate(at, problems);
    }
}

impl<T: Validate> Validate for Option<T> {
    fn validate(&self, at: &Location<'_>, problems: &mut Problems) {
        if let Some(value) = self {
            value.validate(at, problems);
        }
    }
}

impl<T: Validate> Validate for MaybeUndefined<T> {
    fn validate(&self, at: &Location<'_>, problems: &mut Problems) {
        if let Self::Value(value) = self {
            value.validate(at, problems);
        }
    }
}

impl<T: Validate> Validate for Vec<T> {
    fn validate(&self, at: &Location<'_>, problems: &mut Problems) {
        for (index, item) in self.iter().enumerate() {
            item.validate(&at.item(index), problems);
        }
    }
}

impl<T: Validate> Validate for BTreeMap<String, T> {
    fn validate(&self, at: &Location<'_>, problems: &mut Problems) {
        for (key, value) in self {
            value.validate(&at.property(key), problems);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_where_as_a_json_pointer() {
        let items = Location::Body.property("a/b~c");
        let place = items.item(3);
        assert_eq!(place.property("x").to_string(), "/a~1b~0c/3/x");
        assert_eq!(Location::Body.to_string(), "");
        assert_eq!(Location::Parameter("limit").to_string(), "limit");
    }

    #[test]
    fn counts_characters_and_not_bytes() {
        let mut problems = Problems::new();
        problems.max_length(&Location::Body, "äöü", 3);
        problems.min_length(&Location::Body, "äöü", 3);
        problems.min_length(&Location::Body, "", 0);
        assert!(problems.0.is_empty());
        problems.max_length(&Location::Body, "äöü", 2);
        problems.min_length(&Location::Body, "äöü", 4);
        assert_eq!(problems.0.len(), 2);
    }

    #[test]
    fn matches_patterns_over_the_whole_text() {
        static NO_NUL: Pattern = Pattern::new("^[^\0]*$");
        assert!(NO_NUL.matches("a\nb"));
        assert!(!NO_NUL.matches("a\0b"));
    }

    #[test]
    fn stops_telling_after_a_while() {
        let mut problems = Problems::new();
        for count in 0..100 {
            problems.max_items(&Location::Body, count + 1, 0);
        }
        assert_eq!(problems.0.len(), MOST_PROBLEMS);
        let error = problems.into_result().expect_err("it has problems");
        assert_eq!(error.code, ErrorCode::InvalidRequest);
    }
}
