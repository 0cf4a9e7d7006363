//! What the caller holds: a socket to read from, and senders for those who only write.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::Stream;

use super::protocol::SocketProtocol;
use super::queue::SendError;
use super::shared::Shared;
use super::update::{SocketState, Update};

/// A session over a socket. It outlives its connections: a lost one is made again, and what was subscribed goes on where
/// it was, each event once and in order.
///
/// Read it all the time ([`next`](Self::next), or as a [`Stream`]): while some hundred updates wait to be taken, nothing
/// more is read from the network, and no new connection is made.
///
/// What is sent waits in a bounded queue until it has been written to a connection. Written is not delivered: what was
/// written shortly before a connection broke may be lost, and is not written again. Only subscriptions and the latest
/// credential are, by themselves. Whoever must know asks for an answer, for instance with an `id`.
///
/// Dropping the socket says goodbye to the server and ends the session, with all its [senders](Self::sender).
#[must_use = "dropping a socket closes it"]
pub struct Socket<P: SocketProtocol> {
    pub(super) shared: Arc<Shared<P>>,
}

impl<P: SocketProtocol> Socket<P> {
    /// What happens next; `None` after [`Update::Closed`]. Nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> Option<Update<P>> {
        poll_fn(|context| self.shared.poll_update(context)).await
    }

    /// Takes a message to be sent, once there is room for it.
    ///
    /// # Errors
    /// The message can never be sent, and comes back: it is too large, or the session is over.
    pub async fn send(&self, message: impl Into<P::ClientMessage>) -> Result<(), SendError<P::ClientMessage>> {
        self.shared.send(message.into()).await
    }

    /// Takes a message to be sent, if there is room for it.
    ///
    /// # Errors
    /// There is no room, or the message can never be sent; it comes back.
    pub fn try_send(&self, message: impl Into<P::ClientMessage>) -> Result<(), SendError<P::ClientMessage>> {
        self.shared.try_send(message.into())
    }

    /// Takes raw data to be sent, once there is room for it. However much it is: it goes in frames that the server takes,
    /// in its order among messages. For one frame, [`send`](Self::send) and [`try_send`](Self::try_send) take it, too.
    ///
    /// # Errors
    /// The session is over. What has not been taken comes back.
    pub async fn send_raw(&self, data: impl Into<Bytes>) -> Result<(), SendError<P::ClientMessage>>
    where
        P::ClientMessage: From<Bytes>,
    {
        self.shared.send_raw(data.into()).await
    }

    /// Waits until everything that was given to be sent has been written to a connection, or the session is over.
    pub async fn flush(&self) {
        self.shared.flush().await;
    }

    /// Says goodbye, and answers with what was not sent. On an open connection that is nothing, unless the server is very
    /// slow; without one it is everything that waited, so [`flush`](Self::flush) before if it matters. Updates that have
    /// not been taken are dropped.
    pub async fn close(mut self) -> Vec<P::ClientMessage> {
        self.shared.close();
        while let Some(update) = self.next().await {
            if let Update::Closed { unsent, .. } = update {
                return unsent;
            }
        }
        Vec::new()
    }

    /// What the session is doing.
    pub fn state(&self) -> SocketState {
        self.shared.state()
    }

    /// A handle for sending from elsewhere.
    pub fn sender(&self) -> SocketSender<P> {
        SocketSender { shared: Arc::clone(&self.shared) }
    }
}

impl<P: SocketProtocol> Stream for Socket<P> {
    type Item = Update<P>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.shared.poll_update(context)
    }
}

impl<P: SocketProtocol> Drop for Socket<P> {
    fn drop(&mut self) {
        self.shared.abandon();
    }
}

impl<P: SocketProtocol> fmt::Debug for Socket<P> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        show(formatter, "Socket", &self.shared)
    }
}

/// Sends over a [`Socket`]. Cheap to clone. The session ends with its socket, not with its senders.
pub struct SocketSender<P: SocketProtocol> {
    shared: Arc<Shared<P>>,
}

impl<P: SocketProtocol> SocketSender<P> {
    /// See [`Socket::send`].
    ///
    /// # Errors
    /// See [`Socket::send`].
    pub async fn send(&self, message: impl Into<P::ClientMessage>) -> Result<(), SendError<P::ClientMessage>> {
        self.shared.send(message.into()).await
    }

    /// See [`Socket::try_send`].
    ///
    /// # Errors
    /// See [`Socket::try_send`].
    pub fn try_send(&self, message: impl Into<P::ClientMessage>) -> Result<(), SendError<P::ClientMessage>> {
        self.shared.try_send(message.into())
    }

    /// See [`Socket::send_raw`].
    ///
    /// # Errors
    /// See [`Socket::send_raw`].
    pub async fn send_raw(&self, data: impl Into<Bytes>) -> Result<(), SendError<P::ClientMessage>>
    where
        P::ClientMessage: From<Bytes>,
    {
        self.shared.send_raw(data.into()).await
    }

    /// See [`Socket::flush`].
    pub async fn flush(&self) {
        self.shared.flush().await;
    }

    /// Ends the session. Whoever reads the socket gets [`Update::Closed`] with what was not sent.
    pub fn close(&self) {
        self.shared.close();
    }

    /// What the session is doing.
    pub fn state(&self) -> SocketState {
        self.shared.state()
    }
}

impl<P: SocketProtocol> Clone for SocketSender<P> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<P: SocketProtocol> fmt::Debug for SocketSender<P> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        show(formatter, "SocketSender", &self.shared)
    }
}

fn show<P: SocketProtocol>(formatter: &mut fmt::Formatter<'_>, name: &str, shared: &Shared<P>) -> fmt::Result {
    formatter.debug_struct(name).field("socket", &P::INFO.name).field("state", &shared.state()).finish_non_exhaustive()
}
