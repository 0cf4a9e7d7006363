//! A server inside the test's own process, with a database and a clock of its own.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Arg, CommandFactory, FromArgMatches};
use flightdeck_sdk::Client;
use flightdeck_server::Running;
use flightdeck_server::clock::{Clock, ManualClock, SystemClock};
use flightdeck_server::config::Config;
use tokio::net::TcpSocket;
use tokio::runtime::Handle;

use crate::client;
use crate::database::{Kind, TestDatabase};
use crate::judge::{self, Exchange};
use crate::raw::{Answer, Request};
use crate::repository::Repository;
use crate::socket::document as sockets;
use crate::socket::{Faults, Line, Opened, RawSocket};
use crate::workspace::PairedWorkspace;

/// What is special about a test's server.
#[derive(Debug, Clone)]
pub struct TestOptions {
    pub database: Kind,
    /// Whether time stands still until the test moves it. On by default.
    pub manual_clock: bool,
    /// Settings by the names of their environment variables.
    pub settings: Vec<(String, String)>,
}

impl TestOptions {
    /// A server in development mode whose clock stands still, and without rate limits: those are for the tests that
    /// are about them.
    #[must_use]
    pub fn new(database: Kind) -> Self {
        let settings = [
            ("FLIGHTDECK_RATE_EVENTS_PER_MINUTE", "0"),
            ("FLIGHTDECK_RATE_EVENTS_PER_HOUR", "0"),
            ("FLIGHTDECK_RATE_APPROVALS_PER_MINUTE", "0"),
            ("FLIGHTDECK_RATE_PAIRINGS_PER_MINUTE", "0"),
            ("FLIGHTDECK_RATE_DEVICE_REQUESTS_PER_MINUTE", "0"),
            // The hub's own port is for the tests that are about it.
            ("FLIGHTDECK_HUB_PORT", "off"),
            ("WS_PORT", "0"),
            // What a power cut would take away is for the chaos tests; everything else need not wait for the disk.
            ("FLIGHTDECK_SQLITE_SYNC", "normal"),
        ];
        let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Self { database, manual_clock: true, settings: settings.into() }
    }

    /// Sets an environment variable of the server.
    #[must_use]
    #[expect(clippy::needless_pass_by_value, reason = "a setting is a number or a text, written where it is set")]
    pub fn set(mut self, name: &str, value: impl ToString) -> Self {
        self.settings.retain(|(present, _)| present != name);
        self.settings.push((name.to_owned(), value.to_string()));
        self
    }

    /// Leaves a setting at the server's default.
    #[must_use]
    pub fn unset(mut self, name: &str) -> Self {
        self.settings.retain(|(present, _)| present != name);
        self
    }

    /// Production mode, with the secrets that it asks for.
    #[must_use]
    pub fn production(self) -> Self {
        self.set("FLIGHTDECK_ENV", "production")
            .set("HMAC_SECRET", SERVER_SECRET)
            .set("COMPANION_TOKEN", COMPANION_TOKEN)
            .set("WS_AUTH_SECRET", HUB_SECRET)
            .set("FLIGHTDECK_SEAL_KEY", "0123456789abcdef".repeat(4))
    }

    /// Lets real time pass.
    #[must_use]
    pub fn real_time(mut self) -> Self {
        self.manual_clock = false;
        self
    }
}

/// The `HMAC_SECRET` of servers in production mode.
pub const SERVER_SECRET: &str = "a-test-secret-of-sixty-four-characters-0123456789abcdef012345678";

/// The `COMPANION_TOKEN` of servers in production mode.
pub const COMPANION_TOKEN: &str = "a-test-token-of-the-companion-0123456789abcdef";

/// The `WS_AUTH_SECRET` of servers in production mode.
pub const HUB_SECRET: &str = "a-test-secret-of-the-hub-0123456789abcdef012345";

/// The commands that sessions may run, unless the test says otherwise.
pub const ALLOWED_COMMANDS: &str = "printf hello,cat,sleep 600,no-such-program,sh,pwd,env,top,vim,false,printf '$(id)'";

/// Why a server has a database.
const UNTIL_ITS_END: &str = "a server has a database until its end";

/// A running server.
pub struct TestServer {
    running: Option<Running>,
    address: String,
    url: String,
    options: TestOptions,
    manual: Option<ManualClock>,
    clock: Arc<dyn Clock>,
    /// What was wrong with frames that the SDK read.
    faults: Faults,
    /// Dropped after the server has ended: it would go on looking for it.
    database: Option<TestDatabase>,
}

impl TestServer {
    /// Starts a server in development mode whose clock stands still.
    ///
    /// # Errors
    /// There is no database of that kind, or the server does not start.
    pub async fn start(database: Kind) -> Result<Self> {
        Self::with(TestOptions::new(database)).await
    }

    /// Starts a server.
    ///
    /// # Errors
    /// There is no database of that kind, or the server does not start.
    pub async fn with(options: TestOptions) -> Result<Self> {
        let database = TestDatabase::create(options.database).await?;
        let manual = options.manual_clock.then(ManualClock::starting_now);
        let clock: Arc<dyn Clock> = match &manual {
            Some(manual) => Arc::new(manual.clone()),
            None => Arc::new(SystemClock),
        };
        let mut server = Self {
            running: None,
            address: String::new(),
            url: String::new(),
            options,
            manual,
            clock,
            faults: Faults::default(),
            database: Some(database),
        };
        server.run().await?;
        Ok(server)
    }

    async fn run(&mut self) -> Result<()> {
        let database = self.own_database();
        let mut settings = self.options.settings.clone();
        for (name, value) in [
            ("REPO_ALLOWLIST", database.repositories()?.display().to_string()),
            ("CMD_ALLOWLIST", ALLOWED_COMMANDS.to_owned()),
        ] {
            if !settings.iter().any(|(present, _)| present == name) {
                settings.push((name.to_owned(), value));
            }
        }
        let config = config(database.url(), database.folder(), &settings)?;
        let running = flightdeck_server::start(config, self.clock.clone()).await.context("starting the server")?;
        self.url = running.url().trim_end_matches('/').to_owned();
        self.address = self.url.trim_start_matches("http://").to_owned();
        self.running = Some(running);
        Ok(())
    }

    /// Stops the server, as SIGTERM would. The database stays.
    pub async fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            running.shutdown().await;
        }
    }

    /// Stops it and starts another on the same database. It has another port, so clients have to be made anew.
    ///
    /// # Errors
    /// The server does not start.
    pub async fn restart(&mut self) -> Result<()> {
        self.stop().await;
        self.run().await
    }

    /// Sets an environment variable of the server from its next start on.
    #[expect(clippy::needless_pass_by_value, reason = "a setting is a number or a text, written where it is set")]
    pub fn set(&mut self, name: &str, value: impl ToString) {
        self.options = self.options.clone().set(name, value.to_string());
    }

    /// Where it listens, e.g. `http://127.0.0.1:40123`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Where the hub's own port is, if it has one.
    #[must_use]
    pub fn hub_url(&self) -> Option<&str> {
        self.running.as_ref()?.hub_url()
    }

    /// Host and port.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Its database.
    ///
    /// # Panics
    /// Never: it has one until its end.
    pub const fn database(&mut self) -> &mut TestDatabase {
        self.database.as_mut().expect(UNTIL_ITS_END)
    }

    const fn own_database(&self) -> &TestDatabase {
        self.database.as_ref().expect(UNTIL_ITS_END)
    }

    /// A new repository that the server may work on.
    ///
    /// # Errors
    /// It can't be made.
    pub fn repository(&self) -> Result<Repository> {
        self.own_database().repository()
    }

    /// How many rows a table of its database has.
    ///
    /// # Errors
    /// There is no such table.
    pub async fn count(&self, table: &str) -> Result<i64> {
        self.own_database().count(table).await
    }

    /// The server's time, in Unix milliseconds.
    #[must_use]
    pub fn now(&self) -> i64 {
        self.clock.now()
    }

    /// Moves the server's time.
    ///
    /// # Panics
    /// The server goes by real time.
    pub fn advance(&self, by: Duration) {
        self.manual.as_ref().expect("only a clock that stands still can be moved").advance(by);
    }

    /// Waits for something that waits for the server's time, which passes meanwhile, a second every few milliseconds.
    ///
    /// Moving it once would not do: whoever starts to wait only after that would wait for ever.
    pub async fn hurry<T>(&self, waiting: impl Future<Output = T>) -> T {
        let mut waiting = std::pin::pin!(waiting);
        loop {
            tokio::select! {
                outcome = &mut waiting => return outcome,
                () = tokio::time::sleep(Duration::from_millis(5)) => self.advance(Duration::from_secs(1)),
            }
        }
    }

    /// A client without credentials.
    #[must_use]
    pub fn client(&self) -> Client {
        self.client_over(&Line::default())
    }

    /// The same, with sockets over a line that the test may cut.
    #[must_use]
    pub fn client_over(&self, line: &Line) -> Client {
        let builder = client::builder(&self.url, self.own_database().kind(), self.clock.clone(), line, &self.faults);
        builder.build().expect("the client's settings are right")
    }

    /// Pairs a new machine with a new device.
    ///
    /// # Errors
    /// The server refuses.
    pub async fn pair(&self) -> Result<PairedWorkspace> {
        PairedWorkspace::pair(&self.client()).await
    }

    /// Sends a hand-made request, and judges the answer.
    ///
    /// # Errors
    /// There is no answer, or it breaks the protocol.
    pub async fn send(&self, request: &Request) -> Result<Answer> {
        let answer = request.send(&self.address).await?;
        self.judge(request, &answer)?;
        Ok(answer)
    }

    /// Opens the socket that is at a request's path by hand. What comes is judged.
    ///
    /// # Errors
    /// It is refused, or there is no answer.
    ///
    /// # Panics
    /// There is no socket at that path.
    pub async fn open(&self, request: &Request) -> Result<RawSocket> {
        self.try_open(request).await?.socket()
    }

    /// Tries to open the socket that is at a request's path.
    ///
    /// # Errors
    /// There is no answer, or it breaks the protocol.
    ///
    /// # Panics
    /// There is no socket at that path.
    pub async fn try_open(&self, request: &Request) -> Result<Opened> {
        let socket = sockets::find(request.path()).expect("the path is that of a socket");
        RawSocket::open(&self.address, request, socket, self.own_database().kind()).await
    }

    /// Like [`open`](Self::open), for a client whose operating system keeps hardly anything that it has not read.
    ///
    /// # Errors
    /// It is refused, or there is no answer.
    ///
    /// # Panics
    /// There is no socket at that path.
    pub async fn open_narrow(&self, request: &Request) -> Result<RawSocket> {
        let socket = sockets::find(request.path()).expect("the path is that of a socket");
        let connection = TcpSocket::new_v4().context("making a connection")?;
        connection.set_recv_buffer_size(4 * 1024).context("making its buffer small")?;
        let stream = connection.connect(self.address.parse().context("the server's address")?).await?;
        RawSocket::open_on(stream, request, socket, self.own_database().kind()).await?.socket()
    }

    /// Judges an answer that came by other ways.
    ///
    /// # Errors
    /// It breaks the protocol.
    pub fn judge(&self, request: &Request, answer: &Answer) -> Result<()> {
        judge::judge(&Exchange {
            database: self.own_database().kind(),
            method: &request.method,
            path: request.path(),
            status: answer.status,
            headers: &answer.headers,
            body: &answer.body,
        })
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        // A test may have many servers, one after the other: none goes on, and none looks for a database that is gone.
        if let (Some(running), Ok(runtime)) = (self.running.take(), Handle::try_current()) {
            let database = self.database.take();
            runtime.spawn(async move {
                running.shutdown().await;
                // It waits for PostgreSQL.
                drop(tokio::task::spawn_blocking(move || drop(database)));
            });
        }
        self.faults.check();
    }
}

/// Migrates a database, by starting a server on it.
pub(crate) async fn migrate(url: &str, folder: &Path) -> Result<()> {
    let config = config(url, folder, &[("WS_PORT".to_owned(), "0".to_owned())])?;
    let running = flightdeck_server::start(config, Arc::new(SystemClock)).await?;
    running.shutdown().await;
    Ok(())
}

/// The server's settings: the defaults, and what is given by the names of environment variables. The environment that
/// the tests run in plays no part.
fn config(database: &str, folder: &Path, settings: &[(String, String)]) -> Result<Config> {
    let command = Config::command();
    let mut arguments = vec![
        "flightdeck-server".to_owned(),
        "--port=0".to_owned(),
        format!("--database-url={database}"),
        format!("--data-dir={}", folder.display()),
    ];
    for (name, value) in settings {
        let argument = command
            .get_arguments()
            .find(|argument| argument.get_env().is_some_and(|variable| variable == name.as_str()));
        let flag = argument.and_then(Arg::get_long).with_context(|| format!("the server has no setting {name}"))?;
        arguments.push(format!("--{flag}={value}"));
    }
    let command = command.mut_args(|argument| argument.env(None::<&str>));
    Ok(Config::from_arg_matches(&command.try_get_matches_from(arguments)?)?)
}
