//! The `chats` surface: its operations, and its socket.

mod frame;
mod operations;
mod session;
mod socket;
mod told;

pub(super) use operations::ChatsSurface;
pub(super) use socket::ChatSockets;
