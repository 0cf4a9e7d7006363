//! The cockpit: sessions, what is done in them, and who is kept out of them. What is refused in an operation's usual ways is in
//! its examples.

mod commands;
mod paths;
mod sessions;
mod support;
mod tokens;

pub(crate) use support::Session;
