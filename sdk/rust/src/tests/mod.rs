//! Tests of the runtime and of the generated code on it: a scripted network, a clock moved by hand, seeded chance.
//! No sleeping, and sockets only in `transport.rs`.

mod bench;
mod configuration;
mod credentials;
mod errors;
mod pages;
mod protocol;
mod requests;
mod retries;
mod transport;
mod types;
mod waiting;

use bench::{Bench, CREATE, DEVICE, POKE, READ, SETTLE, SIGNED, WORKSPACE, ok, refusal};
