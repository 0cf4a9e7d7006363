//! Sockets: sessions that outlive the connections below them.
//!
//! `protocol.rs` is what generated code says about a socket. `machine.rs` decides what to do, with `subscriptions.rs` and
//! `queue.rs`, and does nothing itself; `driver.rs` does it, with `connector.rs`, over a `transport.rs`. The caller holds
//! `socket.rs`.

mod builder;
mod connector;
mod driver;
mod machine;
mod protocol;
mod queue;
mod settings;
mod shared;
#[allow(clippy::module_inception, reason = "the module is about sockets, the file about the one that callers hold")]
mod socket;
mod subscriptions;
mod transport;
#[cfg(test)]
mod tests;
mod update;
mod upgrade;

pub use builder::SocketBuilder;
pub use protocol::{
    Intent, Position, Progress, Reconnect, SocketCloseCode, SocketInfo, SocketLimits, SocketProtocol, WithoutPosition,
};
pub use queue::{QueueLimits, SendError};
pub use settings::ReconnectPolicy;
pub use socket::{Socket, SocketSender};
pub use transport::{OpenError, SocketConnection, SocketError, SocketFrame, SocketRequest, SocketTransport};
pub use update::{Ending, SocketState, Update};
