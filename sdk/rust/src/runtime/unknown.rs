//! What a newer server may send and this version does not know: kept as it is, so that it can be shown and sent
//! back unchanged. None of these types can be made by hand; a value that is not in the protocol is only ever read.

use std::fmt;

use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

/// A value of an enum that this version does not know.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct UnknownValue(String);

impl UnknownValue {
    pub(crate) fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value as it is on the wire.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UnknownValue {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// A variant of a union that this version does not know.
#[derive(Debug, Clone, PartialEq)]
pub struct UnknownVariant {
    tag: String,
    object: Map<String, Value>,
}

impl UnknownVariant {
    /// `object` is the whole object, the discriminator included.
    pub(crate) fn new(tag: impl Into<String>, object: Map<String, Value>) -> Self {
        Self { tag: tag.into(), object }
    }

    /// The discriminator's value.
    pub fn tag(&self) -> &str {
        &self.tag
    }

    /// The whole object, the discriminator included.
    pub const fn object(&self) -> &Map<String, Value> {
        &self.object
    }
}

impl Serialize for UnknownVariant {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.object.serialize(serializer)
    }
}

/// A message of the server that this version does not know.
#[derive(Debug, Clone, PartialEq)]
pub struct UnknownMessage {
    name: Option<String>,
    object: Map<String, Value>,
}

impl UnknownMessage {
    /// `object` is the whole message, the discriminator included; `name` is the discriminator's value, where there is
    /// one.
    pub(crate) fn new(name: Option<String>, object: Map<String, Value>) -> Self {
        Self { name, object }
    }

    /// What the server calls it.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The whole message.
    pub const fn object(&self) -> &Map<String, Value> {
        &self.object
    }
}
