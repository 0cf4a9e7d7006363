//! The database: the only place that knows sea-orm.
//!
//! Each file holds the queries of one noun. Queries are generic over the connection, so that the same one serves a
//! reader and a transaction. No rule lives here: what may happen is decided in `service`, and what happened is
//! written through `log`.

pub mod agents;
pub mod approvals;
pub mod chats;
mod database;
pub mod devices;
pub mod entity;
pub mod events;
pub mod facts;
pub mod hub_connections;
pub mod hub_metrics;
pub mod hub_subscriptions;
pub mod idempotency;
pub mod nonces;
pub mod notifications;
pub mod pairings;
mod reader;
pub mod runs;
pub mod sessions;
pub mod streams;
pub mod tasks;
pub mod turns;
pub mod workspaces;

pub use database::{DatabaseKind, SqliteSync, Store, StoreError, StoreOptions, Tx};
pub use reader::Reader;

#[cfg(test)]
mod tests;
