//! Sockets: by hand ([`RawSocket`]) and by the SDK, both judged by the sockets' document.

pub mod document;
pub mod frame;
pub mod judge;
pub mod line;
mod raw;
pub(crate) mod tap;
pub mod transport;

pub use judge::{Faults, RAW, SocketJudge};
pub use line::Line;
pub use raw::{Opened, RawSocket, Received};
