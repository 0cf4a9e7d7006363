//! Putting the parts together, starting them in order, and stopping them in the other.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::net::{TcpListener, TcpSocket};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use url::Url;

use crate::auth::{Authority, HubTokens, Keys, NONCES_KEPT, Nonces, Seal, SessionTokens};
use crate::bus::{Bus, Proof};
use crate::clock::Clock;
use crate::config::Config;
use crate::http::{self, Limits, Origins, Sockets, Wrap};
use crate::log::{self, CommitListener, Committed, Log, Readers, Retention};
use crate::metrics::Metrics;
use crate::service::agents::process::Supervisor;
use crate::service::agents::{self, Agents};
use crate::service::approvals::{self, Approvals, Board, ByWorkspace};
use crate::service::chats::research::Research;
use crate::service::chats::{self, Chats};
use crate::service::commands::{self, Commands};
use crate::service::companion::{self, Companion};
use crate::service::devices::Devices;
use crate::service::home::Home;
use crate::service::hub::{self, Hub};
use crate::service::pairing::Pairing;
use crate::service::patience::Patience;
use crate::service::repo::Allowlist;
use crate::service::runs::Runs;
use crate::service::sessions::{self, Sessions};
use crate::service::streams::Streams;
use crate::service::tasks::{self, Tasks};
use crate::service::terminal::{CommandPolicy, OnDisconnect, Terminals};
use crate::service::upkeep;
use crate::service::workspaces::Workspaces;
use crate::store::approvals as ledger;
use crate::store::nonces;
use crate::store::{Store, StoreOptions};
use crate::surface::{self, Health, Services};

/// Reading connections to the database.
const READERS: u32 = 4;

/// Connections that may wait to be accepted; the system may allow fewer.
const BACKLOG: u32 = 4_096;

/// A server that runs.
pub struct Running {
    url: String,
    hub_url: Option<String>,
    shutdown: CancellationToken,
    patience: Duration,
    accepting: Vec<JoinHandle<()>>,
    connections: TaskTracker,
    sockets: Sockets,
    chats: Chats,
    tasks: Tasks,
    commands: Commands,
    home: Home,
    hub: Hub,
    bridge: JoinHandle<()>,
    upkeep: Vec<JoinHandle<()>>,
    writer: JoinHandle<()>,
    store: Store,
}

/// Starts a server: once this returns, it accepts connections.
///
/// # Errors
/// If the data directory, the database or the address can't be used; the message names it and the fix.
pub async fn start(config: Config, clock: Arc<dyn Clock>) -> anyhow::Result<Running> {
    prepare(&config)?;
    for path in &config.repo_allowlist {
        let opened = std::fs::read_dir(path).map(|_| ());
        opened.with_context(|| format!("REPO_ALLOWLIST names {}, which can't be opened", path.display()))?;
    }
    let policy = CommandPolicy::new(config.cmd_allowlist.clone()).context("CMD_ALLOWLIST")?;
    let store =
        Store::open(&StoreOptions { url: config.database(), sqlite_sync: config.sqlite_sync, readers: READERS })
            .await
            .context("can't open the database; DATABASE_URL says which it is")?;
    let listener = listen((config.host, config.port).into()).with_context(|| {
        format!(
            "can't listen on {}:{}; HOST and PORT say where, and PORT=0 picks a free port",
            config.host, config.port
        )
    })?;
    let address = listener.local_addr()?;
    let hub_listener = config.hub_port.then(|| listen_for_hub(&config)).transpose()?;
    let hub_address = hub_listener.as_ref().map(TcpListener::local_addr).transpose()?;

    let shutdown = CancellationToken::new();
    let metrics = Arc::new(Metrics::default());
    let sockets = Sockets::new(clock.clone(), metrics.clone(), config.max_sockets);
    let seal = Seal::open(&config)?;
    let keys = Arc::new(Keys::new(store.clone(), seal.clone(), clock.clone()));
    keys.check().await?;
    let board = Arc::new(Board::new(clock.clone(), metrics.clone()));
    for row in ledger::pending(store.reader().patient()).await? {
        board.restore(&row);
    }
    let remembered = nonces::since(store.reader().patient(), clock.now() - NONCES_KEPT).await?;
    let activity = Arc::new(hub::Activity::new(clock.clone()));
    let (signals, heard) = chats::Signals::new();
    let alarm = sessions::Alarm::default();
    let readers = Readers {
        listeners: vec![
            Arc::new(signals),
            board.clone(),
            keys.clone(),
            Arc::new(Counting(metrics.clone())),
            activity.clone(),
            Arc::new(alarm.clone()),
        ],
        projections: vec![Arc::new(ByWorkspace), Arc::new(hub::OnTheHub)],
    };
    let bus = Bus::of(&store, Proof::new(seal.derive("bus")));
    let (log, writer) = Log::start(store.clone(), bus.clone(), readers);

    let patience = Patience::new(clock.clone(), shutdown.clone());
    let authority = Authority::new(
        &config,
        store.clone(),
        log.clone(),
        keys.clone(),
        Nonces::remembering(remembered),
        clock.clone(),
    );
    let lifetime = milliseconds(config.approval_ttl_seconds);
    let approvals = Approvals::new(store.clone(), log.clone(), board, clock.clone(), patience.clone(), lifetime);
    let retention = Retention::default().with(config.retention.clone());
    let companion = Companion::new(store.clone(), log.clone(), clock.clone(), retention.age("agents"));
    let home = home(&config)?;
    let chats = Chats::new(chats::Foundation {
        store: store.clone(),
        log: log.clone(),
        clock: clock.clone(),
        agents: agents(&config),
        approvals: approvals.clone(),
        research: Research::new(
            config.research_root.clone().unwrap_or_else(|| config.data_dir.join("research")),
            config.research_template.clone(),
        ),
        limits: chats::Limits {
            folder: config.data_dir.join("chats"),
            queued: config.chat_queue,
            agents: config.max_agents,
            idle: Duration::from_secs(config.agent_idle_seconds),
            silence: Duration::from_secs(config.agent_silence_seconds),
        },
        home: home.id,
    });
    let sessions = Sessions::new(sessions::Foundation {
        store: store.clone(),
        log: log.clone(),
        clock: clock.clone(),
        chats: chats.clone(),
        allowlist: Allowlist::new(config.repo_allowlist.clone()),
        lifetime: milliseconds(config.session_ttl_seconds),
    });
    let tasks = Tasks::new(tasks::Foundation {
        store: store.clone(),
        log: log.clone(),
        clock: clock.clone(),
        sessions: sessions.clone(),
        chats: chats.clone(),
        approvals: approvals.clone(),
        limits: tasks::Limits {
            folder: home.folder.join("worktrees"),
            open: config.session_tasks,
            author: config.commit_author.clone(),
        },
        home: home.id,
    });
    let commands = Commands::new(
        log.clone(),
        clock.clone(),
        sessions.clone(),
        Terminals::new(supervisor(&config), clock.clone(), on_disconnect(&config)),
        policy,
        Duration::from_secs(config.command_seconds),
    );
    let hub = Hub::new(store.clone(), log.clone(), clock.clone(), metrics.clone(), activity);
    hub.tell_who_is_gone().await?;
    let bridge = tokio::spawn(hub::bridge_foreign(hub.clone(), shutdown.clone()));
    let upkeep = vec![
        tokio::spawn(hub::keep_subscriptions(hub.clone())),
        tokio::spawn(hub::keep_presence(hub.clone())),
        tokio::spawn(hub::tell_metrics(hub.clone())),
        tokio::spawn(approvals::sweep(
            approvals.clone(),
            clock.clone(),
            metrics.clone(),
            milliseconds(config.orphan_grace_seconds),
        )),
        tokio::spawn(upkeep::run(log.clone(), authority.clone(), clock.clone())),
        tokio::spawn(log::keep(log.clone(), retention, clock.clone())),
        tokio::spawn(chats::attend(chats.clone(), heard)),
        tokio::spawn(chats::tend(chats.clone())),
        tokio::spawn(chats::remove_deleted(chats.clone())),
        tokio::spawn(sessions::sweep(sessions.clone(), alarm)),
        tokio::spawn(tasks::keep(tasks.clone())),
        tokio::spawn(commands::keep(commands.clone())),
        tokio::spawn(companion::sweep(companion.clone(), clock.clone())),
        tokio::spawn({
            let sockets = sockets.clone();
            async move { sockets.sweep().await }
        }),
        tokio::spawn(bus.listen(store.clone(), log.hearer(), shutdown.clone())),
    ];
    let session_tokens = SessionTokens::new(&config, &seal, clock.clone());
    let hub_tokens = HubTokens::new(config.ws_auth_secret.clone(), &seal, clock.clone());
    let services = Services {
        health: Health {
            authority: authority.clone(),
            store: store.clone(),
            approvals: approvals.clone(),
            metrics: metrics.clone(),
            environment: config.environment,
            started_at: clock.now(),
            shutdown: shutdown.clone(),
        },
        pairing: Pairing::new(store.clone(), log.clone(), keys, seal, clock.clone(), patience.clone()),
        runs: Runs::new(store.clone(), log.clone(), clock.clone(), patience),
        workspaces: Workspaces::new(store.clone()),
        streams: Streams::open(store.clone(), log.clone(), clock.clone(), authority.agent_access().clone()).await?,
        devices: Devices::new(store.clone(), log, clock.clone()),
        clock,
        approvals,
        authority,
        companion,
        chats: chats.clone(),
        sessions,
        session_tokens,
        tasks: tasks.clone(),
        commands: commands.clone(),
        public_base_url: config.public_base_url.clone(),
        relay_url: config.relay_url.clone(),
        hub: hub.clone(),
        hub_tokens,
        hub_port: hub_address.map_or(0, |address| address.port()),
        environment: config.environment,
        base_url: base_url(&config, address)?,
    };
    let limits =
        Limits { connections: config.max_connections, head_timeout: Duration::from_secs(config.head_timeout_seconds) };
    let connections = TaskTracker::new();
    let mut accepting = Vec::new();
    if let Some(listener) = hub_listener {
        let routes = wrap(surface::hub_routes(&services, &sockets), Origins::of_hub(&config), &config, metrics.clone());
        accepting.push(tokio::spawn(http::serve(listener, routes, limits, shutdown.clone(), connections.clone())));
    }
    let routes = wrap(surface::routes(services, &sockets), Origins::new(&config), &config, metrics);
    accepting.push(tokio::spawn(http::serve(listener, routes, limits, shutdown.clone(), connections.clone())));
    Ok(Running {
        url: url(address),
        hub_url: hub_address.map(url),
        shutdown,
        patience: Duration::from_secs(config.shutdown_seconds),
        accepting,
        connections,
        sockets,
        chats,
        tasks,
        commands,
        home,
        hub,
        bridge,
        upkeep,
        writer,
        store,
    })
}

impl Running {
    /// Where it listens, e.g. `http://127.0.0.1:8787`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Where the hub's own port is, if there is one, e.g. `http://127.0.0.1:3849`.
    #[must_use]
    pub fn hub_url(&self) -> Option<&str> {
        self.hub_url.as_deref()
    }

    /// Stops: no new connection is taken, sockets are closed, long polls are answered so that their clients
    /// ask again, requests under way are finished, and what is queued is committed.
    pub async fn shutdown(mut self) {
        self.shutdown.cancel();
        for accepting in self.accepting {
            let _ = accepting.await;
        }
        self.connections.close();
        let requests = tokio::time::timeout(self.patience, self.connections.wait());
        if tokio::join!(requests, self.sockets.leave(self.patience)).0.is_err() {
            tracing::warn!(connections = self.connections.len(), "some requests did not end in time");
        }
        if tokio::time::timeout(self.patience, &mut self.bridge).await.is_err() {
            tracing::warn!("could not write down in time what foreign publishers said");
            self.bridge.abort();
        }
        for task in self.upkeep {
            task.abort();
        }
        if tokio::time::timeout(self.patience, self.commands.leave()).await.is_err() {
            tracing::warn!("some commands did not end in time");
        }
        drop(self.commands);
        if tokio::time::timeout(self.patience, self.tasks.leave()).await.is_err() {
            tracing::warn!("some tasks did not end in time");
        }
        drop(self.tasks);
        // After the sockets: their clients come back and find the turns interrupted.
        if tokio::time::timeout(self.patience, self.chats.leave()).await.is_err() {
            tracing::warn!("some agents did not end in time");
        }
        drop(self.chats);
        if !matches!(tokio::time::timeout(self.patience, self.hub.save()).await, Ok(Ok(()))) {
            tracing::warn!("could not write down what agents acknowledged on the hub; they get it again");
        }
        drop(self.hub);
        // The writer ends when the last surface, held by the last connection, has let go of the log.
        if tokio::time::timeout(self.patience, self.writer).await.is_err() {
            tracing::warn!("the log's writer did not end in time");
        }
        drop(self.home);
        // A connection that hangs must not keep the process.
        let _ = tokio::time::timeout(self.patience, self.store.close()).await;
    }
}

/// Starts and ends programs of agents and sessions.
fn supervisor(config: &Config) -> Supervisor {
    Supervisor::new(config.agent_env.clone(), config.guard_program.clone())
}

const fn on_disconnect(config: &Config) -> OnDisconnect {
    match config.unwatched_seconds {
        0 => OnDisconnect::Keep,
        seconds => OnDisconnect::Kill { after: Duration::from_secs(seconds) },
    }
}

/// Where no session can be, nothing needs a home that lasts.
fn home(config: &Config) -> anyhow::Result<Home> {
    if config.repo_allowlist.is_empty() { Ok(Home::none(&config.data_dir)) } else { Home::open(&config.data_dir) }
}

fn agents(config: &Config) -> Agents {
    Agents::new(agents::Options {
        default: config.agent.clone(),
        added: config.agents.clone(),
        mock_script: config.mock_script.clone(),
        supervisor: supervisor(config),
        patience: Duration::from_secs(config.agent_start_seconds),
    })
}

/// A listener whose queue takes a burst of clients that come back at once; the usual queue of 128 drops them, and each one
/// dropped waits a second.
fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

fn listen_for_hub(config: &Config) -> anyhow::Result<TcpListener> {
    listen((config.host, config.ws_port).into()).with_context(|| {
        format!(
            "can't listen on {}:{} for the hub; WS_PORT names another port, WS_PORT=0 picks a free one, and \
             FLIGHTDECK_HUB_PORT=off does without",
            config.host, config.ws_port
        )
    })
}

/// What happens to every request on either port.
fn wrap<E>(routes: E, origins: Origins, config: &Config, metrics: Arc<Metrics>) -> Arc<Wrap<E>> {
    Arc::new(Wrap {
        routes,
        origins,
        max_body_bytes: config.max_body_bytes,
        body_timeout: Duration::from_secs(config.body_timeout_seconds),
        metrics,
    })
}

/// Makes the data directory, readable by its owner only.
fn prepare(config: &Config) -> anyhow::Result<()> {
    let needed = config.seal_key.is_none() || config.database_url.is_none() || !config.repo_allowlist.is_empty();
    if !needed {
        return Ok(());
    }
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(&config.data_dir).with_context(|| {
        format!("can't make the data directory {}; FLIGHTDECK_DATA_DIR names another", config.data_dir.display())
    })
}

fn url(address: SocketAddr) -> String {
    let host = match address {
        SocketAddr::V4(address) if address.ip().is_unspecified() => "127.0.0.1".to_owned(),
        SocketAddr::V6(address) if address.ip().is_unspecified() => "[::1]".to_owned(),
        SocketAddr::V4(address) => address.ip().to_string(),
        SocketAddr::V6(address) => format!("[{}]", address.ip()),
    };
    format!("http://{host}:{}", address.port())
}

/// By which clients reach the server, unless a setting says so: by name if it listens on this machine only.
fn base_url(config: &Config, address: SocketAddr) -> anyhow::Result<Url> {
    match &config.public_base_url {
        Some(url) => Ok(url.clone()),
        None if address.ip().is_loopback() || address.ip().is_unspecified() => {
            Ok(Url::parse(&format!("http://localhost:{}", address.port()))?)
        }
        None => Ok(Url::parse(&url(address))?),
    }
}

fn milliseconds(seconds: u64) -> i64 {
    i64::try_from(seconds.saturating_mul(1_000)).unwrap_or(i64::MAX)
}

/// Counts what is committed.
struct Counting(Arc<Metrics>);

impl CommitListener for Counting {
    fn committed(&self, events: &[Committed]) {
        self.0.committed(events.len());
    }

    /// The other server counts its own.
    fn heard(&self, _: &[Committed]) {}
}
