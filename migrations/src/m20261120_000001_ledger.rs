//! The first schema: who is paired, what happened (the log), what was asked and answered (the ledger), and what
//! must be remembered so that nothing happens twice.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{
    big_integer, big_integer_null, binary, binary_null, boolean, text, text_null, uuid, uuid_null,
};
use sea_orm_migration::sea_orm::DbBackend;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[expect(elided_lifetimes_in_paths, reason = "async_trait compares the signature with the trait's, which elides them")]
#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for mut table in tables() {
            manager.create_table(table.if_not_exists().take()).await?;
        }
        let sqlite = manager.get_database_backend() == DbBackend::Sqlite;
        for mut table in keyed_tables() {
            // Small rows that are found by their key only: on SQLite the key's tree is the table then, and a row is
            // written once instead of twice.
            if sqlite {
                table.extra("WITHOUT ROWID");
            }
            manager.create_table(table.if_not_exists().take()).await?;
        }
        for index in indexes() {
            manager.create_index(index).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in [
            "idempotency_keys",
            "nonces",
            "approvals",
            "events",
            "streams",
            "runs",
            "pairings",
            "bridge_keys",
            "workspace_devices",
            "workspaces",
            "devices",
        ] {
            manager.drop_table(Table::drop().table(table).if_exists().take()).await?;
        }
        Ok(())
    }
}

/// Times are Unix milliseconds in `…_at` columns: the same on both databases, and cheap to compare.
fn tables() -> Vec<TableCreateStatement> {
    vec![
        Table::create()
            .table("devices")
            .col(uuid("id").primary_key())
            .col(uuid_null("user_id"))
            .col(text("platform").check(Expr::cust("platform IN ('ios', 'android', 'web', 'desktop', 'cli')")))
            .col(text_null("name"))
            .col(text_null("push_token"))
            .col(binary("token_hash").unique_key())
            .col(big_integer("created_at"))
            .col(big_integer("updated_at"))
            .col(big_integer_null("last_seen_at"))
            .col(big_integer_null("revoked_at"))
            .take(),
        Table::create()
            .table("workspaces")
            .col(uuid("id").primary_key())
            .col(uuid_null("device_id"))
            .col(text("machine_id"))
            .col(text("display_name"))
            .col(text("project_fingerprint"))
            .col(big_integer("created_at"))
            .col(big_integer("updated_at"))
            .foreign_key(ForeignKey::create().from("workspaces", "device_id").to("devices", "id"))
            .take(),
        Table::create()
            .table("workspace_devices")
            .col(uuid("workspace_id"))
            .col(uuid("device_id"))
            .col(big_integer("created_at"))
            .primary_key(Index::create().col("workspace_id").col("device_id"))
            .foreign_key(ForeignKey::create().from("workspace_devices", "workspace_id").to("workspaces", "id"))
            .foreign_key(ForeignKey::create().from("workspace_devices", "device_id").to("devices", "id"))
            .take(),
        // One key per holder: the machine's has no device. Revoking a device ends its key and no other.
        Table::create()
            .table("bridge_keys")
            .col(uuid("id").primary_key())
            .col(uuid("workspace_id"))
            .col(uuid_null("device_id"))
            .col(binary("sealed_secret"))
            .col(big_integer("created_at"))
            .col(big_integer_null("revoked_at"))
            .foreign_key(ForeignKey::create().from("bridge_keys", "workspace_id").to("workspaces", "id"))
            .foreign_key(ForeignKey::create().from("bridge_keys", "device_id").to("devices", "id"))
            .take(),
        Table::create()
            .table("pairings")
            .col(uuid("id").primary_key())
            .col(binary("token_hash").unique_key())
            .col(binary("poll_hash").unique_key())
            .col(text("match_code"))
            .col(text("machine_id"))
            .col(text("workspace_fingerprint"))
            .col(text("display_name"))
            .col(boolean("adds_device"))
            .col(uuid_null("workspace_id"))
            .col(uuid_null("device_id"))
            .col(big_integer("created_at"))
            .col(big_integer("expires_at"))
            .col(big_integer_null("completed_at"))
            .take(),
        Table::create()
            .table("runs")
            .col(uuid("id").primary_key())
            .col(text("provider"))
            .col(text_null("provider_run_id"))
            .col(uuid("workspace_id"))
            .col(text("status").check(Expr::cust("status IN ('RUNNING', 'FINISHED', 'FAILED', 'STOPPED', 'UNKNOWN')")))
            .col(big_integer("started_at"))
            .col(big_integer_null("ended_at"))
            .col(big_integer("last_event_at"))
            .col(text_null("last_message"))
            .col(text_null("meta"))
            .foreign_key(ForeignKey::create().from("runs", "workspace_id").to("workspaces", "id"))
            .take(),
        Table::create()
            .table("streams")
            .col(big_integer("id").primary_key().auto_increment())
            .col(text("name").unique_key())
            .col(big_integer("last_seq"))
            .take(),
        Table::create()
            .table("events")
            .col(big_integer("stream_id"))
            .col(big_integer("seq"))
            .col(uuid("id"))
            .col(text("type"))
            .col(big_integer("created_at"))
            // By the reporter's clock; null for the server's own events.
            .col(big_integer_null("happened_at"))
            .col(text("payload"))
            .primary_key(Index::create().col("stream_id").col("seq"))
            .take(),
        Table::create()
            .table("approvals")
            .col(uuid("id").primary_key())
            .col(uuid("run_id"))
            .col(uuid("workspace_id"))
            .col(text("status").check(Expr::cust("status IN ('PENDING', 'APPROVED', 'DENIED', 'EXPIRED')")))
            .col(text("kind"))
            .col(text("command"))
            .col(text("cwd_hash"))
            .col(text("context"))
            .col(text_null("session_id"))
            .col(text_null("tool_name"))
            .col(text_null("tool_use_id"))
            // Workspace, session, tool use and input in one digest; null where the request can't be repeated.
            .col(binary_null("request_key").unique_key())
            .col(text_null("note"))
            .col(big_integer("requested_at"))
            .col(big_integer("expires_at"))
            .col(big_integer_null("decided_at"))
            .col(uuid_null("decided_by_device_id"))
            .col(text_null("expiry_reason"))
            .col(big_integer_null("delivered_at"))
            .col(big_integer_null("consumed_at"))
            .col(big_integer_null("orphaned_at"))
            .foreign_key(ForeignKey::create().from("approvals", "run_id").to("runs", "id"))
            .foreign_key(ForeignKey::create().from("approvals", "decided_by_device_id").to("devices", "id"))
            .take(),
    ]
}

fn keyed_tables() -> Vec<TableCreateStatement> {
    vec![
        // The time comes first so that new rows land side by side in the index, however random the nonces are.
        Table::create()
            .table("nonces")
            .col(big_integer("signed_at"))
            .col(binary("digest"))
            .primary_key(Index::create().col("signed_at").col("digest"))
            .take(),
        Table::create()
            .table("idempotency_keys")
            .col(text("scope"))
            .col(text("key"))
            .col(binary("request_digest"))
            .col(binary("answer"))
            .col(big_integer("created_at"))
            .primary_key(Index::create().col("scope").col("key"))
            .take(),
    ]
}

fn indexes() -> Vec<IndexCreateStatement> {
    let index = |table: &'static str, name: &'static str, columns: &[&'static str]| {
        let mut statement = Index::create().table(table).name(name).if_not_exists().take();
        for column in columns {
            statement.col(*column);
        }
        statement
    };
    vec![
        index("workspace_devices", "workspace_devices_by_device", &["device_id"]),
        index("bridge_keys", "bridge_keys_by_workspace", &["workspace_id"]),
        index("pairings", "pairings_by_expiry", &["expires_at"]),
        index("runs", "runs_by_workspace", &["workspace_id", "started_at", "id"]),
        index("approvals", "approvals_by_workspace", &["workspace_id", "requested_at", "id"]),
        index("approvals", "approvals_by_deadline", &["status", "expires_at"]),
        index("approvals", "approvals_by_end", &["decided_at"]),
        index("approvals", "approvals_by_run", &["run_id", "status"]),
        index("idempotency_keys", "idempotency_keys_by_time", &["created_at"]),
    ]
}
