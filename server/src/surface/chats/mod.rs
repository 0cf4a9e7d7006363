//! The `chats` surface: its operations, and its socket.

mod frame;
mod operations;
mod session;
mod socket;

pub(super) use operations::ChatsSurface;
pub(super) use socket::ChatSockets;
