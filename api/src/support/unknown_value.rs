//! What a closed enum says about a text that is none of its values.

use std::fmt;

/// A text is not a value of an enum of the protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownValue {
    value: String,
    known: Vec<&'static str>,
}

impl UnknownValue {
    /// `known` are the values that would have been right.
    #[must_use]
    pub fn new(value: &str, known: impl IntoIterator<Item = &'static str>) -> Self {
        Self { value: value.to_owned(), known: known.into_iter().collect() }
    }

    /// The text as it was given.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.value
    }
}

impl fmt::Display for UnknownValue {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?} is not one of {}", self.value, self.known.join(", "))
    }
}

impl std::error::Error for UnknownValue {}
