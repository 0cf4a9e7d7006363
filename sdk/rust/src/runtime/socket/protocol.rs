//! What the runtime must know about a socket's messages. Generated code implements [`SocketProtocol`] once for each
//! socket, from its messages, `x-resume`, `x-limits` and the table of close codes. How a session goes on is not said
//! here, but in `machine.rs`.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;

use super::super::{DecodeError, Secret, Security};

/// One socket of the protocol, e.g. `StreamProtocol`.
pub trait SocketProtocol: fmt::Debug + Send + Sync + 'static {
    /// What clients say. Writes its tag first.
    type ClientMessage: Serialize + fmt::Debug + Send + 'static;

    /// What the server says, with a variant for messages that this version does not know.
    type ServerMessage: fmt::Debug + Send + 'static;

    /// The table of close codes.
    type CloseCode: SocketCloseCode;

    /// Names and limits.
    const INFO: &'static SocketInfo;

    /// What subscribing without a position asks for.
    const WITHOUT_POSITION: WithoutPosition = WithoutPosition::Now;

    /// Whether the server sends raw data. Such a server may have nothing to say at first.
    const SENDS_RAW: bool = false;

    /// Reads a text frame. A message that this version does not know is not an error.
    ///
    /// # Errors
    /// The frame is not a JSON object, or a message that is known does not have its shape. The reason names the place,
    /// and no value.
    fn decode(text: &str) -> Result<Self::ServerMessage, DecodeError>;

    /// The raw data that a message of the client is, where it is no JSON.
    fn raw(message: &Self::ClientMessage) -> Option<&Bytes> {
        let _ = message;
        None
    }

    /// Raw data of the server, on a socket that has any.
    fn from_raw(data: Bytes) -> Option<Self::ServerMessage> {
        let _ = data;
        None
    }

    /// What a message of the client changes about the session.
    fn intent(message: &Self::ClientMessage) -> Intent<'_>;

    /// Lets a subscribing message ask for what comes after `position`: sets the property that `x-resume` names, and the
    /// epoch where the message has one. Other messages stay as they are.
    fn resume_after(message: &mut Self::ClientMessage, position: &Position);

    /// How far a message of the server brings a subscription.
    fn progress(message: &Self::ServerMessage) -> Progress<'_>;

    /// Takes the events up to `seq`, inclusive, out of a message with a list of events. Other messages stay as they
    /// are.
    fn discard(message: &mut Self::ServerMessage, seq: u64);

    /// The name of the server's log, where a message tells it: positions of another log mean nothing.
    fn epoch(message: &Self::ServerMessage) -> Option<&str> {
        let _ = message;
        None
    }

    /// The message that shows a token, for sockets that take one in a message.
    fn authenticate(token: &Secret) -> Option<Self::ClientMessage> {
        let _ = token;
        None
    }
}

/// A socket's names and limits, as the protocol has them.
#[derive(Debug, Clone, Copy)]
pub struct SocketInfo {
    /// E.g. `stream`.
    pub name: &'static str,
    /// The path, e.g. `/v1/stream`.
    pub address: &'static str,
    /// What it accepts as proof of who is calling, in order of preference. Empty: nothing in the request that opens it.
    pub security: &'static [Security],
    pub limits: SocketLimits,
}

/// Constants that both ends share.
#[derive(Debug, Clone, Copy)]
pub struct SocketLimits {
    /// The largest message that the server takes.
    pub max_message_bytes: usize,
    /// How much one connection may follow.
    pub subscriptions: usize,
    /// How often the server gives a sign of life.
    pub heartbeat: Duration,
    /// How long a client may give none.
    pub silence: Duration,
}

/// What a message of the client changes about the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Intent<'a> {
    /// Follows something, or begins anew where it is followed already. The message is sent again on every new
    /// connection, from where the client is by then.
    Subscribe {
        /// What is followed; `None` where a connection has only one subscription.
        key: Option<&'a str>,
        /// The position that the message names, if it names one.
        after: Option<u64>,
        /// The epoch that the message names, if it names one.
        epoch: Option<&'a str>,
    },
    /// Ends a subscription.
    Unsubscribe {
        /// What is not followed any more.
        key: Option<&'a str>,
    },
    /// Shows a credential: a message with a secret. The latest is sent again, first of all, on every new connection.
    Authenticate,
    /// Nothing that outlives the message.
    Nothing,
}

/// How far a message of the server brings a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress<'a> {
    /// Carries events, from `first` to `last`; both are the same for one event.
    Events { key: Option<&'a str>, first: u64, last: u64 },
    /// Carries no event, but says that everything up to `seq` has been sent.
    Synced { key: Option<&'a str>, seq: u64 },
    /// Says that history is missing, and that `next` is the first event that comes.
    Gap { key: Option<&'a str>, next: u64 },
    /// Has no place in a subscription: any other message, an empty list, an event that is not stored.
    Nothing,
}

impl<'a> Progress<'a> {
    /// Of events with these places, in order; none at all is no progress.
    pub fn events(key: Option<&'a str>, places: impl IntoIterator<Item = u64>) -> Self {
        let mut places = places.into_iter();
        places.next().map_or(Self::Nothing, |first| {
            let last = places.last().unwrap_or(first);
            Self::Events { key, first, last }
        })
    }
}

/// A place in what is followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// The last event.
    pub seq: u64,
    /// The log that it is from, where the server names its log.
    pub epoch: Option<String>,
}

/// What subscribing without a position asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WithoutPosition {
    /// What happens from now on.
    Now,
    /// Everything there is.
    Everything,
}

/// A row of the table of close codes.
pub trait SocketCloseCode: fmt::Debug + Copy + PartialEq + Send + Sync + 'static {
    /// `None`: the table has no such row.
    fn from_code(code: u16) -> Option<Self>;

    /// The number on the wire.
    fn code(self) -> u16;

    /// The name in the table, e.g. `going_away`.
    fn as_str(self) -> &'static str;

    /// What a client does then.
    fn reconnect(self) -> Reconnect;

    /// What happened.
    fn message(self) -> &'static str;

    /// What to do about it.
    fn action(self) -> &'static str;
}

/// What a client does after a close code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reconnect {
    /// Connects again after a pause, and goes on from the last position.
    Resume,
    /// Connects again, but not with the credential that it had.
    Fresh,
    /// Stops: it would end the same way.
    Never,
}
