//! Sockets: sessions that outlive the connections below them.
//!
//! `protocol.rs` is what generated code says about a socket. `machine.rs` decides what to do, and does nothing itself:
//! `subscriptions.rs` knows what has been received, `outbox.rs` what is to be sent, `vitals.rs` who is alive. `driver.rs` does
//! it, with a `connector.rs`, over a `transport.rs`. The caller holds `socket.rs`.

mod builder;
mod connector;
mod driver;
mod machine;
mod outbox;
mod protocol;
mod queue;
mod settings;
mod shared;
#[allow(clippy::module_inception, reason = "the module is about sockets, the file about the one that callers hold")]
mod socket;
mod subscriptions;
#[cfg(test)]
mod tests;
mod transport;
mod update;
mod upgrade;
mod vitals;

pub use builder::SocketBuilder;
pub use protocol::{
    Intent, Position, Progress, Reconnect, SocketCloseCode, SocketInfo, SocketLimits, SocketProtocol, WithoutPosition,
};
pub use queue::{QueueLimits, SendError};
pub use settings::ReconnectPolicy;
pub use socket::{Socket, SocketSender};
pub use transport::{OpenError, SocketConnection, SocketError, SocketFrame, SocketRequest, SocketTransport};
pub use update::{Ending, SocketState, Update};
