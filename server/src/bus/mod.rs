//! What servers on one database tell each other: which events were committed. The log is the truth; a word that is lost
//! costs time, never an event.

mod notice;
mod postgres;

use tokio_util::sync::CancellationToken;

use crate::store::events::Committed;
use crate::store::{DatabaseKind, Store, StoreError, Tx, notifications};
use notice::Origin;

pub use notice::Proof;

/// The channel on which servers talk.
const CHANNEL: &str = "flightdeck_log";

/// What the bus brings.
#[derive(Debug)]
pub enum Word {
    /// Another server committed these.
    Committed(Vec<Committed>),
    /// Another server committed up to this place; the events were too large to come along.
    Grown { stream: String, seq: i64 },
    /// Words may have been lost: look into the database.
    Interrupted,
}

/// Where words come to. Told in the order in which they were committed.
pub trait Hearer: Send + Sync {
    fn hear(&self, word: Word);
}

/// The bus of this server. Cheap to clone.
#[derive(Debug, Clone)]
pub enum Bus {
    /// There is no other server.
    Alone,
    /// Other servers may be on the same PostgreSQL.
    Postgres(Origin, Proof),
}

impl Bus {
    /// The bus that fits the database.
    #[must_use]
    pub fn of(store: &Store, proof: Proof) -> Self {
        match store.kind() {
            DatabaseKind::Sqlite => Self::Alone,
            DatabaseKind::Postgres => Self::Postgres(Origin::random(), proof),
        }
    }

    /// Tells the others, if and when `tx` is committed.
    ///
    /// # Errors
    /// If the database can't be reached.
    pub async fn announce(&self, tx: &Tx, committed: &[Committed]) -> Result<(), StoreError> {
        match self {
            Self::Postgres(origin, proof) if !committed.is_empty() => {
                notifications::notify(tx.connection(), CHANNEL, notice::write(*origin, proof, committed)).await
            }
            Self::Alone | Self::Postgres(..) => Ok(()),
        }
    }

    /// Passes on what others say until `shutdown`.
    pub async fn listen(self, store: Store, hearer: impl Hearer, shutdown: CancellationToken) {
        match self {
            Self::Alone => {}
            Self::Postgres(origin, proof) => {
                shutdown.run_until_cancelled(postgres::listen(origin, proof, store, hearer)).await;
            }
        }
    }
}
