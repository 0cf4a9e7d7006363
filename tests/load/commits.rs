//! The bare database: one row a transaction, one after the other. Group commit is there to beat it.

use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use sea_orm::sqlx::postgres::PgConnection;
use sea_orm::sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sea_orm::sqlx::{self, Connection, Executor};

use crate::Bench;
use crate::options::{CommitOptions, Store, Sync};
use crate::server::{Postgres, data_folder};

const TABLE: &str = "CREATE TABLE load_rows (id INTEGER PRIMARY KEY, body TEXT NOT NULL)";
const TABLE_POSTGRES: &str = "CREATE TABLE load_rows (id BIGSERIAL PRIMARY KEY, body TEXT NOT NULL)";

/// Measures commits per second, in a process of its own on the server's core.
pub(crate) async fn measure(bench: &Bench, store: Store, seconds: f64) -> Result<f64> {
    let folder = data_folder(&bench.options)?;
    let postgres = match &bench.options.database {
        Some(url) => Some(Postgres::create(url).await?),
        None => None,
    };
    let url = match &postgres {
        Some(postgres) => postgres.url.clone(),
        None => folder.path().join("commits.db").display().to_string(),
    };
    let durability = match store {
        Store::Sqlite(sync) => sync,
        Store::Postgres => Sync::Full,
    };
    let own = std::env::current_exe().context("finding this program")?;
    let mut command = bench.machine.command(&own);
    command.args(["commit-loop", "--url", &url, "--durability", durability.as_str()]);
    let output = command.arg("--seconds").arg(seconds.to_string()).kill_on_drop(true).output().await?;
    if let Some(postgres) = postgres {
        postgres.drop().await?;
    }
    let printed = String::from_utf8_lossy(&output.stdout);
    printed.trim().parse().with_context(|| {
        format!("the commit loop did not end well: {printed}{}", String::from_utf8_lossy(&output.stderr))
    })
}

/// Commits for a while and prints how often that went in a second.
pub(crate) fn run(options: &CommitOptions) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("starting the runtime")?;
    let per_second = runtime.block_on(async {
        let body = "x".repeat(200);
        let limit = Duration::from_secs_f64(options.seconds);
        let mut count = 0_u32;
        // The same loop twice, because the two kinds of connection have no type in common.
        if options.url.starts_with("postgres") {
            let mut connection = PgConnection::connect(&options.url).await?;
            connection.execute(TABLE_POSTGRES).await?;
            let started = Instant::now();
            while started.elapsed() < limit {
                sqlx::query("INSERT INTO load_rows (body) VALUES ($1)").bind(&body).execute(&mut connection).await?;
                count += 1;
            }
            return anyhow::Ok(f64::from(count) / started.elapsed().as_secs_f64());
        }
        let synchronous = match options.durability {
            Sync::Full => SqliteSynchronous::Full,
            Sync::Normal => SqliteSynchronous::Normal,
        };
        let sqlite = SqliteConnectOptions::new()
            .filename(Path::new(&options.url))
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(synchronous);
        let mut connection = SqliteConnection::connect_with(&sqlite).await?;
        connection.execute(TABLE).await?;
        let started = Instant::now();
        while started.elapsed() < limit {
            sqlx::query("INSERT INTO load_rows (body) VALUES (?)").bind(&body).execute(&mut connection).await?;
            count += 1;
        }
        Ok(f64::from(count) / started.elapsed().as_secs_f64())
    })?;
    writeln!(std::io::stdout(), "{per_second}")?;
    Ok(())
}
