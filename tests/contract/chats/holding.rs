//! Which chats a server has, and for how long.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use flightdeck_sdk::types::RunStatus;
use flightdeck_tests::{TestServer, for_each_database};
use sea_orm::{ConnectionTrait, DatabaseConnection, Statement};

use super::{chat, follow, say};

for_each_database! {
    /// Whatever else a server works on: a chat that nobody there works on any more is free when its time is up.
    async fn a_server_renews_only_what_it_works_on(database) {
        let mut server = TestServer::start(database).await?;
        let workspace = server.pair().await?;
        let (worked_on, left) = (chat(&workspace).await?, chat(&workspace).await?);
        let mut socket = follow(&server, &workspace, worked_on).await?;
        socket.send(&say(worked_on, "sleep")).await?;
        socket.until("assistant_message").await?;
        // As one leaves it that could not let go of it.
        let connection = server.database().connect().await?;
        let held = "(SELECT MAX(held_until) FROM chats)";
        let holder = "(SELECT held_by FROM chats WHERE held_by IS NOT NULL)";
        let statement = format!("UPDATE chats SET held_until = {held}, held_by = {holder} WHERE held_by IS NULL");
        ensure!(connection.execute_unprepared(&statement).await?.rows_affected() == 1, "the other one is not held");
        workspace.device.chats().delete_chat(&left).await?;
        // No faster than what is worked on is renewed.
        for _ in 0..40 {
            server.advance(Duration::from_secs(1));
            let held = format!("SELECT COUNT(*) AS chats FROM chats WHERE held_until > {}", server.now() + 5_000);
            while number(&connection, &held).await? == 0 {
                tokio::task::yield_now().await;
            }
            // Whoever removes what is deleted comes now and then.
            tokio::time::sleep(Duration::from_millis(5)).await;
            if server.count("chats").await? == 1 {
                break;
            }
        }
        ensure!(server.count("chats").await? == 1, "it is still held");
        ensure!(workspace.device.chats().get_chat(&worked_on).await?.status.as_str() == "running", "it lost the other");
    }
    /// Nobody takes up a deleted chat, so its turn ends when it is removed.
    async fn a_deleted_chat_of_a_dead_server_leaves_no_run_behind(database) {
        let mut server = TestServer::start(database).await?;
        let workspace = server.pair().await?;
        let id = chat(&workspace).await?;
        let mut socket = follow(&server, &workspace, id).await?;
        socket.send(&say(id, "plan")).await?;
        let turn = socket.until("result").await?["turnId"].as_str().context("it has a turn")?.parse()?;
        // As a server leaves it that was killed at work.
        let connection = server.database().connect().await?;
        // At once: the server, which lives, may take a turn for left behind that it has just ended.
        let work = "BEGIN; UPDATE turns SET status = 'running', ended_at = NULL; \
                    UPDATE runs SET status = 'RUNNING', ended_at = NULL; COMMIT";
        connection.execute_unprepared(work).await?;
        workspace.device.chats().delete_chat(&id).await?;
        server.hurry(until_chats(&server, 0)).await?;
        let run = workspace.device.runs().get_run(&turn).await?;
        ensure!(run.status == RunStatus::Failed, "{run:?}");
    }
}

async fn number(connection: &DatabaseConnection, query: &str) -> Result<i64> {
    let statement = Statement::from_string(connection.get_database_backend(), query.to_owned());
    let row = connection.query_one_raw(statement).await?.context("it counts")?;
    Ok(row.try_get("", "chats")?)
}

async fn until_chats(server: &TestServer, wanted: i64) -> Result<()> {
    let gone = async {
        while server.count("chats").await? > wanted {
            tokio::task::yield_now().await;
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(Duration::from_secs(20), gone).await.context("it is still there")?
}
