//! Puts a socket together: what the caller chooses, then the client's settings, then the defaults.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use super::super::{HttpTransport, Secret};
use super::connector::{Connector, Source};
use super::driver::Driver;
use super::machine::Machine;
use super::protocol::SocketProtocol;
use super::queue::QueueLimits;
use super::settings::{KeepAlive, ReconnectPolicy, Settings};
use super::shared::Shared;
use super::socket::Socket;
use super::transport::SocketTransport;
use crate::{Client, Error, Result};

/// The largest message of the server that is read. The server puts several events into one.
const MESSAGE_LIMIT: usize = 16 * 1024 * 1024;

/// Settings of a socket that is not connected yet.
#[must_use = "a builder does nothing until `connect` is called"]
pub struct SocketBuilder<P: SocketProtocol> {
    client: Client,
    query: Vec<(&'static str, String)>,
    source: Source,
    queue: QueueLimits,
    reconnect: ReconnectPolicy,
    connect_timeout: Duration,
    message_limit: usize,
    keep_alive: Option<(Duration, P::ClientMessage)>,
}

impl<P: SocketProtocol> SocketBuilder<P> {
    /// A socket of a client's server; `query` holds the parameters as they are on the wire, before any escaping. For
    /// generated code: callers begin with `client.sockets()`.
    pub fn new(client: &Client, query: Vec<(&'static str, String)>) -> Self {
        Self {
            client: client.clone(),
            query,
            source: Source::Client,
            queue: QueueLimits::default(),
            reconnect: ReconnectPolicy::default(),
            connect_timeout: client.shared().timeout,
            message_limit: MESSAGE_LIMIT,
            keep_alive: None,
        }
    }

    /// Shows this token, instead of the client's own credential. A newer one can be shown in a message at any time, where
    /// the socket has one for that; it is then shown again on every new connection.
    pub fn token(mut self, token: impl Into<Secret>) -> Self {
        self.source = Source::Token(token.into());
        self
    }

    /// Asks for a token before every connection, so that one that has expired in the meantime is not shown. An error that
    /// is worth another attempt is followed by one; any other ends the session. Messages that show a credential are not
    /// sent again then.
    ///
    /// ```no_run
    /// # use flightdeck_sdk::runtime::{SocketBuilder, SocketProtocol};
    /// # fn example<P: SocketProtocol>(builder: SocketBuilder<P>, read: fn() -> String) -> SocketBuilder<P> {
    /// builder.credentials(move || async move { Ok(Some(read().into())) })
    /// # }
    /// ```
    pub fn credentials<F, Answer>(mut self, provider: F) -> Self
    where
        F: Fn() -> Answer + Send + Sync + 'static,
        Answer: Future<Output = Result<Option<Secret>>> + Send + 'static,
    {
        self.source = Source::Provider(Box::new(move || Box::pin(provider())));
        self
    }

    /// How much may wait to be sent.
    pub const fn queue(mut self, limits: QueueLimits) -> Self {
        self.queue = limits;
        self
    }

    /// When a lost connection is made again.
    pub const fn reconnect(mut self, policy: ReconnectPolicy) -> Self {
        self.reconnect = policy;
        self
    }

    /// The time for one attempt to connect, its credentials included. Default: the client's `timeout`.
    pub const fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// The largest message of the server that is read, in bytes. Default: 16 MiB.
    pub const fn message_limit(mut self, bytes: usize) -> Self {
        self.message_limit = bytes;
        self
    }

    /// Sends this message when a connection is open, and every so often then; never later, when the connection was down
    /// at that time. For what the server wants to hear from its client beyond the protocol's own pings.
    pub fn keep_alive(mut self, every: Duration, message: impl Into<P::ClientMessage>) -> Self {
        self.keep_alive = Some((every, message.into()));
        self
    }

    /// Begins. Returns at once: how the first connection goes is told by the socket, like everything after it.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn connect(self) -> Socket<P> {
        let clock = Arc::clone(&self.client.shared().clock);
        let random = Arc::clone(&self.client.shared().random);
        let mut settings = Settings {
            queue: self.queue,
            reconnect: self.reconnect,
            connect_timeout: self.connect_timeout,
            keep_alive: None,
            remember_credential: !matches!(self.source, Source::Provider(_)),
        };
        match self.prepare(&mut settings) {
            Ok(connector) => {
                let shared = Arc::new(Shared::new(Machine::new(settings, random), clock));
                let driver = Driver { shared: Arc::clone(&shared), connector: Arc::new(connector) };
                tokio::spawn(driver.run());
                Socket { shared }
            }
            Err(error) => {
                let mut machine = Machine::new(settings, random);
                machine.refuse(error);
                Socket { shared: Arc::new(Shared::new(machine, clock)) }
            }
        }
    }

    fn prepare(self, settings: &mut Settings) -> Result<Connector<P>> {
        if let Some((every, message)) = &self.keep_alive {
            let text = serde_json::to_string(message).map_err(|error| {
                Error::Configuration(format!("the message that keeps the socket alive is not JSON: {error}"))
            })?;
            settings.keep_alive = Some(KeepAlive { every: *every, text });
        }
        let client = self.client.shared();
        let mut url = client.url(P::INFO.address)?;
        if !self.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&self.query);
        }
        let transport: Arc<dyn SocketTransport> = match &client.socket_transport {
            Some(transport) => Arc::clone(transport),
            None => Arc::new(HttpTransport::new(&client.base_url)?),
        };
        Ok(Connector {
            transport,
            source: self.source,
            url,
            message_limit: self.message_limit,
            client: self.client,
            protocol: PhantomData,
        })
    }
}

/// Without the query and the token: they may be secret.
impl<P: SocketProtocol> fmt::Debug for SocketBuilder<P> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("SocketBuilder")
            .field("socket", &P::INFO.name)
            .field("client", &self.client)
            .finish_non_exhaustive()
    }
}
