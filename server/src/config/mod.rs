//! What can be configured: the one list from which `--help`, the environment, the file and the checks are made.
//!
//! A flag wins over the environment, which wins over the file, which wins over the default.

mod check;
mod load;

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use url::Url;

use crate::auth::AgentWorkspace;
use crate::log::KindRule;
use crate::secret::Secret;
use crate::service::agents::Added;
use crate::store::SqliteSync;

pub use check::Refused;
pub use load::load;

/// The mode in which the server runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Environment {
    /// Accepts the shortcuts of the inherited protocols, from the same machine only.
    #[default]
    Development,
    /// Accepts no shortcut, and starts with no secret missing.
    Production,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum LogFormat {
    /// For a person.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Flightdeck: the control plane for coding agents.
///
/// Every setting can be given as a flag, as an environment variable, or in the configuration file under the flag's name
/// with underscores (`max_body_bytes = 65536`). Without any, the server listens on this machine only and keeps its data
/// in an SQLite file.
#[derive(Debug, Clone, Parser)]
#[command(name = "flightdeck-server", version, max_term_width = 100)]
pub struct Config {
    /// The address to listen on. Others than 127.0.0.1 and ::1 are seen by other machines.
    #[arg(long, env = "HOST", default_value = "127.0.0.1")]
    pub host: IpAddr,

    /// The port to listen on; 0 picks a free one.
    #[arg(long, env = "PORT", default_value_t = 8787)]
    pub port: u16,

    /// The hub's own port, beside `/hub` on the main one; 0 picks a free one.
    #[arg(long, env = "WS_PORT", default_value_t = 3849)]
    pub ws_port: u16,

    /// Whether the hub has a port of its own.
    #[arg(long, env = "FLIGHTDECK_HUB_PORT", default_value = "on", value_name = "on|off", action = clap::ArgAction::Set, value_parser = on_or_off)]
    pub hub_port: bool,

    /// The URL by which clients reach this server, if it is not the address above (behind a proxy, for instance).
    #[arg(long, env = "PUBLIC_BASE_URL", value_name = "URL")]
    pub public_base_url: Option<Url>,

    /// `development` accepts shortcuts from this machine; `production` accepts none, and wants its secrets set.
    #[arg(long = "environment", env = "FLIGHTDECK_ENV", value_enum, default_value_t)]
    pub environment: Environment,

    /// The configuration file; `flightdeck.toml` in the data directory, if it exists, unless said.
    #[arg(long, env = "FLIGHTDECK_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Where the server keeps its files.
    #[arg(long, env = "FLIGHTDECK_DATA_DIR", value_name = "DIR", default_value_os_t = default_data_dir())]
    pub data_dir: PathBuf,

    /// `sqlite://path` or `postgres://user@host/name`; an SQLite file in the data directory unless said.
    #[arg(long, env = "DATABASE_URL", value_name = "URL", hide_env_values = true)]
    pub database_url: Option<Secret>,

    /// When SQLite forces a commit to the disk: `full` at each, `normal` at checkpoints (faster, but a power cut may
    /// take the last moments).
    #[arg(long, env = "FLIGHTDECK_SQLITE_SYNC", value_enum, default_value = "full")]
    pub sqlite_sync: SqliteSync,

    /// Signs requests that belong to no workspace: starting a pairing, and asking how the server is. It opens no
    /// workspace. At least 32 characters in production.
    #[arg(long, env = "HMAC_SECRET", hide_env_values = true)]
    pub hmac_secret: Option<Secret>,

    /// What clients of the companion (`/agents`, `/messages`, `/realtime`) show. Unset, only this machine is let in, and in
    /// production nobody. At least 32 characters in production.
    #[arg(long, env = "COMPANION_TOKEN", hide_env_values = true)]
    pub companion_token: Option<Secret>,

    /// Signs the hub's tokens. A key that follows from the seal key unless said; whoever makes tokens elsewhere must know it.
    /// At least 32 characters in production.
    #[arg(long, env = "WS_AUTH_SECRET", hide_env_values = true)]
    pub ws_auth_secret: Option<Secret>,

    /// Signs the tokens of sessions. A key that follows from the seal key unless said. At least 32 characters in production.
    #[arg(long, env = "JWT_SECRET", hide_env_values = true)]
    pub jwt_secret: Option<Secret>,

    /// After so many seconds without use, a session ends.
    #[arg(long, env = "SESSION_TTL_SECONDS", default_value_t = 86_400, value_name = "SECONDS")]
    pub session_ttl_seconds: u64,

    /// The folders whose git repositories sessions may be about: absolute paths of repositories, or of folders above them.
    /// None unless said. Separated by commas.
    #[arg(long, env = "REPO_ALLOWLIST", value_delimiter = ',', value_name = "DIRS")]
    pub repo_allowlist: Vec<PathBuf>,

    /// The commands that sessions may run, each whole, with its arguments: `npm test,cargo check`. An interactive shell only if
    /// it is named here. None unless said. Separated by commas.
    #[arg(long, env = "CMD_ALLOWLIST", value_delimiter = ',', value_name = "COMMANDS")]
    pub cmd_allowlist: Vec<String>,

    /// Seconds after which a session's command is ended; a request may ask for less.
    #[arg(long, env = "FLIGHTDECK_COMMAND_SECONDS", default_value_t = 3_600, value_name = "SECONDS")]
    pub command_seconds: u64,

    /// Seconds after which a command is ended that nobody watches any more; 0 lets it run.
    #[arg(long, env = "FLIGHTDECK_UNWATCHED_SECONDS", default_value_t = 0, value_name = "SECONDS")]
    pub unwatched_seconds: u64,

    /// Tasks of a session that are open at once.
    #[arg(long, env = "FLIGHTDECK_SESSION_TASKS", default_value_t = 20, value_name = "N")]
    pub session_tasks: u64,

    /// Who is the author of commits that apply a task's patches, as `Name <address>`; unless said, whoever
    /// git says, or `Flightdeck` where git knows nobody.
    #[arg(long, env = "FLIGHTDECK_COMMIT_AUTHOR", value_name = "AUTHOR")]
    pub commit_author: Option<CommitAuthor>,

    /// The relay by which clients reach sessions that ask for one.
    #[arg(long, env = "FLIGHTDECK_RELAY_URL", value_name = "URL")]
    pub relay_url: Option<Url>,

    /// Seals the secrets in the database: 64 hexadecimal digits. A file in the data directory, made at the first start,
    /// unless said; servers that share a PostgreSQL must share it.
    #[arg(long, env = "FLIGHTDECK_SEAL_KEY", hide_env_values = true)]
    pub seal_key: Option<Secret>,

    /// Origins of web pages, besides this server's own, that may call it. Separated by commas. In development, the hub's
    /// own port also takes its dashboard (port 3848 of this machine).
    #[arg(long, env = "CORS_ORIGINS", value_delimiter = ',', value_name = "ORIGINS")]
    pub cors_origins: Vec<String>,

    /// The agent that chats talk with unless they name another; /v1/agents lists them.
    #[arg(long, env = "FLIGHTDECK_AGENT", default_value = "mock", value_name = "NAME")]
    pub agent: String,

    /// Agents besides the known ones, or in place of them: `name=kind:command line`, with kind acp, claude-code, codex or
    /// mock (`mine=acp:my-agent --stdio`). Separated by semicolons.
    #[arg(long, env = "FLIGHTDECK_AGENTS", value_delimiter = ';', value_name = "AGENTS")]
    pub agents: Vec<Added>,

    /// The script of the agent `mock`, a TOML file; its own unless said.
    #[arg(long, env = "FLIGHTDECK_MOCK_SCRIPT", value_name = "FILE")]
    pub mock_script: Option<PathBuf>,

    /// The workspaces, by id, whose devices may run agents on this server, and so programs on its machine; `*` stands for all.
    /// In development everybody may as long as HOST is
    /// this machine's own address; otherwise nobody unless said. Separated by commas.
    #[arg(long, env = "FLIGHTDECK_AGENT_WORKSPACES", value_delimiter = ',', value_name = "IDS")]
    pub agent_workspaces: Vec<AgentWorkspace>,

    /// The program that ends agents when this server is killed: the server's own.
    #[arg(skip)]
    pub guard_program: Option<PathBuf>,

    /// Environment variables that agents get besides the usual ones and those that their kind needs; `X_*` stands for all
    /// that begin with `X_`. Separated by commas.
    #[arg(long, env = "FLIGHTDECK_AGENT_ENV", value_delimiter = ',', value_name = "NAMES")]
    pub agent_env: Vec<String>,

    /// How long an agent may take to be ready, in seconds.
    #[arg(long, env = "FLIGHTDECK_AGENT_START_SECONDS", default_value_t = 60, value_name = "N")]
    pub agent_start_seconds: u64,

    /// After this many seconds without a message, a chat's agent is ended; the next message starts it again.
    #[arg(long, env = "FLIGHTDECK_AGENT_IDLE_SECONDS", default_value_t = 1_800, value_name = "N")]
    pub agent_idle_seconds: u64,

    /// A turn in which the agent gives no sign of life for so many seconds, and waits for no answer, has failed.
    #[arg(long, env = "FLIGHTDECK_AGENT_SILENCE_SECONDS", default_value_t = 3_600, value_name = "N")]
    pub agent_silence_seconds: u64,

    /// Agents that run at once; the turns of further ones wait, and agents that wait for a message give way.
    #[arg(long, env = "FLIGHTDECK_MAX_AGENTS", default_value_t = 256, value_name = "N")]
    pub max_agents: usize,

    /// Messages that may wait in one chat.
    #[arg(long, env = "FLIGHTDECK_CHAT_QUEUE", default_value_t = 100, value_name = "N")]
    pub chat_queue: u64,

    /// Where research makes its repositories; `research` in the data directory unless said.
    #[arg(long, env = "FLIGHTDECK_RESEARCH_ROOT", value_name = "DIR")]
    pub research_root: Option<PathBuf>,

    /// A folder with the files that a research begins with, and `prompt.md`, what its agent is told; `{{ topic }}` and
    /// `{{ repo_name }}` stand for the research's own. Built in unless said.
    #[arg(long, env = "FLIGHTDECK_RESEARCH_TEMPLATE", value_name = "DIR")]
    pub research_template: Option<PathBuf>,

    /// Connections at once; further ones wait to be accepted.
    #[arg(long, env = "FLIGHTDECK_MAX_CONNECTIONS", default_value_t = 16_384, value_name = "N")]
    pub max_connections: usize,

    /// Sockets at once; further ones are refused.
    #[arg(long, env = "FLIGHTDECK_MAX_SOCKETS", default_value_t = 16_384, value_name = "N")]
    pub max_sockets: usize,

    /// How much history is kept, by kind of stream: `runs=90d/100000` keeps 90 days, and 100000 events of each run; 0 is no
    /// limit. Separated by commas. Unless said: agents=90d/1000000, approvals=365d/100000, channels=7d/100000,
    /// pairings=1d/0, runs=90d/100000, sessions=90d/100000.
    #[arg(long, env = "FLIGHTDECK_RETENTION", value_delimiter = ',', value_name = "RULES")]
    pub retention: Vec<KindRule>,

    /// The largest body taken, in bytes.
    #[arg(long, env = "FLIGHTDECK_MAX_BODY_BYTES", default_value_t = 1 << 20, value_name = "BYTES")]
    pub max_body_bytes: usize,

    /// Seconds in which a request's head must arrive, and for which an idle connection is kept.
    #[arg(long, env = "FLIGHTDECK_HEAD_TIMEOUT_SECONDS", default_value_t = 15, value_name = "SECONDS")]
    pub head_timeout_seconds: u64,

    /// Seconds in which a request's body must arrive.
    #[arg(long, env = "FLIGHTDECK_BODY_TIMEOUT_SECONDS", default_value_t = 10, value_name = "SECONDS")]
    pub body_timeout_seconds: u64,

    /// Seconds that a shutdown waits for requests to end.
    #[arg(long, env = "FLIGHTDECK_SHUTDOWN_SECONDS", default_value_t = 5, value_name = "SECONDS")]
    pub shutdown_seconds: u64,

    /// Seconds until an approval expires, if its request does not say.
    #[arg(long, env = "FLIGHTDECK_APPROVAL_TTL_SECONDS", default_value_t = 86_400, value_name = "SECONDS")]
    pub approval_ttl_seconds: u64,

    /// Seconds after which an approval that no hook waits for is shown as orphaned.
    #[arg(long, env = "FLIGHTDECK_ORPHAN_GRACE_SECONDS", default_value_t = 30, value_name = "SECONDS")]
    pub orphan_grace_seconds: u64,

    /// Events that a workspace may report in a minute; 0 for no limit.
    #[arg(long, env = "FLIGHTDECK_RATE_EVENTS_PER_MINUTE", default_value_t = 100, value_name = "N")]
    pub rate_events_per_minute: u32,

    /// Events that a workspace may report in an hour; 0 for no limit.
    #[arg(long, env = "FLIGHTDECK_RATE_EVENTS_PER_HOUR", default_value_t = 1_000, value_name = "N")]
    pub rate_events_per_hour: u32,

    /// Approvals that a workspace may ask for in a minute; 0 for no limit.
    #[arg(long, env = "FLIGHTDECK_RATE_APPROVALS_PER_MINUTE", default_value_t = 10, value_name = "N")]
    pub rate_approvals_per_minute: u32,

    /// Requests that a device, or a workspace in a device's place, may make in a minute; 0 for no limit.
    #[arg(long, env = "FLIGHTDECK_RATE_DEVICE_REQUESTS_PER_MINUTE", default_value_t = 600, value_name = "N")]
    pub rate_device_requests_per_minute: u32,

    /// Pairing requests that one network address may make in a minute; 0 for no limit.
    #[arg(long, env = "FLIGHTDECK_RATE_PAIRINGS_PER_MINUTE", default_value_t = 20, value_name = "N")]
    pub rate_pairings_per_minute: u32,

    /// How log lines look.
    #[arg(long, env = "FLIGHTDECK_LOG_FORMAT", value_enum, default_value_t)]
    pub log_format: LogFormat,

    /// What is logged: a level, or levels by module, as in `info,flightdeck_server::log=debug`.
    #[arg(long, env = "FLIGHTDECK_LOG", default_value = "info,sea_orm_migration=warn", value_name = "FILTER")]
    pub log: String,
}

impl ValueEnum for SqliteSync {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Full, Self::Normal]
    }

    fn to_possible_value(&self) -> Option<clap::builder::PossibleValue> {
        Some(clap::builder::PossibleValue::new(match self {
            Self::Full => "full",
            Self::Normal => "normal",
        }))
    }
}

impl Config {
    /// The database's URL.
    #[must_use]
    pub fn database(&self) -> String {
        match &self.database_url {
            Some(url) => url.expose().to_owned(),
            None => format!("sqlite://{}", self.data_dir.join("flightdeck.db").display()),
        }
    }

    /// Whether the database is SQLite.
    #[must_use]
    pub fn uses_sqlite(&self) -> bool {
        self.database().starts_with("sqlite:")
    }
}

/// The author of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitAuthor {
    pub name: String,
    pub address: String,
}

impl std::str::FromStr for CommitAuthor {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not an author; write it as `Name <address>`");
        let (name, rest) = text.split_once('<').ok_or_else(wrong)?;
        let address = rest.strip_suffix('>').ok_or_else(wrong)?;
        let (name, address) = (name.trim(), address.trim());
        let is_plain = |text: &str| !text.is_empty() && !text.contains(['<', '>']) && !text.contains(char::is_control);
        if !is_plain(name) || !is_plain(address) {
            return Err(wrong());
        }
        Ok(Self { name: name.to_owned(), address: address.to_owned() })
    }
}

fn on_or_off(text: &str) -> Result<bool, String> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err("must be `on` or `off`".to_owned()),
    }
}

/// What a server without any setting does. The environment is not asked.
impl Default for Config {
    fn default() -> Self {
        load::defaults()
    }
}

/// The user's data directory, as the XDG convention has it.
fn default_data_dir() -> PathBuf {
    std::env::var_os("XDG_DATA_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".local/share")))
        .map_or_else(|| PathBuf::from("flightdeck-data"), |base| base.join("flightdeck"))
}
