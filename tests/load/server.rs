//! The programs under the benchmark, each in a process of its own on the server's core.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use sea_orm::sqlx::postgres::PgConnection;
use sea_orm::sqlx::{AssertSqlSafe, Connection, Executor};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use url::Url;
use uuid::Uuid;

use crate::Bench;
use crate::options::{Options, Store};
use crate::workspace::Workspace;

const BUILD: &str = "cargo build --release -p flightdeck-server -p flightdeck-tests --bin load --bin flightdeck-server";

/// A program that listens. It is killed when this is dropped.
pub(crate) struct Listening {
    child: Child,
    pub(crate) address: String,
    pub(crate) process: u32,
}

impl Listening {
    async fn start(command: &mut Command) -> Result<Self> {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("starting {command:?}"))?;
        let process = child.id().context("the program has ended already")?;
        let mut lines = BufReader::new(child.stdout.take().context("the program has a stdout")?).lines();
        let listens = async {
            while let Some(line) = lines.next_line().await? {
                if let Some((_, url)) = line.split_once("Listening on http://") {
                    return Ok(url.trim().to_owned());
                }
            }
            bail!("the program ended before it listened; what it says is above")
        };
        let address = tokio::time::timeout(Duration::from_secs(30), listens)
            .await
            .context("the program did not listen within 30 seconds")??;
        // What else it prints is read, so that it never waits for a reader.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok(Self { child, address, process })
    }

    /// The bare web framework.
    pub(crate) async fn echo(bench: &Bench) -> Result<Self> {
        let own = std::env::current_exe().context("finding this program")?;
        Self::start(bench.machine.command(&own).arg("echo-server")).await
    }

    /// The bare loop-back.
    pub(crate) async fn bare(bench: &Bench) -> Result<Self> {
        let own = std::env::current_exe().context("finding this program")?;
        Self::start(bench.machine.command(&own).arg("bare-server")).await
    }

    pub(crate) async fn stop(mut self) -> Result<()> {
        self.child.kill().await.context("ending a program")
    }
}

/// A server with a new database.
pub(crate) struct Server {
    listening: Listening,
    postgres: Option<Postgres>,
    /// Dropped last.
    _folder: TempDir,
}

impl Server {
    /// Starts one without rate limits, as a person would who measures it.
    pub(crate) async fn start(bench: &Bench, store: Store) -> Result<Self> {
        Self::start_with(bench, store, &[]).await
    }

    /// The same with more settings.
    pub(crate) async fn start_with(bench: &Bench, store: Store, settings: &[(String, String)]) -> Result<Self> {
        let folder = data_folder(&bench.options)?;
        let postgres = match &bench.options.database {
            Some(url) => Some(Postgres::create(url).await?),
            None => None,
        };
        let mut command = bench.machine.command(&program()?);
        command
            .env_clear()
            .env("PORT", "0")
            .env("WS_PORT", "0")
            .env("FLIGHTDECK_DATA_DIR", folder.path())
            .env("FLIGHTDECK_LOG", "error")
            .envs(
                ["EVENTS_PER_MINUTE", "EVENTS_PER_HOUR", "APPROVALS_PER_MINUTE", "DEVICE_REQUESTS_PER_MINUTE"]
                    .map(|limit| (format!("FLIGHTDECK_RATE_{limit}"), "0")),
            )
            .env("FLIGHTDECK_RATE_PAIRINGS_PER_MINUTE", "0")
            .envs(settings.iter().map(|(name, value)| (name, value)));
        if let Store::Sqlite(sync) = store {
            command.env("FLIGHTDECK_SQLITE_SYNC", sync.as_str());
        }
        if let Some(postgres) = &postgres {
            command.env("DATABASE_URL", &postgres.url);
        }
        let listening = Listening::start(&mut command).await?;
        Ok(Self { listening, postgres, _folder: folder })
    }

    /// Host and port.
    pub(crate) fn address(&self) -> &str {
        &self.listening.address
    }

    pub(crate) const fn process(&self) -> u32 {
        self.listening.process
    }

    pub(crate) async fn pair(&self) -> Result<Workspace> {
        Workspace::pair(self.address()).await
    }

    /// Ends it and removes its data.
    pub(crate) async fn stop(self) -> Result<()> {
        self.listening.stop().await?;
        match self.postgres {
            Some(postgres) => postgres.drop().await,
            None => Ok(()),
        }
    }
}

/// The server program beside this one.
fn program() -> Result<PathBuf> {
    let own = std::env::current_exe().context("finding this program")?;
    let path = own.with_file_name(format!("flightdeck-server{}", std::env::consts::EXE_SUFFIX));
    if !path.is_file() {
        bail!("{} is missing: cargo builds no other package's programs; run `{BUILD}`", path.display());
    }
    Ok(path)
}

/// A new folder on a real disk.
pub(crate) fn data_folder(options: &Options) -> Result<TempDir> {
    let own = std::env::current_exe().context("finding this program")?;
    let parent = options.dir.as_deref().or_else(|| own.parent()).unwrap_or_else(|| Path::new("."));
    tempfile::Builder::new()
        .prefix("load-data-")
        .tempdir_in(parent)
        .with_context(|| format!("making a data directory in {}; `--dir` names another place", parent.display()))
}

/// A database of its own on somebody's PostgreSQL.
pub(crate) struct Postgres {
    pub(crate) url: String,
    name: String,
    admin: String,
}

impl Postgres {
    pub(crate) async fn create(admin: &str) -> Result<Self> {
        let name = format!("flightdeck_load_{}", Uuid::new_v4().simple());
        let mut url = Url::parse(admin).context("`--database` is not a URL")?;
        url.set_path(&name);
        let mut connection = PgConnection::connect(admin).await.context("connecting to PostgreSQL")?;
        let statement = AssertSqlSafe(format!("CREATE DATABASE {name}"));
        connection.execute(statement).await.context("creating a database")?;
        connection.close().await?;
        Ok(Self { url: url.into(), name, admin: admin.to_owned() })
    }

    pub(crate) async fn drop(self) -> Result<()> {
        let mut connection = PgConnection::connect(&self.admin).await.context("connecting to PostgreSQL")?;
        let statement = AssertSqlSafe(format!("DROP DATABASE {} WITH (FORCE)", self.name));
        connection.execute(statement).await.context("dropping a database")?;
        Ok(connection.close().await?)
    }
}
