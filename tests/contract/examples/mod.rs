//! The spec's examples (`spec/examples/`), played against a real server.
//!
//! `example` is the format, `names` is what `${name}` means, `player` plays, `replay` has the tests. `session` does all that
//! for sockets.

mod example;
mod names;
mod player;
mod replay;
mod session;

pub(crate) use player::{Credential, Player};
