//! What is wrong with a frame that is not a message of its socket.

use crate::generated::errors::ErrorCode;

/// Why a frame is not taken, and where it is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What kind of fault it is.
    pub kind: FaultKind,
    /// A JSON pointer to the fault; empty if it is the frame as a whole.
    pub path: String,
    /// What is wrong, for a person.
    pub message: String,
    /// The frame's own `id`, if it has one that is a text.
    pub id: Option<String>,
    /// The message that the frame says it is, if it says so.
    pub tag: Option<String>,
    /// The first of the frame's properties, for the log; none if it is not an object.
    pub keys: Box<[String]>,
}

/// The kinds of faults, in the order in which they are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FaultKind {
    /// Not JSON, nested too deeply, or not an object.
    NotJson,
    /// None of the messages that the socket takes.
    UnknownMessage,
    /// A message that does not have the shape it should have.
    InvalidMessage,
}

impl FaultKind {
    /// The code that an error message carries for it.
    #[must_use]
    pub const fn code(self) -> ErrorCode {
        match self {
            Self::NotJson => ErrorCode::NotJson,
            Self::UnknownMessage => ErrorCode::UnknownMessage,
            Self::InvalidMessage => ErrorCode::InvalidMessage,
        }
    }
}
