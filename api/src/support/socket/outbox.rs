//! What a connection still has to send. How much of it may wait, and what happens to a slow client, is the engine's.

use std::marker::PhantomData;

use bytes::Bytes;
use serde::Serialize;

use super::{Frame, Queue};

/// Something that the server says on a socket. Generated.
pub trait ServerMessage: Serialize + Send + 'static {
    /// The message's name in the spec.
    fn name(&self) -> &'static str;

    /// The message as a frame, for one that goes to many connections: encode it once, and clone the frame.
    fn frame(&self) -> Frame {
        // Keys are texts, and nothing in a message refuses to be written.
        serde_json::to_string(self).expect("a message of the protocol can always be written").into()
    }
}

/// The messages of a socket on which the server sends raw data, too. Generated.
pub trait SendsRaw: ServerMessage {}

/// Something that waits to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outgoing {
    /// A message, or raw data for a client that reads only text.
    Text(Frame),
    /// Raw data.
    Binary(Bytes),
}

/// The frames that wait to be sent on one connection, in order. Empty, it takes no memory of its own.
#[derive(Debug)]
pub struct Outbox<M> {
    frames: Queue<Outgoing>,
    message: PhantomData<fn(M)>,
}

impl<M: ServerMessage> Outbox<M> {
    /// An empty one.
    #[must_use]
    pub const fn new() -> Self {
        Self { frames: Queue::new(), message: PhantomData }
    }

    /// Puts a message behind the others.
    #[expect(clippy::needless_pass_by_value, reason = "who sends a message is done with it")]
    pub fn send(&mut self, message: M) {
        self.send_frame(message.frame());
    }

    /// Puts a frame behind the others. It must be one of the socket's messages.
    pub fn send_frame(&mut self, frame: Frame) {
        self.frames.push(Outgoing::Text(frame));
    }

    /// Takes the first frame out.
    pub fn pop(&mut self) -> Option<Outgoing> {
        self.frames.pop()
    }

    /// Takes all frames out.
    pub fn take(&mut self) -> Vec<Outgoing> {
        self.frames.drain(..).collect()
    }

    /// Gives back room that was not needed since the last time. Comes with each heartbeat.
    pub fn tidy(&mut self) {
        self.frames.tidy();
    }

    /// Whether there is nothing to send.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// How many frames wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.frames.len()
    }
}

impl<M: SendsRaw> Outbox<M> {
    /// Puts raw data behind the rest, as one binary frame. Its bytes are not copied. For large data, and for clients that
    /// read only text, there is [`RawSender`](super::RawSender).
    pub fn send_raw(&mut self, data: Bytes) {
        if !data.is_empty() {
            self.frames.push(Outgoing::Binary(data));
        }
    }
}

impl<M: ServerMessage> Default for Outbox<M> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    struct Tick {
        count: usize,
    }

    impl ServerMessage for Tick {
        fn name(&self) -> &'static str {
            "tick"
        }
    }

    impl SendsRaw for Tick {}

    #[test]
    fn frames_leave_in_the_order_in_which_they_came() {
        let mut out = Outbox::new();
        out.send(Tick { count: 1 });
        out.send_frame(Frame::from_static("2"));
        out.send_raw(Bytes::from_static(b"3"));
        out.send_raw(Bytes::new());
        assert_eq!(out.len(), 3, "no data is no frame");
        assert_eq!(out.pop(), Some(Outgoing::Text(Frame::from_static(r#"{"count":1}"#))));
        let rest = [Outgoing::Text(Frame::from_static("2")), Outgoing::Binary(Bytes::from_static(b"3"))];
        assert_eq!(out.take(), rest);
        assert!(out.is_empty() && out.pop().is_none());
    }
}
