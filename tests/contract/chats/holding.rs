//! Which chats a server has, and for how long.

use anyhow::ensure;
use flightdeck_tests::{TestServer, for_each_database};
use sea_orm::ConnectionTrait;

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
        let gone = async {
            while server.count("chats").await? > 1 {
                tokio::task::yield_now().await;
            }
            anyhow::Ok(())
        };
        tokio::time::timeout(std::time::Duration::from_secs(20), server.hurry(gone)).await??;
        ensure!(workspace.device.chats().get_chat(&worked_on).await?.status.as_str() == "running", "it lost the other");
    }
}
