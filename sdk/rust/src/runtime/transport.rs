//! How one request travels. Everything above (retries, signatures, errors) is the same for every transport, so a
//! test replaces this one piece. Wrap a transport in another to see or change every attempt.

use std::error::Error as StdError;
use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;
use http::HeaderMap;
use url::Url;

use super::Method;

/// Sends requests. An implementation makes one attempt, follows no redirects, and keeps no time: the runtime gives
/// up on an attempt by dropping it.
#[async_trait]
pub trait Transport: fmt::Debug + Send + Sync {
    /// Makes one attempt, and reads the whole answer, whatever its status.
    ///
    /// # Errors
    /// There is no answer, or it is larger than [`Request::body_limit`].
    async fn send(&self, request: Request) -> Result<RawResponse, TransportError>;
}

/// One attempt.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: Method,
    pub url: Url,
    pub headers: HeaderMap,
    pub body: Option<Bytes>,
    /// The largest body of an answer that is read, in bytes.
    pub body_limit: usize,
}

/// An answer of any status.
#[derive(Debug, Clone)]
pub struct RawResponse {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransportError {
    /// The request surely did not reach the server: no connection could be made.
    #[error("no connection")]
    Connect(#[source] Box<dyn StdError + Send + Sync>),
    /// The connection broke; the request may have reached the server.
    #[error("connection lost")]
    Interrupted(#[source] Box<dyn StdError + Send + Sync>),
    /// The answer is larger than the limit.
    #[error("the answer is larger than {limit} bytes")]
    TooLarge { status: u16, limit: usize },
}
