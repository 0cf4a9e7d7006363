//! Chats and their turns. What is said is in the log; here is what a turn is about, and where it stands.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, big_integer_null, text, text_null, uuid, uuid_null};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[expect(elided_lifetimes_in_paths, reason = "async_trait compares the signature with the trait's, which elides them")]
#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for mut table in tables() {
            manager.create_table(table.if_not_exists().take()).await?;
        }
        for index in indexes() {
            manager.create_index(index).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in ["turns", "chats"] {
            manager.drop_table(Table::drop().table(table).if_exists().take()).await?;
        }
        Ok(())
    }
}

fn tables() -> Vec<TableCreateStatement> {
    vec![
        Table::create()
            .table("chats")
            .col(uuid("id").primary_key())
            .col(uuid("workspace_id"))
            // Null until the first message gives one.
            .col(text_null("title"))
            .col(text("agent"))
            // The agent's own name for its session.
            .col(text_null("agent_session"))
            // Where the agent works; null for the chat's own folder.
            .col(text_null("cwd"))
            .col(big_integer("created_at"))
            .col(big_integer("updated_at"))
            // Once set, the chat is gone for everybody, and what it consists of is removed bit by bit.
            .col(big_integer_null("deleted_at"))
            // The server that runs its agent, and until when nobody else may.
            .col(uuid_null("held_by"))
            .col(big_integer("held_until").default(0))
            .foreign_key(ForeignKey::create().from("chats", "workspace_id").to("workspaces", "id"))
            .take(),
        Table::create()
            .table("turns")
            .col(uuid("id").primary_key())
            .col(uuid("chat_id"))
            // The place of its message among the chat's events, which is its place among the turns.
            .col(big_integer("seq"))
            .col(text("kind").check(Expr::cust("kind IN ('chat', 'research')")))
            .col(text("content"))
            .col(text_null("repo_name"))
            .col(
                text("status").check(Expr::cust(
                    "status IN ('queued', 'running', 'finished', 'failed', 'cancelled', 'interrupted')",
                )),
            )
            .col(text_null("error"))
            .col(big_integer("created_at"))
            .col(big_integer_null("started_at"))
            .col(big_integer_null("ended_at"))
            // Of one that runs.
            .col(big_integer_null("cancel_requested_at"))
            .foreign_key(ForeignKey::create().from("turns", "chat_id").to("chats", "id"))
            .take(),
    ]
}

fn indexes() -> Vec<IndexCreateStatement> {
    let index = |table: &'static str, name: &str, columns: &[&'static str]| {
        let mut index = Index::create();
        index.table(table).name(name).if_not_exists();
        for column in columns {
            index.col(*column);
        }
        index.take()
    };
    vec![
        index("chats", "chats_by_workspace", &["workspace_id", "created_at"]),
        index("chats", "chats_by_holder", &["held_by"]),
        index("turns", "turns_by_chat", &["chat_id", "seq"]),
        index("turns", "turns_by_status", &["status"]),
    ]
}
