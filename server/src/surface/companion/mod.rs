//! The `companion` surface: its operations, and its socket.

mod frame;
mod operations;
mod socket;

pub(super) use operations::{CompanionSurface, socket_url};
pub(super) use socket::CompanionSockets;
