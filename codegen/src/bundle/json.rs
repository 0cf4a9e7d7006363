//! A JSON value whose objects keep the order in which they were built. `serde_json`'s own map keeps it or not by a
//! feature that any dependency can switch, and the document must have the same bytes everywhere.

use indexmap::IndexMap;
use serde::Serialize;

/// A JSON value.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum Json {
    Scalar(serde_json::Value),
    List(Vec<Self>),
    Map(IndexMap<String, Self>),
}

impl Json {
    /// An empty object.
    pub fn map() -> Self {
        Self::Map(IndexMap::new())
    }

    /// A string.
    pub fn text(text: &str) -> Self {
        Self::Scalar(text.into())
    }

    /// An integer.
    pub fn integer(number: i64) -> Self {
        Self::Scalar(number.into())
    }

    /// A boolean.
    pub fn boolean(value: bool) -> Self {
        Self::Scalar(value.into())
    }

    /// Sets a key of an object, at the end if it is new. Does nothing to anything else.
    pub fn put(&mut self, key: &str, value: Self) {
        if let Self::Map(entries) = self {
            entries.insert(key.to_owned(), value);
        }
    }

    /// The value of a key, made by `default` if it is not there.
    pub fn entry(&mut self, key: &str, default: impl FnOnce() -> Self) -> Option<&mut Self> {
        match self {
            Self::Map(entries) => Some(entries.entry(key.to_owned()).or_insert_with(default)),
            _ => None,
        }
    }

    /// Adds to the end of a list. Does nothing to anything else.
    pub fn push(&mut self, value: Self) {
        if let Self::List(items) = self {
            items.push(value);
        }
    }
}
