//! The spec's examples (`spec/examples/`), played against a real server.
//!
//! `example` is the format, `names` is what `${name}` means, `player` plays, `repository` is what happens to
//! repositories, `replay` has the tests. `session` does all that for sockets.

mod example;
mod names;
mod player;
mod replay;
mod repository;
mod session;

pub(crate) use player::{Credential, Player};
