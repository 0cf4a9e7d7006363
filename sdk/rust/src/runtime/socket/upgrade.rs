//! Opens sockets with the HTTP client that also makes the calls: the same certificates, the same proxies, no redirects.
//! Above the upgrade the frames are tungstenite's.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use async_trait::async_trait;
use futures_util::{Sink, Stream, StreamExt};
use http::header::{
    CONNECTION, HeaderMap, HeaderName, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION,
    UPGRADE,
};
use reqwest::Upgraded;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::{CapacityError, ProtocolError};
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{self, Message, Utf8Bytes};

use super::super::http_transport::{failed, read};
use super::super::{HttpTransport, TransportError};
use super::transport::{OpenError, SocketConnection, SocketError, SocketFrame, SocketRequest, SocketTransport};

/// A socket may stay for hours and be silent most of the time, so its buffers are small.
const BUFFER: usize = 8 * 1024;
/// The largest refusal that is read.
const REFUSAL: usize = 64 * 1024;
/// What stands for a close frame without a code.
const NO_CODE: u16 = 1005;

#[async_trait]
impl SocketTransport for HttpTransport {
    async fn open(&self, request: SocketRequest) -> Result<SocketConnection, OpenError> {
        let key = generate_key();
        let SocketRequest { url, headers, message_limit, write_limit } = request;
        let asked = self.client.get(url).headers(headers).headers(handshake(&key)?);
        let response = asked.send().await.map_err(failed)?;
        if response.status() != http::StatusCode::SWITCHING_PROTOCOLS {
            return Err(OpenError::Refused(Box::new(read(response, REFUSAL).await?)));
        }
        check(response.headers(), &key)?;
        let upgraded = response.upgrade().await.map_err(|error| TransportError::Interrupted(error.into()))?;

        let config = WebSocketConfig::default()
            .read_buffer_size(BUFFER)
            .write_buffer_size(BUFFER)
            // Room for one message; the next waits until it is gone.
            .max_write_buffer_size(2 * BUFFER + write_limit)
            .max_message_size(Some(message_limit))
            .max_frame_size(Some(message_limit));
        let frames = WebSocketStream::from_raw_socket(upgraded, Role::Client, Some(config)).await;
        let (outgoing, incoming) = Frames { frames, limit: message_limit }.split();
        Ok(SocketConnection { incoming: Box::pin(incoming), outgoing: Box::pin(outgoing) })
    }
}

fn handshake(key: &str) -> Result<HeaderMap, OpenError> {
    let key = HeaderValue::from_str(key).map_err(|_| OpenError::Handshake("the key is not one that HTTP allows"))?;
    let fixed: [(HeaderName, &'static str); 3] =
        [(CONNECTION, "Upgrade"), (UPGRADE, "websocket"), (SEC_WEBSOCKET_VERSION, "13")];
    let mut headers: HeaderMap =
        fixed.into_iter().map(|(name, value)| (name, HeaderValue::from_static(value))).collect();
    headers.insert(SEC_WEBSOCKET_KEY, key);
    Ok(headers)
}

/// Whether the answer is to this very request, and not something that a cache or a proxy had lying around.
fn check(headers: &HeaderMap, key: &str) -> Result<(), OpenError> {
    let is = |name: HeaderName, value: &str| {
        headers.get(name).is_some_and(|found| found.as_bytes().eq_ignore_ascii_case(value.as_bytes()))
    };
    if !is(UPGRADE, "websocket") {
        return Err(OpenError::Handshake("it switches to another protocol"));
    }
    let accept = derive_accept_key(key.as_bytes());
    if headers.get(SEC_WEBSOCKET_ACCEPT).is_none_or(|found| found.as_bytes() != accept.as_bytes()) {
        return Err(OpenError::Handshake("`Sec-WebSocket-Accept` does not belong to the request"));
    }
    Ok(())
}

/// Translates between tungstenite's frames and the runtime's.
struct Frames {
    frames: WebSocketStream<Upgraded>,
    limit: usize,
}

impl Stream for Frames {
    type Item = Result<SocketFrame, SocketError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            let limit = self.limit;
            return Poll::Ready(match ready!(Pin::new(&mut self.frames).poll_next(context)) {
                None => None,
                Some(Ok(Message::Text(text))) => Some(Ok(SocketFrame::Text(text.into()))),
                Some(Ok(Message::Binary(bytes))) => Some(Ok(SocketFrame::Binary(bytes))),
                Some(Ok(Message::Ping(bytes))) => Some(Ok(SocketFrame::Ping(bytes))),
                Some(Ok(Message::Pong(bytes))) => Some(Ok(SocketFrame::Pong(bytes))),
                Some(Ok(Message::Close(frame))) => Some(Ok(closed(frame))),
                // Parts of messages are put together below.
                Some(Ok(Message::Frame(_))) => continue,
                Some(Err(error)) => ended(error, limit).map(Err),
            });
        }
    }
}

impl Sink<SocketFrame> for Frames {
    type Error = SocketError;

    fn poll_ready(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), SocketError>> {
        Pin::new(&mut self.frames).poll_ready(context).map_err(unwritten)
    }

    fn start_send(mut self: Pin<&mut Self>, frame: SocketFrame) -> Result<(), SocketError> {
        let message = match frame {
            SocketFrame::Text(text) => {
                Message::Text(Utf8Bytes::try_from(text).map_err(|error| SocketError::Violation(error.into()))?)
            }
            SocketFrame::Binary(bytes) => Message::Binary(bytes),
            SocketFrame::Ping(bytes) => Message::Ping(bytes),
            SocketFrame::Pong(bytes) => Message::Pong(bytes),
            SocketFrame::Close { code: NO_CODE, .. } => Message::Close(None),
            SocketFrame::Close { code, reason } => {
                Message::Close(Some(CloseFrame { code: code.into(), reason: reason.into() }))
            }
        };
        Pin::new(&mut self.frames).start_send(message).map_err(unwritten)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), SocketError>> {
        Pin::new(&mut self.frames).poll_flush(context).map_err(unwritten)
    }

    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), SocketError>> {
        Pin::new(&mut self.frames).poll_close(context).map_err(unwritten)
    }
}

fn closed(frame: Option<CloseFrame>) -> SocketFrame {
    match frame {
        Some(frame) => SocketFrame::Close { code: frame.code.into(), reason: frame.reason.to_string() },
        None => SocketFrame::Close { code: NO_CODE, reason: String::new() },
    }
}

/// `None`: it ended as it should.
fn ended(error: tungstenite::Error, limit: usize) -> Option<SocketError> {
    use tungstenite::Error;
    match error {
        Error::ConnectionClosed | Error::AlreadyClosed => None,
        Error::Io(_) | Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => {
            Some(SocketError::Lost(error.into()))
        }
        Error::Capacity(CapacityError::MessageTooLong { .. }) => Some(SocketError::TooLarge { limit }),
        other => Some(SocketError::Violation(other.into())),
    }
}

fn unwritten(error: tungstenite::Error) -> SocketError {
    SocketError::Lost(error.into())
}
