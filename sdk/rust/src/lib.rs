//! The Rust SDK of Flightdeck, the control plane for coding agents.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use flightdeck_sdk::types::ApprovalStatus;
//! use flightdeck_sdk::{Client, WaitOptions};
//!
//! # async fn example(approval_id: uuid::Uuid) -> flightdeck_sdk::Result<()> {
//! // FLIGHTDECK_URL, FLIGHTDECK_WORKSPACE_ID and FLIGHTDECK_BRIDGE_SECRET; see the README for all of them.
//! let client = Client::from_env()?;
//!
//! let options = WaitOptions::default().until(Duration::from_secs(300));
//! let verdict = client.wait_for_approval(&approval_id, options).await?;
//! println!("may go on: {}", verdict.status == ApprovalStatus::Approved);
//! # Ok(()) }
//! ```
//!
//! A method of a surface returns a [`Call`], which is sent when it is awaited and can be adjusted before
//! ([`Call::timeout`], [`Call::retries`], …). Failures are one type, [`Error`]; match on [`Error::code`].
//!
//! A socket ([`Client::sockets`]) is a session that outlives its connections; see [`runtime::Socket`].
//!
//! - [`generated`] holds the protocol's types and methods, one file for each. Nothing in it is written by hand.
//! - [`runtime`] is what they stand on: retries, signatures, pages.
//! - [`testing`] replaces the network, the time and chance.

mod builder;
mod client;
mod environment;
mod error;
/// The protocol: its types, its errors, and a method for each operation.
pub mod generated;
pub mod runtime;
pub mod testing;
#[cfg(test)]
mod tests;
mod waits;

pub use builder::ClientBuilder;
pub use client::Client;
pub use error::{ApiError, Error, ErrorCode, ErrorDetail, Result, TimeLimit};
pub use generated::{sockets, types};
pub use runtime::{
    Call, Credentials, Field, Method, Response, Secret, SendError, Socket, SocketSender, SocketState, Timestamp,
    UnknownMessage, UnknownValue, UnknownVariant, Update, WaitOptions, WorkspaceCredentials,
};

/// Compiles and runs the README's examples.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
