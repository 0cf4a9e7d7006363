//! The `hub` surface: its operations, and its socket.

mod frame;
mod operations;
mod session;
mod socket;

pub(super) use operations::HubSurface;
pub(super) use socket::HubSockets;
