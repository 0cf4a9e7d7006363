//! Who is connected to the hub, so that it is known when a server that ends at once takes its agents along.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, text, text_null, uuid};
use sea_orm_migration::sea_orm::DbBackend;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[expect(elided_lifetimes_in_paths, reason = "async_trait compares the signature with the trait's, which elides them")]
#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut table = Table::create()
            .table("hub_connections")
            .if_not_exists()
            .col(text("client_id"))
            .col(text("agent_id"))
            .col(text_null("session_id"))
            // The process that holds it.
            .col(uuid("server_id"))
            // By that process; of all its connections the latest counts.
            .col(big_integer("seen_at"))
            .primary_key(Index::create().col("client_id").col("agent_id"))
            .take();
        if manager.get_database_backend() == DbBackend::Sqlite {
            table.extra("WITHOUT ROWID");
        }
        manager.create_table(table).await?;
        manager
            .create_index(
                Index::create()
                    .table("hub_connections")
                    .name("hub_connections_by_server")
                    .if_not_exists()
                    .col("server_id")
                    .take(),
            )
            .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("hub_connections").if_exists().take()).await
    }
}
