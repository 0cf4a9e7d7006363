//! Coming back to a chat: what was missed comes, and what is being said comes once.

use anyhow::{Context, ensure};
use flightdeck_tests::{TestOptions, TestServer, for_each_database};
use serde_json::json;

use super::{Script, chat, connect, follow, say, told};

/// What the agent of a test says.
const MESSAGES: usize = 40;

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
    /// Between two messages as well: what is stored meanwhile comes before what is being said, and nothing comes twice.
    async fn who_joins_at_any_moment_hears_each_message_once(database) {
        let text = |number: usize| format!("message {number}, ");
        let steps = (0..MESSAGES).map(|number| {
            let text = text(number);
            format!("{{ stream = {{ text = '{text}', times = 5, pace = 1 }} }}, {{ plan = {{ steps = ['go on'], done = 0 }} }}")
        });
        let script = Script::new(&format!("turns = [{{ steps = [{}] }}]", steps.collect::<Vec<_>>().join(", ")))?;
        let server = TestServer::with(script.apply(TestOptions::new(database))).await?;
        let workspace = server.pair().await?;
        let id = chat(&workspace).await?;
        let mut first = follow(&server, &workspace, id).await?;
        first.send(&say(id, "go")).await?;
        first.until("assistant_message").await?;
        let mut joined = tokio::task::JoinSet::new();
        for _ in 0..MESSAGES {
            let mut late = connect(&server, &workspace).await?;
            late.send(&json!({"type": "subscribe", "chatId": id, "since_seq": 0})).await?;
            joined.spawn(async move { told(&mut late).await });
        }
        let wanted: String = (0..MESSAGES).map(|number| text(number).repeat(5)).collect();
        while let Some(told) = joined.join_next().await {
            let told = told??;
            ensure!(told == wanted, "one heard something else: {told}");
        }
    }
}
