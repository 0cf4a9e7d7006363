//! Sessions on repositories, and the tasks of agents in them. What happens is in the log; here is where things stand.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, big_integer_null, boolean, text, text_null, uuid, uuid_null};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[expect(elided_lifetimes_in_paths, reason = "async_trait compares the signature with the trait's, which elides them")]
#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // The only server that can run a chat's agent, because the agent's folder is on its machine.
        if !manager.has_column("chats", "home").await? {
            manager.alter_table(Table::alter().table("chats").add_column(uuid_null("home")).take()).await?;
        }
        for mut table in tables() {
            manager.create_table(table.if_not_exists().take()).await?;
        }
        for index in indexes() {
            manager.create_index(index).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in ["task_patches", "tasks", "sessions"] {
            manager.drop_table(Table::drop().table(table).if_exists().take()).await?;
        }
        manager.alter_table(Table::alter().table("chats").drop_column("home").take()).await?;
        Ok(())
    }
}

fn tables() -> Vec<TableCreateStatement> {
    vec![
        Table::create()
            .table("sessions")
            .col(uuid("id").primary_key())
            .col(text("repo"))
            .col(text_null("label"))
            .col(text("via").check(Expr::cust("via IN ('direct', 'mobile', 'relay')")))
            // The workspace that its chats and approvals belong to.
            .col(uuid("workspace_id"))
            // The device that opened it; null for a person at the server.
            .col(uuid_null("device_id"))
            .col(big_integer("created_at"))
            .col(big_integer("expires_at"))
            .col(big_integer("last_used_at"))
            .col(big_integer_null("ended_at"))
            .foreign_key(ForeignKey::create().from("sessions", "workspace_id").to("workspaces", "id"))
            .take(),
        Table::create()
            .table("tasks")
            .col(uuid("id").primary_key())
            .col(uuid("session_id"))
            .col(uuid("chat_id"))
            .col(text("instruction"))
            // The branch that the work is for.
            .col(text_null("branch"))
            .col(text("agent"))
            .col(text("status").check(Expr::cust(
                "status IN ('planning', 'running', 'awaiting_approval', 'ready', 'applied', 'failed', 'cancelled')",
            )))
            .col(text_null("error"))
            // The server that has its worktree.
            .col(uuid("home"))
            // Whether the worktree is there, or should be.
            .col(boolean("has_worktree").default(true))
            .col(big_integer("created_at"))
            .col(big_integer("updated_at"))
            .col(big_integer_null("ended_at"))
            .col(big_integer_null("patch_count"))
            // What is about to be applied, the receipt of what was, and of what took it back; JSON.
            .col(text_null("intended"))
            .col(text_null("applied"))
            .col(text_null("reverted"))
            .foreign_key(ForeignKey::create().from("tasks", "session_id").to("sessions", "id"))
            .take(),
        Table::create()
            .table("task_patches")
            .col(uuid("task_id").primary_key())
            // JSON.
            .col(text("patches"))
            .foreign_key(ForeignKey::create().from("task_patches", "task_id").to("tasks", "id"))
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
        index("sessions", "sessions_by_end", &["ended_at", "expires_at"]),
        index("tasks", "tasks_by_session", &["session_id", "created_at"]),
        index("tasks", "tasks_by_chat", &["chat_id"]),
        index("tasks", "tasks_by_worktree", &["home", "has_worktree"]),
        index("tasks", "tasks_by_status", &["home", "status"]),
    ]
}
