//! HTTP below the surfaces: accepting connections, bounding what they may cost, and wrapping every request.
//!
//! What an operation means does not belong here.

mod connections;
mod origin;
mod socket;
mod wrap;

pub use connections::{Limits, serve};
pub use origin::{Origins, names_this_machine};
pub use socket::{SocketEndpoint, Sockets};
pub use wrap::Wrap;
