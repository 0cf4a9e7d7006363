//! A property that may be missing and may be null: two different things, kept apart.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The three states of an optional, nullable property.
///
/// In an update, `Absent` leaves the value as it is and `Null` clears it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Field<T> {
    /// Not in the document.
    #[default]
    Absent,
    /// In the document, as `null`.
    Null,
    /// In the document, with a value.
    Value(T),
}

impl<T> Field<T> {
    /// Whether the property is left out. Generated types skip it then.
    pub const fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }

    /// Whether the property is there and null.
    pub const fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// The value, if there is one.
    pub const fn value(&self) -> Option<&T> {
        match self {
            Self::Value(value) => Some(value),
            Self::Absent | Self::Null => None,
        }
    }

    /// The value, if there is one.
    pub fn into_value(self) -> Option<T> {
        match self {
            Self::Value(value) => Some(value),
            Self::Absent | Self::Null => None,
        }
    }
}

impl<T> From<T> for Field<T> {
    fn from(value: T) -> Self {
        Self::Value(value)
    }
}

impl<T: Serialize> Serialize for Field<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Value(value) => value.serialize(serializer),
            // `Absent` only gets here where a type forgot to skip it, and null is then the closest.
            Self::Absent | Self::Null => serializer.serialize_none(),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Field<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // A missing property never gets here: `#[serde(default)]` makes it `Absent`.
        Ok(Option::deserialize(deserializer)?.map_or(Self::Null, Self::Value))
    }
}
