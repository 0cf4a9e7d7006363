//! What generated code says about a socket, as the runtime has it; opening one is replaced.

#[path = "../../../sdk/rust/src/runtime/socket/protocol.rs"]
mod protocol;

use std::marker::PhantomData;

pub use protocol::{
    Intent, Position, Progress, Reconnect, SocketCloseCode, SocketInfo, SocketLimits, SocketProtocol, WithoutPosition,
};

use crate::client::Client;

/// Shows how a socket would be opened.
pub struct SocketBuilder<P> {
    pub query: Vec<(&'static str, String)>,
    protocol: PhantomData<P>,
}

impl<P: SocketProtocol> SocketBuilder<P> {
    pub fn new(_: &Client, query: Vec<(&'static str, String)>) -> Self {
        Self { query, protocol: PhantomData }
    }

    pub fn info(&self) -> &'static SocketInfo {
        P::INFO
    }
}
