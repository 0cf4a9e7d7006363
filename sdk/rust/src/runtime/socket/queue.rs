//! What the caller wants to say and has not said yet: bounded, and written as JSON when it goes in, so that nothing that
//! happens to a message later changes what is sent.

use std::collections::VecDeque;
use std::fmt;

use bytes::Bytes;
use serde::Serialize;

/// How much may wait to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueLimits {
    /// Messages. Default: 1024.
    pub messages: usize,
    /// Bytes of JSON and raw data. A message that is larger by itself waits alone. Default: 1 MiB.
    pub bytes: usize,
}

impl Default for QueueLimits {
    fn default() -> Self {
        Self { messages: 1024, bytes: 1024 * 1024 }
    }
}

/// Why a message was not taken; it comes back.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum SendError<M> {
    /// As much is waiting as may wait.
    #[error(
        "the queue is full, because the connection is slow or down; wait for space with `send`, or try again later"
    )]
    Full(M),
    /// The server would end the session because of it.
    #[error("the message has {bytes} bytes, and the server takes {limit}; send less in one message")]
    TooLarge {
        message: M,
        /// Of JSON or raw data.
        bytes: usize,
        /// Of the protocol.
        limit: usize,
    },
    /// The session has ended, or is about to.
    #[error("the socket is closed; connect again to send more")]
    Closed(M),
    /// It cannot be written as JSON.
    #[error("the message cannot be written as JSON; see the cause")]
    Unwritable {
        message: M,
        #[source]
        source: serde_json::Error,
    },
}

impl<M> SendError<M> {
    /// The message.
    pub fn into_message(self) -> M {
        match self {
            Self::Full(message) | Self::Closed(message) => message,
            Self::TooLarge { message, .. } | Self::Unwritable { message, .. } => message,
        }
    }
}

/// Without the message: it may hold a secret, and errors end up in logs.
impl<M> fmt::Debug for SendError<M> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Full(_) => "Full",
            Self::TooLarge { .. } => "TooLarge",
            Self::Closed(_) => "Closed",
            Self::Unwritable { .. } => "Unwritable",
        })
    }
}

/// A message that waits.
pub(super) struct Queued<M> {
    pub(super) message: M,
    pub(super) payload: Payload,
}

/// What is written for a message.
pub(super) enum Payload {
    Json(String),
    Raw(Bytes),
}

impl Payload {
    fn len(&self) -> usize {
        match self {
            Self::Json(text) => text.len(),
            Self::Raw(data) => data.len(),
        }
    }
}

/// The messages that wait, first come, first served.
pub(super) struct Queue<M> {
    waiting: VecDeque<Queued<M>>,
    bytes: usize,
    limits: QueueLimits,
    /// The largest message that the server takes.
    largest: usize,
}

impl<M: Serialize> Queue<M> {
    pub(super) const fn new(limits: QueueLimits, largest: usize) -> Self {
        Self { waiting: VecDeque::new(), bytes: 0, limits, largest }
    }

    /// `raw`: what the message is where it is no JSON.
    pub(super) fn push(&mut self, message: M, raw: impl FnOnce(&M) -> Option<&Bytes>) -> Result<(), SendError<M>> {
        // Before the JSON is made: whoever tries again and again should not pay for it every time.
        if self.waiting.len() >= self.limits.messages {
            return Err(SendError::Full(message));
        }
        let payload = match raw(&message) {
            Some(data) => Payload::Raw(data.clone()),
            None => match serde_json::to_string(&message) {
                Ok(text) => Payload::Json(text),
                Err(source) => return Err(SendError::Unwritable { message, source }),
            },
        };
        let bytes = payload.len();
        if bytes > self.largest {
            return Err(SendError::TooLarge { message, bytes, limit: self.largest });
        }
        if !self.waiting.is_empty() && self.bytes + bytes > self.limits.bytes {
            return Err(SendError::Full(message));
        }
        self.bytes += bytes;
        self.waiting.push_back(Queued { message, payload });
        Ok(())
    }

    pub(super) fn pop(&mut self) -> Option<Queued<M>> {
        let queued = self.waiting.pop_front()?;
        self.bytes -= queued.payload.len();
        Some(queued)
    }

    pub(super) fn back(&self) -> Option<&M> {
        self.waiting.back().map(|queued| &queued.message)
    }

    pub(super) fn front(&self) -> Option<&M> {
        self.waiting.front().map(|queued| &queued.message)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Puts those that `goes_first` before all others. `false`: there are none.
    pub(super) fn bring_forward(&mut self, goes_first: impl Fn(&M) -> bool) -> bool {
        let (first, rest): (VecDeque<_>, VecDeque<_>) =
            self.waiting.drain(..).partition(|queued| goes_first(&queued.message));
        let any = !first.is_empty();
        self.waiting = first;
        self.waiting.extend(rest);
        any
    }

    /// Everything that was not sent, in order.
    pub(super) fn hand_back(&mut self) -> Vec<M> {
        self.bytes = 0;
        self.waiting.drain(..).map(|queued| queued.message).collect()
    }
}
