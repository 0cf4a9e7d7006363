//! The cockpit: sessions, what is done in them, and who is kept out of them. What is refused in an operation's usual ways is in
//! its examples.

mod support;

pub(crate) use support::Session;
