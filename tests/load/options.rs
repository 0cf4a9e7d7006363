//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Measures the release server beside the bare parts that it is made of.
///
/// Build both first: cargo build --release -p flightdeck-server -p flightdeck-tests --bin load --bin flightdeck-server
#[derive(Debug, Clone, Parser)]
#[command(name = "load", max_term_width = 100)]
pub(crate) struct Options {
    #[command(subcommand)]
    pub(crate) benchmark: Benchmark,

    /// Measures less: `all` in less than three minutes, with more noise.
    #[arg(long, global = true)]
    pub(crate) quick: bool,

    /// Prints the figures as JSON.
    #[arg(long, global = true)]
    pub(crate) json: bool,

    /// Measures the SQLite settings named, separated by commas.
    #[arg(long, global = true, value_enum, value_delimiter = ',', default_values_t = [Sync::Full, Sync::Normal])]
    pub(crate) sync: Vec<Sync>,

    /// Runs the server on this PostgreSQL instead of SQLite; the user must be allowed to create databases.
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) database: Option<String>,

    /// Where data directories are made; beside this program unless said, because /tmp may be in memory, where nothing
    /// is durable.
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
}

/// What is measured.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Benchmark {
    /// Signed, durable events per second.
    Events(EventsOptions),
    /// Whether that rate stays as the store grows.
    Flat(FlatOptions),
    /// How fast a decision reaches its waiter, and what a parked waiter costs.
    Release(ReleaseOptions),
    /// What clients that drip bytes can do.
    Slow,
    /// What sockets deliver, how fast, and what they cost.
    Sockets(SocketOptions),
    /// Many chats whose agents speak at once.
    Chats,
    /// What a session's terminal prints and echoes.
    Terminal,
    /// All of them.
    All,
    /// The bare web framework: one of the things that the server is compared with.
    #[command(hide = true)]
    EchoServer,
    /// The bare loop-back: another one.
    #[command(hide = true)]
    BareServer,
    /// The bare database: the other one.
    #[command(hide = true)]
    CommitLoop(CommitOptions),
}

/// How events are sent.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct EventsOptions {
    /// How often each figure is taken, each time by a new server: 5 unless said, 2 if quick.
    #[arg(long)]
    pub(crate) runs: Option<usize>,

    /// How long each time, after a warm-up: 3 unless said, 1.5 if quick.
    #[arg(long)]
    pub(crate) seconds: Option<f64>,

    /// Connections, each with one request at a time: 32,128 unless said.
    #[arg(long, value_delimiter = ',')]
    pub(crate) connections: Vec<usize>,

    /// Agents' runs that the events belong to: 8 unless said.
    #[arg(long)]
    pub(crate) runs_per_workspace: Option<usize>,

    /// Sends an `Idempotency-Key` with each event, as the SDKs do.
    #[arg(long)]
    pub(crate) idempotency: bool,
}

/// How far the store is filled.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct FlatOptions {
    /// Events stored at the end: 1,000,000 unless said, 200,000 if quick.
    #[arg(long)]
    pub(crate) total: Option<u64>,

    /// Connections: 32 unless said.
    #[arg(long)]
    pub(crate) connections: Option<usize>,
}

/// How many wait.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ReleaseOptions {
    /// Waiters parked at once: 1,1000,5000 unless said.
    #[arg(long, value_delimiter = ',')]
    pub(crate) waiters: Vec<usize>,

    /// Decisions timed one at a time: 1,000 unless said, 200 if quick.
    #[arg(long)]
    pub(crate) samples: Option<usize>,
}

/// How many sockets there are.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct SocketOptions {
    /// Subscribers of one channel: 1,100,1000 unless said.
    #[arg(long, value_delimiter = ',')]
    pub(crate) subscribers: Vec<usize>,

    /// How often each figure is taken: 3 unless said, 1 if quick; for the stalled reader 5, 3 if quick, and never less.
    #[arg(long)]
    pub(crate) takes: Option<usize>,

    /// Stored events that are read back: 100,000 unless said, 20,000 if quick.
    #[arg(long)]
    pub(crate) events: Option<usize>,

    /// Sockets on which nothing happens: 10,000 unless said, 2,000 if quick.
    #[arg(long)]
    pub(crate) sockets: Option<usize>,
}

/// What the commit loop does.
#[derive(Debug, Clone, Args)]
pub(crate) struct CommitOptions {
    #[arg(long)]
    pub(crate) url: String,
    #[arg(long, value_enum)]
    pub(crate) durability: Sync,
    #[arg(long)]
    pub(crate) seconds: f64,
}

/// SQLite's `synchronous`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Sync {
    Full,
    Normal,
}

impl Sync {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Normal => "normal",
        }
    }
}

/// The database that a server runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Store {
    Sqlite(Sync),
    Postgres,
}

impl Store {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Sqlite(Sync::Full) => "SQLite, full sync",
            Self::Sqlite(Sync::Normal) => "SQLite, normal sync",
            Self::Postgres => "PostgreSQL",
        }
    }
}

impl SocketOptions {
    /// How often each figure is taken.
    pub(crate) fn takes(&self, options: &Options) -> usize {
        self.takes.unwrap_or(options.choose(3, 1)).max(1)
    }
}

impl Options {
    /// The databases to measure with.
    pub(crate) fn stores(&self) -> Vec<Store> {
        match self.database {
            Some(_) => vec![Store::Postgres],
            None => self.sync.iter().map(|sync| Store::Sqlite(*sync)).collect(),
        }
    }

    /// `usual`, or `quick` if that is asked for.
    pub(crate) const fn choose<T: Copy>(&self, usual: T, quick: T) -> T {
        if self.quick { quick } else { usual }
    }
}
