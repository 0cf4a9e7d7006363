//! Flightdeck's database schema, as migrations that run on SQLite and PostgreSQL alike.
//!
//! README.md says how a migration is written and checked.

pub use sea_orm_migration::prelude::MigratorTrait;

use sea_orm_migration::prelude::{MigrationTrait, async_trait};

mod m20261120_000001_ledger;
mod m20261120_000002_realtime;
mod m20261129_000003_hub_connections;
mod m20261129_000004_chats;
mod m20261130_000005_cockpit;

/// Every migration, oldest first.
#[derive(Debug)]
pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m20261120_000001_ledger::Migration),
            Box::new(m20261120_000002_realtime::Migration),
            Box::new(m20261129_000003_hub_connections::Migration),
            Box::new(m20261129_000004_chats::Migration),
            Box::new(m20261130_000005_cockpit::Migration),
        ]
    }
}
