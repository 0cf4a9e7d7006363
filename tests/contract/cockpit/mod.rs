//! The cockpit: sessions, what is done in them, and who is kept out of them. What is refused in an operation's usual ways is in
//! its examples.

mod apply;
mod broken;
mod commands;
mod diff;
mod events;
mod lost;
mod paths;
mod saying;
mod sessions;
mod support;
mod tasks;
mod terminal;
mod tokens;

pub(crate) use support::Session;
