//! Nothing is lost that somebody has begun, said or applied, whatever happens to the task meanwhile.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use flightdeck_tests::{Received, TestOptions, TestServer, for_each_database};
use serde_json::{Value, json};
use uuid::Uuid;

use super::Session;
use super::tasks::is_clean;

async fn files(server: &TestServer, session: &Session, task: Uuid) -> Result<Vec<Value>> {
    let patches = server.send(&session.get(format!("/api/tasks/{task}/patches"))).await?.success()?;
    Ok(patches["patches"].as_array().into_iter().flatten().map(|patch| patch["file"].clone()).collect())
}

/// A hook that waits until a file is there, and says in another that it does.
fn slow_hook(session: &Session) -> Result<()> {
    let hook =
        "#!/bin/sh\ntouch .git/waits\nfor i in $(seq 1500); do [ -e .git/go ] && exit 0; sleep 0.02; done\nexit 1\n";
    session.repository.hook("pre-commit", hook)
}

async fn until_it_waits(session: &Session) -> Result<()> {
    for _ in 0..1_500 {
        if session.repository.path().join(".git/waits").exists() {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    anyhow::bail!("the hook never ran")
}

for_each_database! {
    /// The agent hears of it after what it was told first, and both are done.
    async fn what_is_said_at_once_waits_for_the_agent(database) {
        let server = TestServer::start(database).await?;
        let session = Session::open(&server).await?;
        let mut socket = session.follow(&server).await?;
        for round in 0..5 {
            let task = session.task(&server, "edit one.txt 1").await?;
            socket.send(&json!({"type": "user_message", "content": "edit two.txt 2", "taskId": task})).await?;
            // It is ready in between, perhaps.
            let mut found = Vec::new();
            for _ in 0..500 {
                found = files(&server, &session, task).await.unwrap_or_default();
                if found.len() == 2 {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            ensure!(found == [json!("one.txt"), json!("two.txt")], "round {round}: {found:?}");
        }
    }

    /// What was made before can still be reviewed and applied.
    async fn a_follow_up_that_fails_costs_no_patches(database) {
        let server = TestServer::start(database).await?;
        let session = Session::open(&server).await?;
        let mut socket = session.follow(&server).await?;
        let task = session.ready(&server, "edit one.txt 1").await?;
        socket.send(&json!({"type": "user_message", "content": "fail", "taskId": task})).await?;
        loop {
            let status = socket.until("status").await?;
            if status["phase"] == "ready" && status["message"].is_string() {
                break;
            }
        }
        let found = session.until(&server, task, &["ready"]).await?;
        ensure!(found["error"].as_str().is_some_and(|error| error.contains("told to fail")), "{found}");
        ensure!(files(&server, &session, task).await? == [json!("one.txt")], "they are gone");
        let applied = server.send(&session.apply(task, &json!({}))).await?.success()?;
        ensure!(applied["commit"] == session.repository.head()?, "{applied}");
    }

    /// A message that waits and is taken back ends no task.
    async fn what_is_taken_back_before_its_turn_changes_nothing(database) {
        let server = TestServer::start(database).await?;
        let workspace = server.pair().await?;
        let session = Session::on(&server, &workspace, &server.repository()?).await?;
        let mut socket = session.follow(&server).await?;
        let task = session.task(&server, "write one.txt 1").await?;
        let found = session.until(&server, task, &["awaiting_approval"]).await?;
        let chat: Uuid = found["chatId"].as_str().context("it has a chat")?.parse()?;
        let said = flightdeck_sdk::types::ChatMessageSend::new("edit two.txt 2");
        let said = workspace.device.chats().send_chat_message(&chat, &said).await?;
        let back = flightdeck_sdk::types::ChatCancel::default().with_turn_id(said.turn_id);
        workspace.device.chats().cancel_chat_turn(&chat, &back).await?;
        let question = loop {
            let status = socket.until("status").await?;
            if status["messageId"].is_string() {
                break status["messageId"].clone();
            }
        };
        socket.send(&json!({"type": "confirmation", "messageId": question, "confirmed": true})).await?;
        session.until(&server, task, &["ready"]).await?;
        ensure!(files(&server, &session, task).await? == [json!("one.txt")], "what was taken back was done");
    }

    /// The commit is there, so the task says so.
    async fn a_cancel_while_a_hook_runs_loses_no_receipt(database) {
        let server = TestServer::start(database).await?;
        let session = Session::open(&server).await?;
        let task = session.ready(&server, "edit one.txt 1").await?;
        slow_hook(&session)?;
        let apply = session.apply(task, &json!({}));
        let cancel = async {
            until_it_waits(&session).await?;
            let cancelled = server.send(&session.cancel(task)).await?.success()?;
            session.repository.write(".git/go", "")?;
            Ok::<_, anyhow::Error>(cancelled)
        };
        let (applied, cancelled) = tokio::join!(server.send(&apply), cancel);
        ensure!(cancelled?["status"] == "cancelled", "it was open");
        let applied = applied?.success()?;
        ensure!(applied["commit"] == session.repository.head()?, "{applied}");
        let found = server.send(&session.get(format!("/api/tasks/{task}"))).await?.success()?;
        ensure!(found["status"] == "applied" && found["commit"] == applied["commit"], "{found}");
        server.send(&session.revert(task)).await?.success()?;
        is_clean(&session.repository).await?;
    }

    /// It would seem to be undone there.
    async fn a_branch_that_is_checked_out_elsewhere_is_left_alone(database) {
        let server = TestServer::start(database).await?;
        let session = Session::open(&server).await?;
        let repository = &session.repository;
        let elsewhere = tempfile::tempdir()?;
        let folder = elsewhere.path().join("tree");
        repository.git(&["worktree", "add", "--quiet", "-b", "other", folder.to_str().context("a plain name")?])?;
        let body = json!({"instruction": "edit one.txt 1", "branch": "other"});
        let task = session.task_with(&server, &body).await?;
        session.until(&server, task, &["ready"]).await?;
        let before = repository.git(&["rev-parse", "other"])?;
        let answer = server.send(&session.apply(task, &json!({}))).await?;
        let refused = answer.refused("patch_conflict")?;
        ensure!(refused.to_string().contains("checked out"), "{refused}");
        ensure!(repository.git(&["rev-parse", "other"])? == before, "it was moved");
        // Branches of tasks are nobody else's.
        let body = json!({"instruction": "x", "branch": format!("flightdeck/{task}")});
        server.send(&session.post("/api/tasks", &body)).await?.refused("branch_invalid")?;
        repository.git(&["worktree", "remove", "--force", folder.to_str().context("a plain name")?])?;
        server.send(&session.apply(task, &json!({}))).await?.success()?;
        ensure!(repository.git(&["rev-parse", "other"])? != before, "it was not moved");
    }

    /// Who may run agents is looked at each time.
    async fn a_workspace_that_may_run_no_agents_any_more_has_no_sessions(database) {
        let mut server = TestServer::start(database).await?;
        let session = Session::open(&server).await?;
        server.send(&session.get("/api/tasks")).await?.success()?;
        let mut socket = session.listen(&server).await?;
        drop(server.send(&session.run("printf hello")).await?.success()?);
        socket.until("exit").await?;
        drop(socket);
        server.set("FLIGHTDECK_AGENT_WORKSPACES", "00000000-0000-4000-8000-000000000001");
        server.restart().await?;
        server.send(&session.get("/api/tasks")).await?.refused("session_not_found")?;
        server.try_open(&session.events()).await?.refused("session_not_found")?;
        server.send(&session.run("printf hello")).await?.refused("session_not_found")?;
    }

    /// At once, not by and by.
    async fn a_revoked_device_s_sessions_end(database) {
        let server = TestServer::with(TestOptions::new(database)).await?;
        let workspace = server.pair().await?;
        let session = Session::on(&server, &workspace, &server.repository()?).await?;
        let mut socket = session.listen(&server).await?;
        let mut terminal = server.open(&session.terminal()).await?;
        workspace.device.devices().revoke_device(&workspace.device_id).await?;
        socket.expect_close("credential_invalid").await?;
        while let Received::Raw(_) | Received::Message("resize", _) = terminal.next().await? {}
        let refused = server.send(&session.get("/api/tasks")).await?;
        refused.refused("session_not_found")?;
    }
}
