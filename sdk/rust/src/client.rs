//! The client: what all calls share. How it is put together is in `builder.rs`.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use url::Url;

use crate::builder::ClientBuilder;
use crate::runtime::{
    Answer, Call, Clock, Credentials, Method, Operation, Random, RetryBudget, RetryPolicy, Security, SocketTransport,
    Transport,
};
use crate::{Error, Result};

/// A connection to one Flightdeck server. Cheap to clone; clones share connections and the retry budget.
///
/// The methods that reach the server are grouped as the protocol groups them: `client.bridge()`, `client.v1()`, ….
#[derive(Debug, Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

/// What all calls of a client share.
#[derive(Debug, Clone)]
pub(crate) struct Shared {
    pub(crate) base_url: Url,
    pub(crate) credentials: Credentials,
    pub(crate) timeout: Duration,
    pub(crate) deadline: Duration,
    pub(crate) retry: RetryPolicy,
    pub(crate) budget: Arc<RetryBudget>,
    pub(crate) user_agent: HeaderValue,
    pub(crate) body_limit: usize,
    pub(crate) transport: Arc<dyn Transport>,
    /// Made when a socket is opened, where calls have a transport of the program's.
    pub(crate) socket_transport: Option<Arc<dyn SocketTransport>>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<dyn Random>,
}

impl Client {
    /// Starts a client from the defaults.
    pub fn builder() -> ClientBuilder {
        ClientBuilder::default()
    }

    /// A client from the `FLIGHTDECK_*` variables, and from the defaults where they say nothing. For a client that
    /// sets some things itself, see [`ClientBuilder::from_env`].
    ///
    /// # Errors
    /// A variable has a wrong value; the message names it and says what is expected.
    pub fn from_env() -> Result<Self> {
        ClientBuilder::from_env().build()
    }

    /// The same server, connections and settings with other credentials, e.g. those that a pairing has just given.
    #[must_use]
    pub fn with_credentials(&self, credentials: Credentials) -> Self {
        Self::new(Shared { credentials, ..Shared::clone(&self.shared) })
    }

    /// The server that this client talks to.
    pub fn base_url(&self) -> &Url {
        &self.shared.base_url
    }

    /// A call to an endpoint that this version has no method for, with the same retries and errors. It is signed or
    /// carries the device token if the client has either.
    ///
    /// A `POST` or `PATCH` is repeated only where it surely had no effect, unless it is given a key with
    /// [`Call::idempotency_key`].
    ///
    /// ```no_run
    /// # async fn example(client: flightdeck_sdk::Client) -> flightdeck_sdk::Result<()> {
    /// use flightdeck_sdk::Method;
    ///
    /// let answer: serde_json::Value = client.request(Method::Get, "/v1/new-thing").query("limit", &5).await?;
    /// # Ok(()) }
    /// ```
    pub fn request<T: Answer>(&self, method: Method, path: &str) -> Call<T> {
        const ANY: &[Security] = &[Security::Scheme("deviceToken"), Security::Scheme("signature"), Security::All(&[])];
        let repeatable = method.is_idempotent();
        let operation = Operation { id: "request", method, path: "", security: ANY, idempotent: false, repeatable };
        Call::new(self, operation, path)
    }

    /// A call of the protocol; for generated code.
    pub(crate) fn call<T>(&self, operation: &'static Operation, path: impl AsRef<str>) -> Call<T> {
        Call::new(self, *operation, path.as_ref())
    }

    pub(crate) fn new(shared: Shared) -> Self {
        Self { shared: Arc::new(shared) }
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }
}

impl Shared {
    /// The URL of a path on this server, below whatever path the base URL has.
    pub(crate) fn url(&self, path: &str) -> Result<Url> {
        let base = self.base_url.as_str().trim_end_matches('/');
        let url = path.starts_with('/').then(|| Url::parse(&format!("{base}{path}")).ok()).flatten();
        url.filter(|url| url.origin() == self.base_url.origin()).ok_or_else(|| {
            Error::Configuration(format!("{path:?} is not a path on the server; a path starts with one slash"))
        })
    }
}
