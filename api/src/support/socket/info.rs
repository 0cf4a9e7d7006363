//! What can be said about a socket without opening it: for its route, its limits, metrics and coverage tests.

use std::time::Duration;

use poem::Response;

use crate::generated::errors::ErrorCode;
use crate::generated::sockets::CloseCode;
use crate::support::context::Context;
use crate::support::error::ApiError;
use crate::support::refused::declared;

/// One socket of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SocketInfo {
    /// As in the spec, e.g. `stream`.
    pub name: &'static str,
    /// The path, e.g. `/v1/stream`.
    pub address: &'static str,
    /// Alternatives in order, each a list of schemes that go together; empty means open to all.
    pub security: &'static [&'static [&'static str]],
    /// Every code with which opening it may be refused, in the catalogue's order.
    pub errors: &'static [ErrorCode],
    /// The codes that its error messages carry, in the catalogue's order.
    pub faults: &'static [ErrorCode],
    /// The codes that it may be closed with, in the table's order.
    pub close_codes: &'static [CloseCode],
    /// What clients say: the names in the spec.
    pub client_messages: &'static [&'static str],
    /// What the server says: the names in the spec.
    pub server_messages: &'static [&'static str],
    /// What both ends hold to.
    pub limits: SocketLimits,
}

/// The limits of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SocketLimits {
    /// The largest message that the server takes.
    pub max_message_bytes: usize,
    /// Beyond this many, the server reads more slowly.
    pub messages_per_second: u32,
    /// After this many faulty messages in a row the connection is closed.
    pub faults_in_a_row: u32,
    /// How much one connection may follow.
    pub subscriptions: usize,
    /// Events that may wait for a slow client.
    pub queue_events: usize,
    /// The bytes of those events.
    pub queue_bytes: usize,
    /// How often the server gives a sign of life.
    pub heartbeat: Duration,
    /// How long a client may give none.
    pub silence: Duration,
}

/// What a client does after a close code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reconnect {
    /// Connects again after a pause, and goes on from its last position.
    Resume,
    /// Connects again, but with a new credential, or from the beginning.
    Fresh,
    /// Stops; it would end the same way.
    Never,
}

impl SocketInfo {
    /// The answer to a request that may not become this socket. A code that the socket does not declare would break
    /// the contract: it is logged, and becomes `internal`.
    #[must_use]
    pub fn refusal(&self, error: ApiError, context: &Context) -> Response {
        declared(error, self.errors, self.name, context).into_answer(Some(context))
    }
}
