//! The golden stubs (`tests/golden/server`) together with the api crate's support module: they compile, and behave as
//! the golden spec says.

#![allow(dead_code, unreachable_pub, unused_imports, reason = "the modules are parts of another crate")]

#[path = "golden/server/mod.rs"]
mod generated;
#[path = "../../api/src/support/mod.rs"]
mod support;

#[path = "golden_server/bodies.rs"]
mod bodies;
#[path = "golden_server/documents.rs"]
mod documents;
#[path = "golden_server/parameters.rs"]
mod parameters;
#[path = "golden_server/service.rs"]
mod service;
#[path = "golden_server/sockets.rs"]
mod sockets;
