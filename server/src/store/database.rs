//! Opening the database, its two pools, and transactions.

use std::time::Duration;

use flightdeck_migrations::{Migrator, MigratorTrait};
use sea_orm::sqlx::{Connection, PgConnection};
use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, RuntimeErr,
    SqlErr, SqlxError, TransactionTrait,
};

use super::reader::Reader;
use crate::secret::Secret;

/// How long a connection that is given back may take to say that it lives.
const SIGN_OF_LIFE: Duration = Duration::from_secs(4);

/// The kind of database behind a [`Store`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DatabaseKind {
    Sqlite,
    Postgres,
}

/// When SQLite forces a commit to the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SqliteSync {
    /// At every commit: an acknowledged write survives a power cut.
    #[default]
    Full,
    /// At checkpoints: an acknowledged write survives a crash of the server, but perhaps not a power cut.
    Normal,
}

/// How to open a [`Store`].
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// `sqlite://…` or `postgres://…`.
    pub url: String,
    pub sqlite_sync: SqliteSync,
    /// Reading connections. Writes have one of their own.
    pub readers: u32,
}

/// Why a query failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database can't be reached, or can't take the write: trying again later may work.
    #[error("the database can't be reached or is full")]
    Unavailable(#[source] DbErr),
    /// Another transaction was in the way: trying again may work at once.
    #[error("another transaction was in the way")]
    Conflict(#[source] DbErr),
    /// The database refused the statement: a fault of ours.
    #[error("the database refused a statement")]
    Refused(#[source] DbErr),
}

impl StoreError {
    /// Whether trying again later may work.
    #[must_use]
    pub const fn is_unavailable(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }
}

impl From<DbErr> for StoreError {
    fn from(error: DbErr) -> Self {
        if matches!(error.sql_err(), Some(SqlErr::UniqueConstraintViolation(_))) || is_contention(&error) {
            return Self::Conflict(error);
        }
        match &error {
            DbErr::ConnectionAcquire(_) | DbErr::Conn(_) => Self::Unavailable(error),
            DbErr::Exec(RuntimeErr::SqlxError(cause)) | DbErr::Query(RuntimeErr::SqlxError(cause))
                if is_transient(cause) =>
            {
                Self::Unavailable(error)
            }
            _ => Self::Refused(error),
        }
    }
}

/// Whether PostgreSQL gave way to another transaction: a serialization failure, a deadlock, or a lock not to be had.
fn is_contention(error: &DbErr) -> bool {
    let (DbErr::Exec(RuntimeErr::SqlxError(cause)) | DbErr::Query(RuntimeErr::SqlxError(cause))) = error else {
        return false;
    };
    let Some(database) = cause.as_database_error() else { return false };
    database.code().is_some_and(|code| matches!(code.as_ref(), "40001" | "40P01" | "55P03"))
}

/// Whether the same statement may succeed later: lost connections, locks, and a full disk.
fn is_transient(error: &SqlxError) -> bool {
    match error {
        SqlxError::Io(_) | SqlxError::PoolTimedOut | SqlxError::PoolClosed | SqlxError::WorkerCrashed => true,
        SqlxError::Database(database) => database.code().is_some_and(|code| {
            let code = code.as_ref();
            if code.len() == 5 {
                // PostgreSQL: connection, resources, intervention.
                ["08", "53", "57P"].iter().any(|class| code.starts_with(class))
            } else {
                // SQLite, extended codes included: busy, locked, I/O error, full.
                code.parse::<i32>().is_ok_and(|code| matches!(code & 0xff, 5 | 6 | 10 | 13))
            }
        }),
        _ => false,
    }
}

/// The database, opened and migrated.
#[derive(Debug, Clone)]
pub struct Store {
    reader: Reader,
    writer: DatabaseConnection,
    kind: DatabaseKind,
    url: Secret,
}

impl Store {
    /// Opens the database, creating an SQLite file that does not exist, and applies the migrations.
    ///
    /// # Errors
    /// If it can't be opened, or a migration fails.
    pub async fn open(options: &StoreOptions) -> Result<Self, StoreError> {
        let kind = if options.url.starts_with("sqlite:") { DatabaseKind::Sqlite } else { DatabaseKind::Postgres };
        let writer = connect(options, 1).await?;
        migrate(&writer).await?;
        // A database in memory belongs to its connection, so there reader and writer share one.
        let reader =
            if options.url.contains(":memory:") { writer.clone() } else { connect(options, options.readers).await? };
        Ok(Self { reader: Reader::new(reader), writer, kind, url: Secret::new(options.url.clone()) })
    }

    #[must_use]
    pub const fn kind(&self) -> DatabaseKind {
        self.kind
    }

    /// For connections of other kinds.
    pub(super) fn url(&self) -> &str {
        self.url.expose()
    }

    /// The connection for queries that change nothing.
    #[must_use]
    pub const fn reader(&self) -> &Reader {
        &self.reader
    }

    /// Begins the writer's next transaction.
    ///
    /// # Errors
    /// If the database can't be reached.
    pub async fn begin(&self) -> Result<Tx, StoreError> {
        Ok(Tx(self.writer.begin().await?))
    }

    /// Asks the database for a sign of life.
    ///
    /// # Errors
    /// If it gives none.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.reader.execute_unprepared("SELECT 1").await?;
        Ok(())
    }

    /// Closes every connection; SQLite folds its write-ahead log into the file.
    pub async fn close(self) {
        let _ = self.reader.close().await;
        let _ = self.writer.close().await;
    }
}

/// A transaction of the log's writer.
#[derive(Debug)]
pub struct Tx(pub(super) DatabaseTransaction);

impl Tx {
    /// Makes everything durable.
    ///
    /// # Errors
    /// If the database can't; nothing has happened then.
    pub async fn commit(self) -> Result<(), StoreError> {
        Ok(self.0.commit().await?)
    }

    /// A point to which a failed part of the work can be taken back.
    ///
    /// # Errors
    /// If the database can't be reached.
    pub async fn savepoint(&self) -> Result<Self, StoreError> {
        Ok(Self(self.0.begin().await?))
    }

    /// Takes everything back.
    ///
    /// # Errors
    /// If the database can't be reached; it then takes everything back by itself.
    pub async fn rollback(self) -> Result<(), StoreError> {
        Ok(self.0.rollback().await?)
    }

    /// What queries run on inside the transaction.
    #[must_use]
    pub fn connection(&self) -> &(impl ConnectionTrait + use<>) {
        &self.0
    }
}

/// The URL may hold a password, and errors of the driver may hold the URL.
async fn connect(options: &StoreOptions, connections: u32) -> Result<DatabaseConnection, StoreError> {
    Database::connect(connect_options(options, connections)).await.map_err(|error| {
        let text = error.to_string().replace(&options.url, "(the URL)");
        StoreError::Unavailable(DbErr::Conn(RuntimeErr::Internal(text)))
    })
}

fn connect_options(options: &StoreOptions, connections: u32) -> ConnectOptions {
    let mut connect = ConnectOptions::new(options.url.clone());
    connect
        .max_connections(connections)
        .min_connections(1)
        .acquire_timeout(Duration::from_secs(4))
        .connect_timeout(Duration::from_secs(4))
        .sqlx_logging(false);
    connect.map_sqlx_postgres_pool_opts(|pool| pool.after_release(|connection, _| Box::pin(still_lives(connection))));
    let sync = options.sqlite_sync;
    connect.map_sqlx_sqlite_opts(move |sqlite| {
        sqlite
            .create_if_missing(true)
            .foreign_keys(true)
            .busy_timeout(Duration::from_secs(4))
            .pragma("journal_mode", "WAL")
            .pragma(
                "synchronous",
                match sync {
                    SqliteSync::Full => "FULL",
                    SqliteSync::Normal => "NORMAL",
                },
            )
            // 16 MiB of pages; the default of 2 MiB makes a store of a million events read its index from disk.
            .pragma("cache_size", "-16384")
            // 32 MiB: a page that every commit touches is copied back into the file once for many commits, not each.
            .pragma("wal_autocheckpoint", "8192")
            .pragma("temp_store", "MEMORY")
    });
    connect
}

/// The pool would wait for a sign of life for as long as it takes, and meanwhile keep the connection's place.
async fn still_lives(connection: &mut PgConnection) -> Result<bool, SqlxError> {
    let answer = tokio::time::timeout(SIGN_OF_LIFE, connection.ping()).await;
    answer.map_err(|_| SqlxError::PoolTimedOut).flatten().map(|()| true)
}

/// Two servers that start at once on one PostgreSQL take turns: the lock is held until the connection is done.
async fn migrate(connection: &DatabaseConnection) -> Result<(), StoreError> {
    const LOCK: &str = "SELECT pg_advisory_lock(7166100)";
    const UNLOCK: &str = "SELECT pg_advisory_unlock(7166100)";
    let postgres = connection.get_database_backend() == DbBackend::Postgres;
    if postgres {
        connection.execute_unprepared(LOCK).await?;
    }
    let outcome = Migrator::up(connection, None).await;
    if postgres {
        connection.execute_unprepared(UNLOCK).await?;
    }
    Ok(outcome?)
}
