//! The golden SDK (`tests/golden/sdk`) on the value types of the SDK's runtime and a client that sends nothing: it
//! compiles, asks for what the golden spec says, and loses nothing of what it reads.

#![allow(dead_code, unreachable_pub, unused_imports, reason = "the modules are parts of another crate")]
#![allow(deprecated, reason = "deprecated operations are tested, too")]

#[path = "golden/sdk/mod.rs"]
mod generated;

#[path = "golden_sdk/calls.rs"]
mod calls;
#[path = "golden_sdk/client.rs"]
mod client;
#[path = "golden_sdk/runtime.rs"]
mod runtime;
#[path = "golden_sdk/sockets.rs"]
mod sockets;
#[path = "golden_sdk/values.rs"]
mod values;

use client::{Client, Error, Result};
