//! What a handler may know about the request around its parameters and body.
//!
//! The server's middleware makes it once a request; who the caller is, is decided from it elsewhere.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use poem::http::{HeaderMap, Method};
use poem::{FromRequest, Request, RequestBody};

use super::error::ApiError;
use crate::generated::errors::ErrorCode;

/// The request as it arrived. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Context(Arc<ContextParts>);

/// What a [`Context`] is made of.
#[derive(Debug)]
pub struct ContextParts {
    /// Names the request in the answer and in the log.
    pub request_id: String,
    /// The other end of the connection, unless it is not known, as over a Unix socket.
    pub peer: Option<SocketAddr>,
    /// Whether a proxy passed the request on, so that `peer` is the proxy.
    pub forwarded: bool,
    /// The method.
    pub method: Method,
    /// The path as sent, without the query.
    pub path: String,
    /// Every header.
    pub headers: HeaderMap,
    /// The whole body, exactly as sent. JSON bodies are decoded from here.
    pub body: Bytes,
}

impl Context {
    /// To be put into the request's extensions.
    #[must_use]
    pub fn new(parts: ContextParts) -> Self {
        Self(Arc::new(parts))
    }

    /// Names the request in the answer and in the log.
    #[must_use]
    pub fn request_id(&self) -> &str {
        &self.0.request_id
    }

    /// The other end of the connection, unless it is not known.
    #[must_use]
    pub fn peer(&self) -> Option<SocketAddr> {
        self.0.peer
    }

    /// Whether a proxy passed the request on.
    #[must_use]
    pub fn forwarded(&self) -> bool {
        self.0.forwarded
    }

    /// The method.
    #[must_use]
    pub fn method(&self) -> &Method {
        &self.0.method
    }

    /// The path as sent, without the query.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.0.path
    }

    /// Every header.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.0.headers
    }

    /// A header's first value, if it is there and is visible ASCII text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.0.headers.get(name)?.to_str().ok()
    }

    /// The whole body, exactly as sent.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        &self.0.body
    }
}

/// Fails with `internal` when the server has not put a context into the request's extensions.
impl<'a> FromRequest<'a> for Context {
    async fn from_request(request: &'a Request, _: &mut RequestBody) -> poem::Result<Self> {
        request.extensions().get::<Self>().cloned().ok_or_else(|| {
            tracing::error!("a route is mounted outside the middleware that makes the context");
            ApiError::new(ErrorCode::Internal).into()
        })
    }
}

#[cfg(test)]
impl Context {
    pub(crate) fn for_tests(request_id: &str) -> Self {
        Self::new(ContextParts {
            request_id: request_id.to_owned(),
            peer: None,
            forwarded: false,
            method: Method::GET,
            path: "/".to_owned(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
        })
    }
}
