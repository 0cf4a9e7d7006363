//! Puts a client together: what the program says, then what the environment says, then the defaults.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use url::Url;
use uuid::Uuid;

use crate::client::{Client, Shared};
use crate::environment::Environment;
use crate::runtime::{
    Clock, Credentials, HttpTransport, Random, RetryBudget, RetryPolicy, Secret, SocketTransport, SystemClock,
    SystemRandom, Transport, WorkspaceCredentials,
};
use crate::{Error, Result};

const DEFAULT_BASE_URL: &str = "http://127.0.0.1:8787";
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
const DEFAULT_DEADLINE: Duration = Duration::from_secs(60);
const DEFAULT_BODY_LIMIT: usize = 8 * 1024 * 1024;
const RETRY_BUDGET: u32 = 10;

/// Settings of a client that is not there yet.
#[derive(Default)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct ClientBuilder {
    environment: Environment,
    base_url: Option<String>,
    credentials: Credentials,
    timeout: Option<Duration>,
    deadline: Option<Duration>,
    retries: Option<u32>,
    body_limit: Option<usize>,
    user_agent: Option<String>,
    transport: Option<Arc<dyn Transport>>,
    socket_transport: Option<Arc<dyn SocketTransport>>,
    clock: Option<Arc<dyn Clock>>,
    random: Option<Arc<dyn Random>>,
}

impl ClientBuilder {
    /// Starts from the `FLIGHTDECK_*` variables: whatever the builder is not told is taken from them.
    pub fn from_env() -> Self {
        Self::default().variables(|name| std::env::var(name).ok())
    }

    /// Like [`from_env`](Self::from_env), with the variables from elsewhere. An empty value counts as not set.
    pub fn variables(mut self, lookup: impl Fn(&str) -> Option<String>) -> Self {
        self.environment = Environment::read(lookup);
        self
    }

    /// Where the server is. Default: `http://127.0.0.1:8787`.
    pub fn base_url(mut self, base_url: impl Into<String>) -> Self {
        self.base_url = Some(base_url.into());
        self
    }

    /// All credentials at once.
    pub fn credentials(mut self, credentials: Credentials) -> Self {
        self.credentials = credentials;
        self
    }

    /// Signs for a workspace.
    pub fn workspace(mut self, workspace_id: Uuid, bridge_secret: impl Into<Secret>) -> Self {
        self.credentials.workspace = Some(WorkspaceCredentials { workspace_id, bridge_secret: bridge_secret.into() });
        self
    }

    /// Speaks as a paired device.
    pub fn device_token(mut self, token: impl Into<Secret>) -> Self {
        self.credentials.device_token = Some(token.into());
        self
    }

    /// Names the device.
    pub fn device_id(mut self, device_id: Uuid) -> Self {
        self.credentials.device_id = Some(device_id);
        self
    }

    /// The time for one attempt. Default: 30 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// The time for a call with all its attempts. Default: 60 s.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// How many attempts may follow the first. Default: 4.
    pub fn retries(mut self, retries: u32) -> Self {
        self.retries = Some(retries);
        self
    }

    /// The largest answer that is read, in bytes. Default: 8 MiB.
    pub fn body_limit(mut self, bytes: usize) -> Self {
        self.body_limit = Some(bytes);
        self
    }

    /// What the program calls itself, e.g. `my-extension/1.2`. The SDK's own name follows it.
    pub fn user_agent(mut self, user_agent: impl Into<String>) -> Self {
        self.user_agent = Some(user_agent.into());
        self
    }

    /// How requests travel. Default: [`HttpTransport`].
    pub fn transport(mut self, transport: impl Transport + 'static) -> Self {
        self.transport = Some(Arc::new(transport));
        self
    }

    /// How the frames of sockets travel. Default: [`HttpTransport`], with the certificates and proxies that requests have
    /// as well.
    pub fn socket_transport(mut self, transport: impl SocketTransport + 'static) -> Self {
        self.socket_transport = Some(Arc::new(transport));
        self
    }

    /// Where the time comes from. Default: [`SystemClock`].
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Some(Arc::new(clock));
        self
    }

    /// Where chance comes from. Default: [`SystemRandom`].
    pub fn random(mut self, random: impl Random + 'static) -> Self {
        self.random = Some(Arc::new(random));
        self
    }

    /// Puts the client together. Nothing is sent.
    ///
    /// # Errors
    /// A setting or a variable has a wrong value; the message names it and says what is expected.
    pub fn build(self) -> Result<Client> {
        let environment = self.environment;
        let base_url = match &self.base_url {
            Some(text) => base_url("the base URL", text)?,
            None => match environment.base_url() {
                Some(text) => base_url("FLIGHTDECK_URL", &text)?,
                None => base_url("the default base URL", DEFAULT_BASE_URL)?,
            },
        };
        let mut socket_transport = self.socket_transport;
        let transport: Arc<dyn Transport> = match self.transport {
            Some(transport) => transport,
            None => {
                let http = Arc::new(HttpTransport::new(&base_url)?);
                socket_transport.get_or_insert_with(|| http.clone());
                http
            }
        };
        let given = self.credentials;
        let credentials = Credentials {
            workspace: match given.workspace {
                Some(workspace) => Some(workspace),
                None => environment.workspace()?,
            },
            device_token: given.device_token.or_else(|| environment.device_token()),
            device_id: match given.device_id {
                Some(device_id) => Some(device_id),
                None => environment.device_id()?,
            },
        };
        let or = |given: Option<Duration>, variable: Result<Option<Duration>>, default| {
            given.map_or_else(|| variable.map(|value| value.unwrap_or(default)), Ok)
        };
        let retries = match self.retries {
            Some(retries) => Some(retries),
            None => environment.retries()?,
        };
        let mut retry = RetryPolicy::default();
        retry.retries = retries.unwrap_or(retry.retries);

        Ok(Client::new(Shared {
            base_url,
            credentials,
            timeout: or(self.timeout, environment.timeout(), DEFAULT_TIMEOUT)?,
            deadline: or(self.deadline, environment.deadline(), DEFAULT_DEADLINE)?,
            retry,
            budget: Arc::new(RetryBudget::new(RETRY_BUDGET)),
            user_agent: user_agent(self.user_agent.as_deref())?,
            body_limit: self.body_limit.unwrap_or(DEFAULT_BODY_LIMIT),
            transport,
            socket_transport,
            clock: self.clock.unwrap_or_else(|| Arc::new(SystemClock::default())),
            random: self.random.unwrap_or_else(|| Arc::new(SystemRandom)),
        }))
    }
}

impl fmt::Debug for ClientBuilder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ClientBuilder")
            .field("base_url", &self.base_url)
            .field("credentials", &self.credentials)
            .finish_non_exhaustive()
    }
}

fn base_url(source: &str, text: &str) -> Result<Url> {
    let wrong = |why: &str| {
        Error::Configuration(format!(
            "{source} {why}; give one like https://flightdeck.example.com or {DEFAULT_BASE_URL}"
        ))
    };
    let url = Url::parse(text).map_err(|error| wrong(&format!("is not a URL ({error})")))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(wrong("is not an http or https URL"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("holds a user name or password, which would end up in logs"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("has a query or a fragment"));
    }
    Ok(url)
}

fn user_agent(program: Option<&str>) -> Result<HeaderValue> {
    let own = concat!("flightdeck-rust/", env!("CARGO_PKG_VERSION"));
    let platform = format!("({}; {})", std::env::consts::OS, std::env::consts::ARCH);
    let text = match program {
        Some(program) => format!("{program} {own} {platform}"),
        None => format!("{own} {platform}"),
    };
    HeaderValue::from_str(&text).map_err(|_| {
        Error::Configuration("the user agent holds a character that cannot be sent; use plain ASCII".into())
    })
}
