//! What Flightdeck's tests stand on: servers with databases of their own, clients, hand-made requests, and a judge
//! that holds every answer against the protocol.
//!
//! A test that gets an answer or a frame through this crate, by the SDK or by hand, gets it judged: an undeclared
//! status, code, message or field fails the test, whatever the test is about. What was seen is written down
//! ([`coverage`]), so that the `coverage` tests can tell whether every promise of the protocol was put to the proof.
//!
//! Tests themselves do not belong here.

pub mod client;
pub mod coverage;
pub mod database;
pub mod descriptors;
pub mod document;
pub mod judge;
pub mod process;
pub mod proxy;
pub mod raw;
pub mod repository;
pub mod run;
pub mod schema;
pub mod server;
pub mod socket;
pub mod spec;
pub mod workspace;

pub use database::Kind;
pub use process::ServerProcess;
pub use raw::{Answer, Request};
pub use repository::Repository;
pub use run::block_on;
pub use server::{TestOptions, TestServer};
pub use socket::{Opened, RawSocket, Received};
pub use workspace::PairedWorkspace;
