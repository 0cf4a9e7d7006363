//! What the caller is told: messages, and what happens to the connection below them.

use std::collections::VecDeque;
use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use super::super::DecodeError;
use super::protocol::{Reconnect, SocketCloseCode, SocketProtocol};
use crate::Error;

/// Something that happened.
#[derive(Debug)]
#[non_exhaustive]
pub enum Update<P: SocketProtocol> {
    /// The server is there.
    Connected {
        /// The session goes on: subscriptions continue where they were, and the credential has been sent again. `false`
        /// on the first connection, and after one that ended because of its credential. Subscriptions still continue
        /// then, but a credential that a message had shown is gone, and they wait until another is shown.
        resumed: bool,
    },
    /// The server said this.
    Message(P::ServerMessage),
    /// Events are missing, and will not come. What was built from earlier ones may be wrong; load it anew.
    Resync {
        /// Of which subscription, e.g. the stream's name. `None`: of the only one, or of any.
        key: Option<String>,
    },
    /// There is no connection, or not any more. The next attempt follows by itself.
    Disconnected {
        /// Why.
        reason: Ending<P::CloseCode>,
        /// When the next attempt comes.
        retry_in: Duration,
    },
    /// The session is over; nothing comes after this.
    Closed {
        /// Why.
        reason: Ending<P::CloseCode>,
        /// What was given to be sent and never was, in order.
        unsent: Vec<P::ClientMessage>,
    },
}

/// Why a connection ended, or was not made.
#[derive(Debug)]
#[non_exhaustive]
pub enum Ending<C> {
    /// The caller closed the socket.
    Requested,
    /// The server closed it.
    Closed {
        /// The number on the wire.
        code: u16,
        /// Its row in the table, unless a newer server uses one that this version does not know.
        known: Option<C>,
        /// What the server said about it. May be empty.
        reason: String,
    },
    /// The connection was not made: the server refused ([`Error::Api`]), did not answer, or is not there.
    Failed(Error),
    /// The connection broke without a word. What was sent last may not have arrived.
    Lost(Box<dyn StdError + Send + Sync>),
    /// Nothing came for this long, not even a sign of life.
    Silent(Duration),
    /// The connection stood, but the first message did not come within this time.
    NoGreeting(Duration),
    /// The server said something that is not what the protocol says.
    Malformed(DecodeError),
    /// Events are missing between two, and the server did not say so.
    Jump {
        /// Of which subscription.
        key: Option<String>,
        /// The last event before.
        after: u64,
        /// The one that came.
        found: u64,
    },
}

impl<C: SocketCloseCode> Ending<C> {
    /// The row of the table of close codes, when the server closed with one that is known.
    pub const fn close_code(&self) -> Option<C> {
        match self {
            Self::Closed { known, .. } => *known,
            _ => None,
        }
    }

    /// The error, when the connection was not made.
    pub const fn error(&self) -> Option<&Error> {
        match self {
            Self::Failed(error) => Some(error),
            _ => None,
        }
    }

    /// What follows by the protocol. An unknown code is no reason to give up.
    pub(super) fn reconnect(&self) -> Reconnect {
        match self {
            Self::Requested => Reconnect::Never,
            Self::Closed { known, .. } => known.map_or(Reconnect::Resume, SocketCloseCode::reconnect),
            Self::Failed(error) if !error.is_retryable() => Reconnect::Never,
            _ => Reconnect::Resume,
        }
    }
}

impl<C: SocketCloseCode> fmt::Display for Ending<C> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Requested => formatter.write_str("the socket was closed by this program"),
            Self::Closed { known: Some(code), .. } => {
                write!(formatter, "{} {} ({}, {})", code.message(), code.action(), code.as_str(), code.code())
            }
            Self::Closed { code, known: None, reason } => {
                write!(formatter, "the server closed the connection with the unknown code {code} ({reason:?})")
            }
            Self::Failed(error) => error.fmt(formatter),
            Self::Lost(cause) => {
                write!(formatter, "the connection broke ({cause}); what was sent last may not have arrived")
            }
            Self::Silent(after) => {
                write!(formatter, "nothing came for {after:?}, not even a sign of life; the connection is dead")
            }
            Self::NoGreeting(after) => write!(
                formatter,
                "the connection stood, but the server said nothing for {after:?}; a proxy in between may be at fault"
            ),
            Self::Malformed(error) => write!(
                formatter,
                "the server said something that is not what the protocol says ({error}); check that this SDK is recent \
                 enough"
            ),
            Self::Jump { key, after, found } => {
                let of = key.as_deref().map(|key| format!(" of {key:?}")).unwrap_or_default();
                write!(formatter, "event {found}{of} came after event {after}, and what lies between did not")
            }
        }
    }
}

/// What the session is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SocketState {
    /// Has not begun.
    Idle,
    /// A connection is being made.
    Connecting,
    /// The server is there.
    Open,
    /// Waits before it connects again.
    Waiting,
    /// Says goodbye.
    Closing,
    /// Over.
    Closed,
}

/// Updates that the caller has not taken yet. When there are many, the network is not read until half of them have been
/// taken.
pub(super) struct Updates<P: SocketProtocol> {
    waiting: VecDeque<(Update<P>, usize)>,
    bytes: usize,
    full: bool,
}

const MOST: usize = 256;
const MOST_BYTES: usize = 1024 * 1024;

impl<P: SocketProtocol> Updates<P> {
    pub(super) const fn new() -> Self {
        Self { waiting: VecDeque::new(), bytes: 0, full: false }
    }

    /// `bytes`: the size of the frame that it came in.
    pub(super) fn push(&mut self, update: Update<P>, bytes: usize) {
        // Of several failed attempts in a row only the last is worth telling.
        if let (Update::Disconnected { .. }, Some((last @ Update::Disconnected { .. }, _))) =
            (&update, self.waiting.back_mut())
        {
            *last = update;
            return;
        }
        self.waiting.push_back((update, bytes));
        self.bytes += bytes;
        self.full |= self.waiting.len() >= MOST || self.bytes >= MOST_BYTES;
    }

    pub(super) fn take(&mut self) -> Option<Update<P>> {
        let (update, bytes) = self.waiting.pop_front()?;
        self.bytes -= bytes;
        self.full &= self.waiting.len() > MOST / 2 || self.bytes > MOST_BYTES / 2;
        Some(update)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(super) const fn is_full(&self) -> bool {
        self.full
    }

    pub(super) fn clear(&mut self) {
        *self = Self::new();
    }
}
