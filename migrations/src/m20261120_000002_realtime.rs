//! What realtime needs: where a stream's history begins, agents of the companion, what agents follow on the hub, and keys
//! of requests that are remembered for different times.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, big_integer_null, text, text_null, uuid};
use sea_orm_migration::sea_orm::DbBackend;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[expect(elided_lifetimes_in_paths, reason = "async_trait compares the signature with the trait's, which elides them")]
#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        if !manager.has_column("streams", "first_seq").await? {
            let first_seq = big_integer("first_seq").default(1).take();
            manager.alter_table(Table::alter().table("streams").add_column(first_seq).take()).await?;
        }
        if !manager.has_column("idempotency_keys", "forget_at").await? {
            // From when an answer was given to when it is forgotten. If this breaks off in between, it is remembered longer.
            manager
                .get_connection()
                .execute_unprepared("UPDATE idempotency_keys SET created_at = created_at + 86400000")
                .await?;
            manager
                .alter_table(Table::alter().table("idempotency_keys").rename_column("created_at", "forget_at").take())
                .await?;
        }
        manager
            .create_table(
                Table::create()
                    .table("agents")
                    .if_not_exists()
                    .col(uuid("id").primary_key())
                    .col(text("name").unique_key())
                    .col(text_null("platform"))
                    // JSON text.
                    .col(text_null("meta"))
                    .col(text_null("user_id"))
                    .col(text_null("tenant_id"))
                    .col(text("status").check(Expr::cust("status IN ('online', 'offline')")))
                    .col(big_integer("created_at"))
                    .col(big_integer("updated_at"))
                    .col(big_integer_null("last_seen_at"))
                    .take(),
            )
            .await?;
        manager
            .create_index(
                Index::create()
                    .table("agents")
                    .name("agents_by_sign_of_life")
                    .if_not_exists()
                    .col("status")
                    .col("last_seen_at")
                    .take(),
            )
            .await?;
        manager
            .create_index(
                Index::create()
                    .table("runs")
                    .name("runs_by_status")
                    .if_not_exists()
                    .col("status")
                    .col("ended_at")
                    .take(),
            )
            .await?;
        let sqlite = manager.get_database_backend() == DbBackend::Sqlite;
        for mut table in keyed_tables() {
            if sqlite {
                table.extra("WITHOUT ROWID");
            }
            manager.create_table(table.if_not_exists().take()).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in ["facts", "hub_subscriptions", "agents"] {
            manager.drop_table(Table::drop().table(table).if_exists().take()).await?;
        }
        manager.drop_index(Index::drop().table("runs").name("runs_by_status").if_exists().to_owned()).await?;
        manager
            .alter_table(Table::alter().table("idempotency_keys").rename_column("forget_at", "created_at").take())
            .await?;
        manager.alter_table(Table::alter().table("streams").drop_column("first_seq").take()).await
    }
}

fn keyed_tables() -> Vec<TableCreateStatement> {
    vec![
        // Which channels an agent is on, and up to where it has acknowledged what is tracked.
        Table::create()
            .table("hub_subscriptions")
            .col(text("agent_id"))
            .col(text("channel"))
            .col(big_integer("acknowledged_seq"))
            // The places up to there that are not: `17,20`.
            .col(text_null("unacknowledged"))
            .col(big_integer("updated_at"))
            .primary_key(Index::create().col("agent_id").col("channel"))
            .take(),
        // What is true of the whole database, e.g. the log's epoch.
        Table::create()
            .table("facts")
            .col(text("name"))
            .col(text("value"))
            .primary_key(Index::create().col("name"))
            .take(),
    ]
}
