//! A database for one test, and the ways to take it away from the server.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbBackend, Statement};
use tempfile::TempDir;
use tokio::sync::OnceCell;
use url::Url;
use uuid::Uuid;

use crate::repository::Repository;

/// Where PostgreSQL is; its user may create databases.
const POSTGRES: &str = "FLIGHTDECK_TEST_POSTGRES_URL";

/// A kind of database that the server runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    Sqlite,
    Postgres,
}

impl Kind {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Sqlite, Self::Postgres];

    /// As `getServerHealth` calls it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
        }
    }
}

/// A database that nobody else uses. It goes when this is dropped.
#[derive(Debug)]
pub struct TestDatabase {
    kind: Kind,
    url: String,
    /// Holds the SQLite file, and whatever else the server keeps on disk.
    folder: TempDir,
    /// Open while the database is taken away from the server.
    grip: Option<DatabaseConnection>,
}

impl TestDatabase {
    /// Makes one.
    ///
    /// # Errors
    /// There is no PostgreSQL, or it refuses.
    pub async fn create(kind: Kind) -> Result<Self> {
        let folder = tempfile::tempdir().context("making a folder for the test's database")?;
        let url = match kind {
            Kind::Sqlite => sqlite_url(&folder.path().join("flightdeck.db")),
            Kind::Postgres => create_postgres().await?,
        };
        Ok(Self { kind, url, folder, grip: None })
    }

    /// What the server gets as `DATABASE_URL`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What kind it is.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// The server's data directory.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Where the repositories are that the server may work on, with symbolic links resolved.
    ///
    /// # Errors
    /// The folder can't be made.
    pub fn repositories(&self) -> Result<PathBuf> {
        let folder = self.folder().join("repositories");
        std::fs::create_dir_all(&folder).context("making a folder for repositories")?;
        folder.canonicalize().context("resolving the folder of repositories")
    }

    /// A new repository there.
    ///
    /// # Errors
    /// It can't be made.
    pub fn repository(&self) -> Result<Repository> {
        Repository::create(self.repositories()?.join(format!("project-{}", Uuid::new_v4().simple())))
    }

    /// A connection of the test's own.
    ///
    /// # Errors
    /// The database can't be reached.
    pub async fn connect(&self) -> Result<DatabaseConnection> {
        connect(&self.url).await
    }

    /// How many rows `table` has.
    ///
    /// # Errors
    /// There is no such table.
    pub async fn count(&self, table: &str) -> Result<i64> {
        let connection = self.connect().await?;
        let row = connection
            .query_one_raw(statement(&connection, format!("SELECT COUNT(*) AS rows FROM {table}")))
            .await?
            .context("COUNT gives a row")?;
        Ok(row.try_get("", "rows")?)
    }

    /// Takes all tables away, as somebody with a database shell might.
    ///
    /// # Errors
    /// The database can't be reached.
    pub async fn break_tables(&self) -> Result<()> {
        let connection = self.connect().await?;
        if self.kind == Kind::Postgres {
            connection.execute_unprepared("ALTER SCHEMA public RENAME TO gone").await?;
            return Ok(());
        }
        let tables = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'";
        for row in connection.query_all_raw(statement(&connection, tables.to_owned())).await? {
            let name: String = row.try_get("", "name")?;
            connection.execute_unprepared(&format!("ALTER TABLE \"{name}\" RENAME TO \"gone_{name}\"")).await?;
        }
        Ok(())
    }

    /// Keeps the server from its database: PostgreSQL throws it out and lets nobody in; in SQLite somebody else holds
    /// the write lock, and readers go on.
    ///
    /// # Errors
    /// The database can't be reached.
    pub async fn take_away(&mut self) -> Result<()> {
        match self.kind {
            Kind::Sqlite => {
                let connection = self.connect().await?;
                connection.execute_unprepared("BEGIN IMMEDIATE").await?;
                self.grip = Some(connection);
            }
            Kind::Postgres => {
                let admin = connect(&admin_url()?).await?;
                let name = self.name();
                admin.execute_unprepared(&format!("ALTER DATABASE \"{name}\" WITH ALLOW_CONNECTIONS false")).await?;
                admin
                    .execute_unprepared(&format!(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
                    ))
                    .await?;
                self.grip = Some(admin);
            }
        }
        Ok(())
    }

    /// Gives it back after [`take_away`](Self::take_away).
    ///
    /// # Errors
    /// The database can't be reached.
    pub async fn give_back(&mut self) -> Result<()> {
        let Some(grip) = self.grip.take() else { return Ok(()) };
        match self.kind {
            Kind::Sqlite => grip.execute_unprepared("ROLLBACK").await?,
            Kind::Postgres => {
                let name = self.name();
                grip.execute_unprepared(&format!("ALTER DATABASE \"{name}\" WITH ALLOW_CONNECTIONS true")).await?
            }
        };
        Ok(())
    }

    fn name(&self) -> String {
        self.url.rsplit('/').next().unwrap_or_default().to_owned()
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        if self.kind == Kind::Sqlite {
            return;
        }
        let name = self.name();
        // A thread of its own, because a drop can't wait on the runtime that it happens in. A database that can't be
        // dropped goes with the cluster.
        let dropped = std::thread::spawn(move || -> Result<()> {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let admin = connect(&admin_url()?).await?;
                admin.execute_unprepared(&format!("DROP DATABASE IF EXISTS \"{name}\" WITH (FORCE)")).await?;
                Ok(())
            })
        });
        drop(dropped.join());
    }
}

/// Copies a database that has been migrated once: migrating each anew would take most of the tests' time.
async fn create_postgres() -> Result<String> {
    static TEMPLATE: OnceCell<String> = OnceCell::const_new();
    let template = TEMPLATE.get_or_try_init(migrated_template).await?;
    let name = format!("flightdeck_{}", Uuid::new_v4().simple());
    let admin = connect(&admin_url()?).await?;
    admin.execute_unprepared(&format!("CREATE DATABASE \"{name}\" TEMPLATE \"{template}\"")).await?;
    database_url(&name)
}

async fn migrated_template() -> Result<String> {
    let name = format!("flightdeck_template_{}", Uuid::new_v4().simple());
    let admin = connect(&admin_url()?).await?;
    admin.execute_unprepared(&format!("CREATE DATABASE \"{name}\"")).await?;
    let folder = tempfile::tempdir()?;
    crate::server::migrate(&database_url(&name)?, folder.path()).await.context("migrating the template database")?;
    // A template may not be in use while it is copied, and a connection of the server's pool may outlive it for a
    // moment.
    admin
        .execute_unprepared(&format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"))
        .await?;
    admin.execute_unprepared(&format!("ALTER DATABASE \"{name}\" WITH ALLOW_CONNECTIONS false")).await?;
    Ok(name)
}

async fn connect(url: &str) -> Result<DatabaseConnection> {
    let mut options = ConnectOptions::new(url);
    options.max_connections(1).sqlx_logging(false);
    Database::connect(options).await.context("connecting to the test's database")
}

fn statement(connection: &DatabaseConnection, sql: String) -> Statement {
    let backend: DbBackend = connection.get_database_backend();
    Statement::from_string(backend, sql)
}

fn admin_url() -> Result<String> {
    std::env::var(POSTGRES).with_context(|| {
        format!(
            "{POSTGRES} is not set, so this test can't run against PostgreSQL; start it by `tests/run`, which sets up \
             a PostgreSQL, or set {POSTGRES}"
        )
    })
}

fn database_url(name: &str) -> Result<String> {
    let mut url = Url::parse(&admin_url()?).with_context(|| format!("{POSTGRES} is not a URL"))?;
    url.set_path(name);
    Ok(url.into())
}

fn sqlite_url(path: &Path) -> String {
    format!("sqlite://{}?mode=rwc", path.display())
}
