//! Everything that can go wrong with a call, in one type.
//!
//! A message says what happened, why, and what to do; the cause below it is in `source()` and not repeated. Which
//! errors are worth another attempt is said here ([`Error::is_retryable`]); when an attempt is made is decided in
//! `runtime/retry.rs`.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use http::HeaderMap;

pub use crate::generated::errors::ErrorCode;

/// The result of a call.
pub type Result<T, E = Error> = std::result::Result<T, E>;

type Cause = Box<dyn StdError + Send + Sync>;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The server answered, and refused.
    #[error("{0}")]
    Api(Box<ApiError>),

    /// No answer: the connection could not be made, or broke.
    #[error("{}", connection_message(server, *maybe_delivered))]
    Connection {
        /// Scheme, host and port of the server.
        server: String,
        /// The request may have reached the server and taken effect. `false`: it surely has not.
        maybe_delivered: bool,
        /// What the network said.
        #[source]
        source: Cause,
    },

    /// No answer in time. The request may have reached the server and taken effect.
    #[error(
        "no answer within {after:?} ({limit}); the request may have taken effect, so check before repeating it, or allow more time"
    )]
    Timeout {
        /// How long was waited.
        after: Duration,
        /// Which of the two limits was reached.
        limit: TimeLimit,
    },

    /// The server answered with something that is not what the protocol says.
    #[error("{}", decode_message(*status, excerpt))]
    Decode {
        /// The HTTP status.
        status: u16,
        /// The beginning of a body that is not JSON, such as a proxy's page. Empty for JSON: an answer of Flightdeck
        /// may hold secrets, and errors end up in logs.
        excerpt: String,
        /// What is wrong, and where. Of JSON it names the place, and never a value.
        #[source]
        source: Cause,
    },

    /// The client has no credentials that the operation accepts. Nothing was sent.
    #[error("no credentials for `{operation}`: set {accepted}")]
    Credentials {
        /// The operation's id.
        operation: &'static str,
        /// What would do, and how to set it.
        accepted: String,
    },

    /// The client is set up wrongly, or the call's input cannot be sent. Nothing was sent.
    #[error("{0}")]
    Configuration(String),
}

/// Which limit a call ran into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TimeLimit {
    /// The time for one attempt.
    Attempt,
    /// The time for the call with all its attempts.
    Deadline,
}

impl fmt::Display for TimeLimit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Attempt => "the limit for one attempt",
            Self::Deadline => "the deadline of the whole call",
        })
    }
}

/// A refusal, as the server explains it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ApiError {
    /// The HTTP status.
    pub status: u16,
    /// What to match on: it is part of the protocol, the message is not. An answer that did not come from
    /// Flightdeck, such as a proxy's, has the code `http_<status>`.
    pub code: ErrorCode,
    /// What happened, in a sentence for a person.
    pub message: String,
    /// What to do about it. May be empty.
    pub action: String,
    /// Names the request in the server's log.
    pub request_id: Option<String>,
    /// What is wrong with the input, place by place.
    pub details: Vec<ErrorDetail>,
    /// How long the server asks to wait before another attempt.
    pub retry_after: Option<Duration>,
    /// The answer's headers.
    pub headers: HeaderMap,
}

/// One thing that is wrong with the input.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[non_exhaustive]
pub struct ErrorDetail {
    /// Where: a JSON pointer into the body, or the name of a parameter or header.
    #[serde(default)]
    pub path: String,
    /// What is wrong there.
    #[serde(default)]
    pub message: String,
}

impl ApiError {
    /// Whether the same request may succeed later. The catalogue knows it for every code of the protocol; for other
    /// codes the status decides.
    pub fn is_retryable(&self) -> bool {
        self.code.retryable().unwrap_or(matches!(self.status, 408 | 425 | 429 | 500 | 502 | 503 | 504))
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.code.as_str(), self.message)?;
        for detail in &self.details {
            write!(formatter, " [{}: {}]", detail.path, detail.message)?;
        }
        if !self.action.is_empty() {
            write!(formatter, " {}", self.action)?;
        }
        write!(formatter, " (HTTP {}", self.status)?;
        if let Some(request_id) = &self.request_id {
            write!(formatter, ", request {request_id}")?;
        }
        formatter.write_str(")")
    }
}

impl StdError for ApiError {}

impl Error {
    /// The refusal, when the server answered with one.
    pub const fn as_api(&self) -> Option<&ApiError> {
        match self {
            Self::Api(refusal) => Some(refusal),
            _ => None,
        }
    }

    /// The refusal's code.
    pub fn code(&self) -> Option<&ErrorCode> {
        self.as_api().map(|refusal| &refusal.code)
    }

    /// What names the refused request in the server's log.
    pub fn request_id(&self) -> Option<&str> {
        self.as_api().and_then(|refusal| refusal.request_id.as_deref())
    }

    /// How long the server asks to wait before another attempt.
    pub fn retry_after(&self) -> Option<Duration> {
        self.as_api().and_then(|refusal| refusal.retry_after)
    }

    /// Whether the same call may succeed later. It has already been repeated as far as that was safe and the
    /// deadline allowed; a call that changes something may have taken effect (see [`Error::Timeout`] and
    /// `maybe_delivered`).
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Api(refusal) => refusal.is_retryable(),
            Self::Connection { .. } | Self::Timeout { .. } => true,
            Self::Decode { .. } | Self::Credentials { .. } | Self::Configuration(_) => false,
        }
    }

    /// The server broke a rule of the protocol that no single body shows.
    pub(crate) fn protocol(reason: &'static str) -> Self {
        Self::Decode { status: 200, excerpt: String::new(), source: reason.into() }
    }
}

fn decode_message(status: u16, excerpt: &str) -> String {
    let shown = if excerpt.is_empty() { String::new() } else { format!(": {excerpt:?}") };
    format!(
        "the server's answer (HTTP {status}) could not be read{shown}; check that the base URL leads to Flightdeck and \
         that this SDK is recent enough"
    )
}

fn connection_message(server: &str, maybe_delivered: bool) -> String {
    if maybe_delivered {
        format!(
            "lost the connection to {server} before the answer; the request may have taken effect, so check before \
             repeating it"
        )
    } else {
        format!("could not connect to {server}; check that Flightdeck runs there and that the base URL is right")
    }
}
