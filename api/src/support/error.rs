//! The one error of the server's surfaces: a code of the catalogue, and what is worth adding to it.
//!
//! Handlers return it; [`Refused`](super::Refused) turns it into an answer. Errors of single services belong to them.

use std::fmt;
use std::time::Duration;

use poem::error::ResponseError;
use poem::http::{HeaderValue, StatusCode, header};
use poem::{IntoResponse, Response};

use super::context::Context;
use crate::generated::errors::ErrorCode;
use crate::generated::types;

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    /// The contract.
    pub code: ErrorCode,
    /// What happened, for a person. The catalogue's sentence unless said otherwise.
    pub message: String,
    /// What exactly is wrong, where there is more to say.
    pub details: Vec<Detail>,
    /// When it is worth trying again. Sent in whole seconds, rounded up.
    pub retry_after: Option<Duration>,
}

/// One fault of a request, or one fact that explains a refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detail {
    /// A JSON pointer into the body, or the name of a parameter or header.
    pub path: String,
    /// What is wrong there.
    pub message: String,
}

impl ApiError {
    /// With the catalogue's message.
    #[must_use]
    pub fn new(code: ErrorCode) -> Self {
        Self { code, message: code.message().to_owned(), details: Vec::new(), retry_after: None }
    }

    /// Says more precisely what happened.
    #[must_use]
    pub fn message(mut self, message: impl Into<String>) -> Self {
        self.message = message.into();
        self
    }

    /// Adds a detail. `path` is a JSON pointer into the body, or the name of a parameter or header.
    #[must_use]
    pub fn detail(mut self, path: impl Into<String>, message: impl Into<String>) -> Self {
        self.details.push(Detail { path: path.into(), message: message.into() });
        self
    }

    /// Says when it is worth trying again.
    #[must_use]
    pub fn retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    /// The body that tells it, for an answer that carries several outcomes.
    #[must_use]
    pub fn body(&self, context: Option<&Context>) -> types::Error {
        let details = self.details.iter().cloned();
        types::Error {
            error: self.message.clone(),
            code: self.code.as_str().to_owned(),
            action: self.code.action().to_owned(),
            details: (!self.details.is_empty())
                .then(|| details.map(|Detail { path, message }| types::ErrorDetail { path, message }).collect()),
            request_id: context.map_or_else(String::new, |context| context.request_id().to_owned()),
        }
    }

    /// The answer that tells it. The error itself goes along in the answer's extensions, for the server's log.
    #[must_use]
    pub fn into_answer(self, context: Option<&Context>) -> Response {
        let body = self.body(context);
        let mut response = super::json::response(self.status(), &body);
        if asks_to_wait(self.code) {
            let wait = self.retry_after.unwrap_or(Duration::from_secs(1));
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)));
        }
        response.extensions_mut().insert(self);
        response
    }
}

/// Whether the answer carries `Retry-After`.
pub(super) const fn asks_to_wait(code: ErrorCode) -> bool {
    matches!(code.status(), 429 | 503)
}

impl fmt::Display for ApiError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.code.as_str(), self.message)?;
        for Detail { path, message } in &self.details {
            write!(formatter, "; {path}: {message}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ApiError {}

impl From<ErrorCode> for ApiError {
    fn from(code: ErrorCode) -> Self {
        Self::new(code)
    }
}

/// Lets an extractor refuse: the error passes through poem, and [`api_error`](super::api_error) finds it again.
impl ResponseError for ApiError {
    fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn as_response(&self) -> Response {
        self.clone().into_answer(None)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        self.into_answer(None)
    }
}
