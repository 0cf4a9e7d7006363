//! Coming back to a chat: what was missed comes, and what is being said comes once.

use anyhow::{Context, ensure};
use flightdeck_tests::{TestOptions, TestServer, for_each_database};
use serde_json::json;

use super::{Script, chat, connect, follow, say, told};

for_each_database! {
    /// Whoever joins in the middle of a message gets what has been said, and then the rest of it.
    async fn who_joins_in_the_middle_gets_the_whole(database) {
        let script = Script::new(
            "turns = [{ steps = [{ stream = { text = 'ö', times = 50 } }, { run = { command = ['true'], ask = true } }, \
             { stream = { text = 'x', times = 50, pace = 2 } }] }]",
        )?;
        let server = TestServer::with(script.apply(TestOptions::new(database))).await?;
        let workspace = server.pair().await?;
        let id = chat(&workspace).await?;
        let mut first = follow(&server, &workspace, id).await?;
        first.send(&say(id, "go")).await?;
        let asked = first.until("approval_request").await?;
        let approval = asked["approvalId"].as_str().context("it has an id")?.parse()?;
        let approve = flightdeck_sdk::types::Decision::new(flightdeck_sdk::types::DecisionVerb::Approve);
        workspace.device.approvals().decide_approval(&approval, &approve).await?;
        first.until("assistant_message").await?;
        // One comes without a place, another from the beginning.
        let mut late = connect(&server, &workspace).await?;
        late.send(&json!({"type": "subscribe", "chatId": id})).await?;
        let history = late.expect("history").await?;
        ensure!(history["messages"].as_array().is_some_and(|messages| messages.len() == 2), "{history}");
        ensure!(told(&mut late).await? == "x".repeat(50), "the one who joined lacks something");
        let mut again = connect(&server, &workspace).await?;
        again.send(&json!({"type": "subscribe", "chatId": id, "since_seq": 0})).await?;
        let all = format!("{}{}", "ö".repeat(50), "x".repeat(50));
        ensure!(told(&mut again).await? == all, "the one who came back lacks something");
    }
}
