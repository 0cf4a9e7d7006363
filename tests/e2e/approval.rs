//! The journey that everything is about: an agent asks, a person answers, the agent goes on, and the person sees it.

use std::sync::Arc;

use anyhow::{Context, ensure};
use flightdeck_tests::database::TestDatabase;
use flightdeck_tests::{ServerProcess, for_each_database};
use serde_json::{Value, json};

use crate::machine::{Machine, until};

for_each_database! {
    async fn an_agent_asks_and_a_person_answers_with_a_note(database) {
        let store = TestDatabase::create(database).await?;
        let server = ServerProcess::on(&store, &[]).await?;
        let machine = Arc::new(Machine::new(server.url())?);
        machine.run(&["pair", "--self"]).await?;

        let call = json!({"tool_use_id": "toolu_01"});
        ensure!(machine.hook("PreToolUse", &call).await?.is_empty(), "the hook says something nobody asked");
        let asking = tokio::spawn({
            let machine = machine.clone();
            async move { machine.hook("PermissionRequest", &json!({})).await }
        });
        let waiting = until(&machine, &["approvals"], |list| list.as_array().is_some_and(|list| list.len() == 1)).await?;
        ensure!(waiting[0]["command"] == "cargo publish", "the person is asked about {waiting}");
        let id = waiting[0]["approval_id"].as_str().context("it has an id")?;
        machine.run(&["approvals", "approve", id, "--note", "to the test registry"]).await?;

        let answer: Value = serde_json::from_str(&asking.await??)?;
        let decision = &answer["hookSpecificOutput"]["decision"];
        ensure!(decision["behavior"] == "allow", "the agent is told {answer}");
        ensure!(answer.to_string().contains("to the test registry"), "the note is lost: {answer}");
        machine.hook("PostToolUse", &json!({"tool_use_id": "toolu_01", "tool_response": {"stdout": ""}})).await?;
        until(&machine, &["approvals", "show", id], |approval| approval["consumed_at"].is_string()).await?;
        ensure!(machine.json(&["approvals"]).await? == json!([]), "something still waits");
    }

    async fn a_denial_stops_the_agent_and_says_why(database) {
        let store = TestDatabase::create(database).await?;
        let server = ServerProcess::on(&store, &[]).await?;
        let machine = Arc::new(Machine::new(server.url())?);
        machine.run(&["pair", "--self"]).await?;
        machine.hook("PreToolUse", &json!({"tool_use_id": "toolu_01"})).await?;
        let asking = tokio::spawn({
            let machine = machine.clone();
            async move { machine.hook("PermissionRequest", &json!({})).await }
        });
        let waiting = until(&machine, &["approvals"], |list| list.as_array().is_some_and(|list| list.len() == 1)).await?;
        let id = waiting[0]["approval_id"].as_str().context("it has an id")?;
        machine.run(&["approvals", "deny", id, "--note", "not on a Friday"]).await?;
        let answer: Value = serde_json::from_str(&asking.await??)?;
        let decision = &answer["hookSpecificOutput"]["decision"];
        ensure!(decision["behavior"] == "deny", "the agent is told {answer}");
        ensure!(decision["message"].as_str().is_some_and(|message| message.contains("not on a Friday")), "{answer}");
    }
}
