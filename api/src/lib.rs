//! The server's side of the protocol: wire types, a trait for each surface, and the routes that forward to it.
//!
//! [`generated`] is written by `cargo codegen generate` from `spec/` and never edited. [`support`] is what it stands
//! on, written by hand. What an operation does belongs in the server, which implements the traits.

pub mod generated;
pub mod support;

/// The protocol in one document: what the server serves at `/openapi.json`.
pub const OPENAPI: &str = include_str!("generated/openapi.json");
