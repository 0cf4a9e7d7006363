//! What generated sockets stand on: what one is, what the server's engine drives, how a message is read and written.
//!
//! Nothing here touches a connection. The upgrade, frames on the network, limits and time are the engine's, in the
//! server; what a message means is the handler's.

mod decode;
mod fault;
mod info;
mod outbox;
mod query;
mod queue;
mod raw;

use std::future::Future;

use bytes::Bytes;

pub use decode::Incoming;
pub use fault::{Fault, FaultKind};
pub use info::{Reconnect, SocketInfo, SocketLimits};
pub use outbox::{Outbox, Outgoing, SendsRaw, ServerMessage};
pub use query::QueryParameters;
pub use queue::Queue;
pub use raw::{RAW_FRAME, RawSender};
/// A text frame, ready to be sent. Clones share its bytes.
pub use tungstenite::Utf8Bytes as Frame;

use super::context::Context;
use super::error::ApiError;
use crate::generated::sockets::CloseCode;

/// A socket of the protocol, as the engine sees it. Generated endpoints implement it, and forward to a handler.
pub trait Socket: Send + Sync + 'static {
    /// What the protocol says about it.
    const INFO: &'static SocketInfo;

    /// One connection.
    type Session: SocketSession;

    /// May this connection be made? A refusal is an HTTP answer: see [`SocketInfo::refusal`]. `query` is that of the
    /// request's URI, still encoded.
    fn connect(&self, context: &Context, query: &str) -> impl Future<Output = Result<Self::Session, ApiError>> + Send;
}

/// One connection, as the engine drives it: one call at a time, and after each the engine sends what is in the outbox.
///
/// A [`CloseCode`] ends the connection, after what is in the outbox.
pub trait SocketSession: Send + 'static {
    /// What the server says.
    type Message: ServerMessage;

    /// Whether clients send raw data.
    const TAKES_RAW: bool = false;

    /// Whether the server sends raw data. It is pulled then: see [`pending`](Self::pending).
    const SENDS_RAW: bool = false;

    /// The connection stands. Comes first, and once.
    fn opened(&mut self, out: &mut Outbox<Self::Message>) -> impl Future<Output = Result<(), CloseCode>> + Send;

    /// The client sent a text frame, which may be raw data. Faulty ones are answered by the handler, and counted by the engine.
    fn receive(
        &mut self,
        text: &str,
        out: &mut Outbox<Self::Message>,
    ) -> impl Future<Output = Result<Taken, CloseCode>> + Send;

    /// The client sent raw data as a binary frame. Never comes unless [`TAKES_RAW`](Self::TAKES_RAW) is true.
    fn raw(
        &mut self,
        data: Bytes,
        out: &mut Outbox<Self::Message>,
    ) -> impl Future<Output = Result<(), CloseCode>> + Send {
        let _ = (data, out);
        std::future::ready(Ok(()))
    }

    /// Completes when there is more to send, having put it into `out`. The engine asks only while there is room for what
    /// it gets: where raw data is sent, at most 32 KiB wait by then, so that what is sent one [`RAW_FRAME`] a call never
    /// holds more than 48 KiB beside the network's own buffers, and its source is as fast as the client reads. Dropped and called again whenever the client
    /// says something, by which nothing is lost.
    fn pending(&mut self, out: &mut Outbox<Self::Message>) -> impl Future<Output = Result<(), CloseCode>> + Send;

    /// The client gave a sign of life that is no message: a ping or a pong of WebSocket itself.
    fn alive(&mut self) {}

    /// Comes every [`SocketLimits::heartbeat`].
    fn heartbeat(&mut self, out: &mut Outbox<Self::Message>) -> impl Future<Output = Result<(), CloseCode>> + Send;

    /// The connection is gone. Comes last, and once, whoever ended it.
    fn closed(self) -> impl Future<Output = ()> + Send;
}

/// What became of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It was a message.
    Well,
    /// It was none, and the client was told so.
    Faulty,
}
