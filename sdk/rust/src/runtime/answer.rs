//! How a successful answer's body becomes a value.

use std::error::Error as StdError;

use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::error::Category;

/// A type that a call can answer with.
///
/// Generated types have it by `json_answer!`; operations with several success statuses implement it by hand.
pub trait Answer: Sized {
    /// Reads the body of an answer with a status from 200 to 299.
    ///
    /// # Errors
    /// The body is not what the protocol says, or the status is not one of the operation's.
    fn decode(status: u16, body: &[u8]) -> Result<Self, DecodeError>;
}

/// Why an answer could not be read.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct DecodeError(Box<dyn StdError + Send + Sync>);

impl DecodeError {
    /// From any reason.
    pub fn new(reason: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self(reason.into())
    }

    /// The operation has no answer with this status.
    pub fn unexpected_status(status: u16) -> Self {
        Self::new(format!("the protocol has no answer with status {status} here"))
    }
}

/// Reads a JSON body.
///
/// # Errors
/// The body is not JSON, or not of this type; the reason names the place, and no value.
pub fn decode_json<T: DeserializeOwned>(body: &[u8]) -> Result<T, DecodeError> {
    serde_json::from_slice(body).map_err(|error| match error.classify() {
        Category::Data => DecodeError::new(place(&error)),
        _ => DecodeError::new(error),
    })
}

/// Where JSON is not of the type, and what should be there. What is there is left out: serde quotes it, and it may be
/// a secret.
fn place(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let text = text.rsplit_once(" at line ").map_or(text.as_str(), |(reason, _)| reason);
    let reason = match text.rsplit_once(", expected ") {
        Some((_, expected)) => format!("expected {expected}"),
        None if text.starts_with("missing field") => text.to_owned(),
        None => "not the expected form".to_owned(),
    };
    format!("{reason} at line {} column {}", error.line(), error.column())
}

/// Any type that serde can read from JSON, for endpoints that this version has no method for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Json<T>(pub T);

impl<T: DeserializeOwned> Answer for Json<T> {
    fn decode(_status: u16, body: &[u8]) -> Result<Self, DecodeError> {
        decode_json(body).map(Self)
    }
}

impl<T: DeserializeOwned> Answer for Vec<T> {
    fn decode(_status: u16, body: &[u8]) -> Result<Self, DecodeError> {
        decode_json(body)
    }
}

impl Answer for Value {
    fn decode(_status: u16, body: &[u8]) -> Result<Self, DecodeError> {
        decode_json(body)
    }
}

/// No content, or content that does not matter.
impl Answer for () {
    fn decode(_status: u16, _body: &[u8]) -> Result<Self, DecodeError> {
        Ok(())
    }
}

/// Plain text.
impl Answer for String {
    fn decode(_status: u16, body: &[u8]) -> Result<Self, DecodeError> {
        String::from_utf8(body.to_vec()).map_err(DecodeError::new)
    }
}

/// Lets calls answer with these types, read from JSON.
macro_rules! json_answer {
    ($($answer:ty),+ $(,)?) => {
        $(impl $crate::runtime::Answer for $answer {
            fn decode(_status: u16, body: &[u8]) -> Result<Self, $crate::runtime::DecodeError> {
                $crate::runtime::decode_json(body)
            }
        })+
    };
}
pub(crate) use json_answer;
