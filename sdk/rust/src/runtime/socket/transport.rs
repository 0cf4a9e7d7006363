//! How a socket's frames travel. Everything above (sessions, positions, reconnecting) is the same for every transport,
//! so a test replaces this one piece; see `testing::ScriptedSockets`.

use std::error::Error as StdError;
use std::fmt;
use std::pin::Pin;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{Sink, Stream};
use http::HeaderMap;
use url::Url;

use super::super::{RawResponse, TransportError};

/// Opens connections. An implementation makes one attempt, follows no redirects, and keeps no time: the runtime gives
/// up on an attempt by dropping it.
#[async_trait]
pub trait SocketTransport: fmt::Debug + Send + Sync {
    /// Opens a connection.
    ///
    /// # Errors
    /// There is no connection; the error says whether the server refused it.
    async fn open(&self, request: SocketRequest) -> Result<SocketConnection, OpenError>;
}

/// One attempt to open a connection.
#[derive(Clone)]
pub struct SocketRequest {
    /// With the scheme `http` or `https`.
    pub url: Url,
    /// Without those that the WebSocket protocol itself asks for.
    pub headers: HeaderMap,
    /// The largest message that is read, in bytes.
    pub message_limit: usize,
    /// The largest message that is written, in bytes.
    pub write_limit: usize,
}

/// Without the query: it may hold a credential.
impl fmt::Debug for SocketRequest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { url, headers, message_limit, write_limit } = self;
        let mut url = url.clone();
        url.set_query(None);
        formatter
            .debug_struct("SocketRequest")
            .field("url", &url.as_str())
            .field("headers", headers)
            .field("message_limit", message_limit)
            .field("write_limit", write_limit)
            .finish()
    }
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The server answered, but not with a socket.
    #[error("the server refused with status {}", .0.status)]
    Refused(Box<RawResponse>),
    /// There is no answer.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The answer says yes, but is not what the WebSocket protocol asks for.
    #[error("the answer does not open a socket: {0}")]
    Handshake(&'static str),
}

/// An open connection: two directions that do not wait for each other.
pub struct SocketConnection {
    /// What the server says. Ends when the connection does; after an error nothing more is read.
    pub incoming: Pin<Box<dyn Stream<Item = Result<SocketFrame, SocketError>> + Send>>,
    /// What is said to the server. Answers pings by itself while `incoming` is read.
    pub outgoing: Pin<Box<dyn Sink<SocketFrame, Error = SocketError> + Send>>,
}

/// A frame, or a message put together from several.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SocketFrame {
    /// UTF-8.
    Text(Bytes),
    Binary(Bytes),
    Ping(Bytes),
    Pong(Bytes),
    /// The last frame of a direction.
    Close {
        /// 1005 where the frame has none.
        code: u16,
        reason: String,
    },
}

/// Without what it says: a message may show a credential.
impl fmt::Debug for SocketFrame {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, bytes) = match self {
            Self::Text(text) => ("Text", text.len()),
            Self::Binary(bytes) => ("Binary", bytes.len()),
            Self::Ping(bytes) => ("Ping", bytes.len()),
            Self::Pong(bytes) => ("Pong", bytes.len()),
            Self::Close { code, reason } => return write!(formatter, "Close({code}, {} bytes)", reason.len()),
        };
        write!(formatter, "{kind}({bytes} bytes)")
    }
}

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SocketError {
    /// It broke.
    #[error("connection lost")]
    Lost(#[source] Box<dyn StdError + Send + Sync>),
    /// A message is larger than the limit.
    #[error("the message is larger than {limit} bytes")]
    TooLarge { limit: usize },
    /// What came is not the WebSocket protocol.
    #[error("not the WebSocket protocol")]
    Violation(#[source] Box<dyn StdError + Send + Sync>),
}

impl fmt::Debug for SocketConnection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SocketConnection").finish_non_exhaustive()
    }
}
