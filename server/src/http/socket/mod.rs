//! Sockets: everything between a request that asks for one and the session that the protocol's handlers see.
//!
//! The upgrade, frames, limits and time are here; what a message means is not.

mod connection;
mod endpoint;
mod handshake;
mod line;
mod pace;
mod parser;
mod sweep;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use flightdeck_api::support::Socket;
use tokio_util::task::TaskTracker;

use crate::clock::Clock;
use crate::metrics::Metrics;
use connection::Kind;
use sweep::List;

pub use endpoint::SocketEndpoint;
pub(super) use handshake::Upgrade;

/// Every socket of the server. Cheap to clone.
#[derive(Clone)]
pub struct Sockets {
    list: Arc<List>,
    tasks: TaskTracker,
    metrics: Arc<Metrics>,
}

impl Sockets {
    /// At most `most` are open at once.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, metrics: Arc<Metrics>, most: usize) -> Self {
        Self { list: Arc::new(List::new(clock, most)), tasks: TaskTracker::new(), metrics }
    }

    /// A socket of the protocol as a route. It may be mounted at several paths.
    #[must_use]
    pub fn endpoint<T: Socket>(&self, socket: T) -> SocketEndpoint<T> {
        let kind = Kind { info: T::INFO, metrics: self.metrics.socket(T::INFO.name) };
        SocketEndpoint::new(socket, Arc::new(kind), self.clone())
    }

    /// Heartbeats, and the end of what is silent or stuck. Works until dropped.
    pub async fn sweep(&self) {
        self.list.sweep().await;
    }

    /// Closes all, because the server goes away, and waits for their end, but not for longer than `patience`.
    pub async fn leave(&self, patience: Duration) {
        self.list.leave();
        self.tasks.close();
        if tokio::time::timeout(patience, self.tasks.wait()).await.is_err() {
            tracing::warn!(sockets = self.tasks.len(), "some sockets did not end in time");
        }
    }
}
