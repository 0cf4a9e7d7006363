//! The server's side of the protocol: wire types, a trait for each surface and each socket, and what forwards to them.
//!
//! [`generated`] is written by `cargo codegen generate` from `spec/` and never edited. [`support`] is what it stands
//! on, written by hand. What an operation or a message does belongs in the server, which implements the traits.

pub mod generated;
pub mod support;

/// The protocol's operations in one document: what the server serves at `/openapi.json`.
pub const OPENAPI: &str = include_str!("generated/openapi.json");

/// The protocol's sockets in one document: what the server serves at `/asyncapi.json`.
pub const ASYNCAPI: &str = include_str!("generated/asyncapi.json");
