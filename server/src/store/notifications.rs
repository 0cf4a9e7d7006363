//! PostgreSQL's notifications: what one server tells the others, and what foreign programs tell it.

use std::time::{Duration, Instant};

use sea_orm::sea_query::Value;
use sea_orm::sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use sea_orm::sqlx::{Executor, Row};
use sea_orm::{ConnectionTrait, DbBackend, Statement};

use super::{Store, StoreError};

/// The most that one notification carries, in bytes; PostgreSQL refuses 8000.
pub const MOST_BYTES: usize = 7_900;

/// How long a listening connection may be silent before it is asked whether it still lives.
const SILENCE: Duration = Duration::from_secs(10);

/// How long it may take to answer.
const PATIENCE: Duration = Duration::from_secs(4);

/// Between attempts to get a lock that another server holds.
const RETRY: Duration = Duration::from_secs(1);

/// Between attempts to connect.
const PAUSE: Duration = Duration::from_millis(250);

/// Sends notifications; they go out if and when the transaction is committed.
///
/// # Errors
/// If the database can't be reached.
pub async fn notify<C: ConnectionTrait>(
    connection: &C,
    channel: &str,
    payloads: Vec<String>,
) -> Result<(), StoreError> {
    // One statement for a hundred of them: each is a parameter.
    for payloads in payloads.chunks(100) {
        let calls: Vec<String> = (2..payloads.len() + 2).map(|number| format!("pg_notify($1, ${number})")).collect();
        let values = std::iter::once(channel).chain(payloads.iter().map(String::as_str)).map(Value::from);
        let sql = format!("SELECT {}", calls.join(", "));
        connection.query_one_raw(Statement::from_sql_and_values(DbBackend::Postgres, sql, values)).await?;
    }
    Ok(())
}

/// How the database finds out that a listener's machine is gone: within half a minute.
const KEEPALIVE: [(&str, &str); 3] =
    [("tcp_keepalives_idle", "10"), ("tcp_keepalives_interval", "5"), ("tcp_keepalives_count", "4")];

/// What a listener hears.
#[derive(Debug)]
pub enum Heard {
    Notification {
        channel: String,
        payload: String,
    },
    /// There is a connection, or another one after the last was lost. What was sent before was not heard.
    Interrupted,
    /// The lock was asked for. From now on this listener leads, or it does not; nothing that it heard before was said by
    /// one that does.
    Asked,
}

/// A connection that listens. It comes back by itself.
pub struct Listener {
    url: String,
    channels: &'static [&'static str],
    /// Only one server holds this lock at a time.
    lock: Option<i64>,
    connection: Option<PgListener>,
    leads: bool,
    asked_at: Instant,
}

impl Listener {
    pub(super) fn new(url: String, channels: &'static [&'static str], lock: Option<i64>) -> Self {
        Self { url, channels, lock, connection: None, leads: false, asked_at: Instant::now() }
    }

    /// Waits for the next notification, for as long as it takes.
    pub async fn hear(&mut self) -> Heard {
        loop {
            let Some(connection) = &mut self.connection else {
                match self.connect().await {
                    // Also the first time: something may have been said before.
                    Ok(()) => return Heard::Interrupted,
                    Err(error) => {
                        // The driver's error may hold the URL, and the URL a password.
                        let error = error.to_string().replace(&self.url, "(the URL)");
                        tracing::warn!(error, "can't listen to the database; will try again");
                        tokio::time::sleep(PAUSE).await;
                    }
                }
                continue;
            };
            let stands_by = self.lock.is_some() && !self.leads;
            let asked = self.asked_at.elapsed();
            if stands_by && asked >= RETRY {
                self.ask_or_give_up().await;
                return Heard::Asked;
            }
            let patience = if stands_by { RETRY - asked } else { SILENCE };
            match tokio::time::timeout(patience, connection.try_recv()).await {
                Ok(Ok(Some(notification))) => {
                    return Heard::Notification {
                        channel: notification.channel().to_owned(),
                        payload: notification.payload().to_owned(),
                    };
                }
                Ok(Ok(None) | Err(_)) => self.connection = None,
                // It is time to ask.
                Err(_) if stands_by => {}
                // Nothing to hear, or nobody there?
                Err(_) => self.ask_or_give_up().await,
            }
        }
    }

    async fn ask_or_give_up(&mut self) {
        if !matches!(tokio::time::timeout(PATIENCE, self.ask()).await, Ok(Ok(()))) {
            self.connection = None;
        }
    }

    /// Whether this connection holds the lock.
    #[must_use]
    pub const fn leads(&self) -> bool {
        self.leads
    }

    /// Gives up the lock, so that another one leads at once.
    pub async fn leave(mut self) {
        if let Some(connection) = self.connection.as_mut().filter(|_| self.leads) {
            let _ = tokio::time::timeout(PATIENCE, connection.execute("SELECT pg_advisory_unlock_all()")).await;
        }
    }

    async fn connect(&mut self) -> Result<(), sea_orm::SqlxError> {
        self.leads = false;
        let connecting = async {
            // Named, so that an operator who looks at the database's connections knows what it is for.
            let options: PgConnectOptions = self.url.parse()?;
            let pool = PgPoolOptions::new().max_connections(1).max_lifetime(None).idle_timeout(None);
            // A server that loses power must not keep its lock until the database finds out in two hours.
            let options = options.application_name("flightdeck listener").options(KEEPALIVE);
            let pool = pool.connect_with(options).await?;
            let mut connection = PgListener::connect_with(&pool).await?;
            // It would come back by itself, and not say that it was away.
            connection.eager_reconnect(false);
            connection.listen_all(self.channels.iter().copied()).await?;
            Ok::<_, sea_orm::SqlxError>(connection)
        };
        let late = |_| sea_orm::SqlxError::PoolTimedOut;
        self.connection = Some(tokio::time::timeout(PATIENCE, connecting).await.map_err(late)??);
        let asked = tokio::time::timeout(PATIENCE, self.ask()).await.map_err(late).flatten();
        if asked.is_err() {
            self.connection = None;
        }
        asked
    }

    async fn ask(&mut self) -> Result<(), sea_orm::SqlxError> {
        self.asked_at = Instant::now();
        let Some(connection) = &mut self.connection else { return Ok(()) };
        let Some(lock) = self.lock.filter(|_| !self.leads) else {
            connection.execute("SELECT 1").await?;
            return Ok(());
        };
        let question = sea_orm::sqlx::query("SELECT pg_try_advisory_lock($1)").bind(lock);
        self.leads = connection.fetch_one(question).await?.try_get(0)?;
        Ok(())
    }
}

impl Store {
    /// A listener on these channels. With `lock`, it tries to be the only one of its kind; see [`Listener::leads`].
    #[must_use]
    pub fn listen(&self, channels: &'static [&'static str], lock: Option<i64>) -> Listener {
        Listener::new(self.url().to_owned(), channels, lock)
    }
}
