//! Tasks: what becomes of them until their patches are there. What becomes of the patches is in `apply`.

use anyhow::{Context, Result, ensure};
use flightdeck_sdk::types::{Decision, DecisionVerb};
use flightdeck_tests::{RawSocket, Repository, TestOptions, TestServer, for_each_database};
use serde_json::{Value, json};
use uuid::Uuid;

use super::Session;

/// The phases that a task is told to come to, until it comes to one of `last`; each once.
async fn phases(socket: &mut RawSocket, task: Uuid, last: &[&str]) -> Result<Vec<String>> {
    let mut phases: Vec<String> = Vec::new();
    loop {
        let status = socket.until("status").await.with_context(|| format!("after {phases:?}"))?;
        if status["taskId"] != task.to_string() {
            continue;
        }
        let phase = status["phase"].as_str().context("a status has a phase")?.to_owned();
        if phases.last() != Some(&phase) {
            phases.push(phase.clone());
        }
        if last.contains(&phase.as_str()) {
            return Ok(phases);
        }
    }
}

/// The question of a task's agent.
async fn question(socket: &mut RawSocket, task: Uuid) -> Result<Value> {
    loop {
        let status = socket.until("status").await?;
        if status["taskId"] == task.to_string() && status["messageId"].is_string() {
            ensure!(status["phase"] == "awaiting_approval", "{status}");
            return Ok(status);
        }
    }
}

/// Nothing is left of a task but its patches.
pub(super) async fn is_clean(repository: &Repository) -> Result<()> {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    loop {
        let (worktrees, locks) = (repository.worktrees()?, repository.locks()?);
        let branches = repository.git(&["for-each-ref", "--format=%(refname)", "refs/heads/flightdeck"])?;
        if worktrees.len() == 1 && locks.is_empty() && branches.is_empty() {
            return Ok(());
        }
        ensure!(std::time::Instant::now() < deadline, "left: {worktrees:?}, {locks:?}, {branches}");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}

for_each_database! {
    async fn a_task_comes_from_phase_to_phase_and_its_patches_are_told(database) {
        let server = TestServer::start(database).await?;
        let session = Session::open(&server).await?;
        session.repository.write("mine.txt", "not committed\n")?;
        let mut socket = session.follow(&server).await?;
        let task = session.task(&server, "edit hello.txt hello").await?;
        let mut seen = Vec::new();
        let mut last = 0;
        let (mut ready, mut patch) = (false, None);
        while !ready || patch.is_none() {
            let (name, message) = socket.recv().await?;
            if let Some(seq) = message["seq"].as_u64() {
                ensure!(seq == last + 1, "{message} comes after {last}");
                last = seq;
            }
            match name {
                "status" => {
                    let phase = message["phase"].as_str().unwrap_or_default().to_owned();
                    ready |= phase == "ready";
                    seen.push(phase);
                }
                "patch" => patch = Some(message),
                "output" => ensure!(message["taskId"] == task.to_string(), "{message}"),
                other => anyhow::bail!("{other} came"),
            }
        }
        seen.dedup();
        ensure!(seen == ["planning", "running", "ready"], "{seen:?}");
        let patch = patch.context("it was told")?;
        ensure!(patch["count"] == 1 && patch["taskId"] == task.to_string(), "{patch}");
        let patches = server.send(&session.get(format!("/api/tasks/{task}/patches"))).await?.success()?;
        ensure!(patches["digest"] == patch["digest"] && patches["base"] == session.repository.head()?, "{patches}");
        // What the person has is as it was.
        ensure!(session.repository.status()? == "?? mine.txt", "{}", session.repository.status()?);
        ensure!(session.repository.log()? == ["Begin"], "it was committed");
    }

    async fn what_the_agent_says_is_told_while_it_says_it(database) {
        let server = TestServer::start(database).await?;
        let session = Session::open(&server).await?;
        let mut socket = session.follow(&server).await?;
        let task = session.task(&server, "count").await?;
        let mut said = String::new();
        loop {
            let (name, message) = socket.recv().await?;
            match name {
                "output" if message["kind"] == "text" || message["kind"] == "message" => {
                    said.push_str(message["content"].as_str().unwrap_or_default());
                }
                "status" if message["phase"] == "ready" => break,
                _ => {}
            }
        }
        ensure!(said.matches("One sheep.").count() == 20, "task {task} said {said:?}");
        let patches = server.send(&session.get(format!("/api/tasks/{task}/patches"))).await?.success()?;
        ensure!(patches["patches"] == json!([]), "{patches}");
    }

    async fn a_confirmation_lets_the_agent_go_on(database) {
        let server = TestServer::start(database).await?;
        let session = Session::open(&server).await?;
        let mut socket = session.follow(&server).await?;
        let task = session.task(&server, "write asked.txt yes").await?;
        let asked = question(&mut socket, task).await?;
        ensure!(asked["command"].is_string() && asked["toolName"].is_string(), "{asked}");
        let confirmation = json!({"type": "confirmation", "messageId": asked["messageId"], "confirmed": true, "note": "go on"});
        socket.send(&confirmation).await?;
        let phases = phases(&mut socket, task, &["ready", "failed"]).await?;
        ensure!(phases.last().is_some_and(|last| last == "ready"), "{phases:?}");
        let patches = server.send(&session.get(format!("/api/tasks/{task}/patches"))).await?.success()?;
        ensure!(patches["patches"][0]["file"] == "asked.txt", "{patches}");
        // Whoever comes later is told that it is decided.
        socket.send(&json!({"type": "confirmation", "messageId": asked["messageId"], "confirmed": false})).await?;
        ensure!(socket.until("error").await?["code"] == "approval_conflict", "it was decided twice");
        socket.send(&json!({"type": "confirmation", "messageId": Uuid::new_v4(), "confirmed": true})).await?;
        ensure!(socket.until("error").await?["code"] == "approval_not_found", "there is no such question");
    }

    async fn a_refusal_reaches_the_agent_with_its_note(database) {
        let server = TestServer::start(database).await?;
        let workspace = server.pair().await?;
        let session = Session::on(&server, &workspace, &server.repository()?).await?;
        let mut socket = session.follow(&server).await?;
        let task = session.task(&server, "write asked.txt no").await?;
        let asked = question(&mut socket, task).await?;
        let id: Uuid = asked["messageId"].as_str().context("an id")?.parse()?;
        socket.send(&json!({"type": "confirmation", "messageId": id, "confirmed": false, "note": "not on a Monday"})).await?;
        session.until(&server, task, &["ready", "failed"]).await?;
        let approval = workspace.device.approvals().get_approval(&id).await?;
        ensure!(approval.status.as_str() == "DENIED", "{approval:?}");
        ensure!(format!("{approval:?}").contains("not on a Monday"), "{approval:?}");
        ensure!(session.repository.read("asked.txt").is_none(), "it was written");
    }

    /// A phone that has paired decides what any agent asks, wherever that works.
    async fn a_device_decides_as_with_any_approval(database) {
        let server = TestServer::start(database).await?;
        let workspace = server.pair().await?;
        let session = Session::on(&server, &workspace, &server.repository()?).await?;
        let mut socket = session.follow(&server).await?;
        let task = session.task(&server, "write asked.txt yes").await?;
        let id: Uuid = question(&mut socket, task).await?["messageId"].as_str().context("an id")?.parse()?;
        workspace.device.approvals().decide_approval(&id, &Decision::new(DecisionVerb::Approve)).await?;
        loop {
            let status = socket.until("status").await?;
            if status["resolvedId"] == id.to_string() {
                break;
            }
        }
        session.until(&server, task, &["ready"]).await?;
    }

    async fn a_follow_up_changes_the_same_worktree(database) {
        let server = TestServer::start(database).await?;
        let session = Session::open(&server).await?;
        let mut socket = session.follow(&server).await?;
        let task = session.ready(&server, "edit one.txt 1").await?;
        let first = server.send(&session.get(format!("/api/tasks/{task}/patches"))).await?.success()?;
        phases(&mut socket, task, &["ready"]).await?;
        socket.send(&json!({"type": "user_message", "content": "edit two.txt 2", "timestamp": 1_700_000_000_000_i64})).await?;
        let again = phases(&mut socket, task, &["ready"]).await?;
        ensure!(again == ["running", "ready"], "{again:?}");
        let second = server.send(&session.get(format!("/api/tasks/{task}/patches"))).await?.success()?;
        let files: Vec<_> = second["patches"].as_array().into_iter().flatten().map(|patch| patch["file"].clone()).collect();
        ensure!(files == [json!("one.txt"), json!("two.txt")], "{second}");
        // Who reviewed the first ones does not apply the second ones.
        let stale = session.apply(task, &json!({"digest": first["digest"]}));
        server.send(&stale).await?.refused("task_applied")?;
    }

    async fn a_cancelled_task_leaves_nothing(database) {
        let server = TestServer::start(database).await?;
        let session = Session::open(&server).await?;
        let mut socket = session.follow(&server).await?;
        let task = session.task(&server, "sleep").await?;
        session.until(&server, task, &["running"]).await?;
        ensure!(session.repository.worktrees()?.len() == 2, "{:?}", session.repository.worktrees()?);
        let cancelled = server.send(&session.cancel(task)).await?.success()?;
        ensure!(cancelled["status"] == "cancelled" && cancelled["endedAt"].is_string(), "{cancelled}");
        let again = server.send(&session.cancel(task)).await?.success()?;
        ensure!(again["status"] == "cancelled" && again["endedAt"] == cancelled["endedAt"], "{again}");
        phases(&mut socket, task, &["cancelled"]).await?;
        is_clean(&session.repository).await?;
        socket.send(&json!({"type": "user_message", "content": "edit x x", "taskId": task})).await?;
        ensure!(socket.until("error").await?["code"] == "task_over", "it is over");
        for request in [session.apply(task, &json!({})), session.revert(task)] {
            server.send(&request).await?.refused("task_not_ready")?;
        }
    }

    async fn an_end_of_the_session_ends_its_tasks(database) {
        let server = TestServer::start(database).await?;
        let session = Session::open(&server).await?;
        let working = session.task(&server, "sleep").await?;
        session.until(&server, working, &["running"]).await?;
        let asking = session.task(&server, "write asked.txt x").await?;
        session.until(&server, asking, &["awaiting_approval"]).await?;
        session.ready(&server, "edit hello.txt hello").await?;
        ensure!(session.repository.worktrees()?.len() >= 3, "{:?}", session.repository.worktrees()?);
        server.send(&session.end()).await?.success()?;
        is_clean(&session.repository).await?;
        ensure!(session.repository.status()?.is_empty(), "{}", session.repository.status()?);
    }

    async fn an_agent_that_fails_is_told_so(database) {
        let server = TestServer::start(database).await?;
        let session = Session::open(&server).await?;
        let mut socket = session.follow(&server).await?;
        let task = session.task(&server, "fail").await?;
        let failed = session.until(&server, task, &["failed"]).await?;
        ensure!(failed["error"].as_str().is_some_and(|error| error.contains("The mock was told to fail")), "{failed}");
        phases(&mut socket, task, &["failed"]).await?;
        is_clean(&session.repository).await?;
    }

    async fn a_task_may_be_for_another_branch(database) {
        let server = TestServer::start(database).await?;
        let session = Session::open(&server).await?;
        let repository = &session.repository;
        repository.git(&["checkout", "--quiet", "-b", "feature/one"])?;
        repository.write("feature.txt", "1\n")?;
        let tip = repository.commit("Feature")?;
        repository.git(&["checkout", "--quiet", "main"])?;
        let task = session.task_with(&server, &json!({"instruction": "edit hello.txt hello", "branch": "feature/one"})).await?;
        session.until(&server, task, &["ready"]).await?;
        let patches = server.send(&session.get(format!("/api/tasks/{task}/patches"))).await?.success()?;
        ensure!(patches["base"] == tip, "{patches}");
        let applied = server.send(&session.apply(task, &json!({"commitMessage": "Say hello"}))).await?.success()?;
        ensure!(applied["branch"] == "feature/one" && applied["base"] == tip, "{applied}");
        ensure!(repository.log()? == ["Begin"] && repository.status()?.is_empty(), "the checked out branch was touched");
        ensure!(repository.git(&["show", "feature/one:hello.txt"])? == "hello", "it is not there");
        for branch in ["", "..", "a b", "-x", "a..b", "a~1", "HEAD^", "refs/../x", "x.lock", "@{u}", "a\nb", "/a", "a/"] {
            let request = session.post("/api/tasks", &json!({"instruction": "x", "branch": branch}));
            let answer = server.send(&request).await?;
            ensure!(["branch_invalid", "invalid_request"].contains(&answer.code().as_str()), "{branch:?}: {}", answer.json());
        }
    }

    async fn what_is_to_be_looked_at_is_said_in_words(database) {
        let server = TestServer::start(database).await?;
        let session = Session::open(&server).await?;
        let body = json!({
            "instruction": "test task", "agent": "mock",
            "context": {"files": ["README.md"], "hints": ["be brief"], "anything": {"else": 1}},
        });
        let task = session.task_with(&server, &body).await?;
        session.until(&server, task, &["ready"]).await?;
        let task = server.send(&session.get(format!("/api/tasks/{task}"))).await?.success()?;
        ensure!(task["instruction"] == "test task" && task["patchCount"] == 1, "{task}");
        for wrong in [json!({}), json!({"instruction": ""}), json!({"instruction": "x", "context": 1}), json!({"instruction": "\u{0}"})] {
            server.send(&session.post("/api/tasks", &wrong)).await?.refused("invalid_request").with_context(|| wrong.to_string())?;
        }
    }

    /// The worktree of a task that was at work is with a server that is gone: it failed. What was ready stays ready.
    async fn a_restart_gives_up_what_was_under_way_and_keeps_what_was_ready(database) {
        let mut server = TestServer::start(database).await?;
        let session = Session::open(&server).await?;
        let ready = session.ready(&server, "edit hello.txt hello").await?;
        let working = session.task(&server, "sleep").await?;
        session.until(&server, working, &["running"]).await?;
        server.restart().await?;
        let given_up = session.until(&server, working, &["failed", "cancelled"]).await?;
        ensure!(given_up["endedAt"].is_string(), "{given_up}");
        let applied = server.send(&session.apply(ready, &json!({"commitMessage": "Say hello"}))).await?.success()?;
        ensure!(applied["commit"] == session.repository.head()?, "{applied}");
        ensure!(session.repository.log()? == ["Say hello", "Begin"], "{:?}", session.repository.log()?);
        server.send(&session.end()).await?.success()?;
        is_clean(&session.repository).await?;
    }

    async fn there_may_be_so_many_and_no_more(database) {
        let server = TestServer::with(TestOptions::new(database).set("FLIGHTDECK_SESSION_TASKS", 2)).await?;
        let session = Session::open(&server).await?;
        let one = session.task(&server, "sleep").await?;
        session.task(&server, "sleep").await?;
        let request = session.post("/api/tasks", &json!({"instruction": "sleep"}));
        server.send(&request).await?.refused("too_many_tasks")?;
        server.send(&session.cancel(one)).await?.success()?;
        server.send(&request).await?.success()?;
        let list = server.send(&session.get("/api/tasks")).await?.success()?;
        let count = list["tasks"].as_array().map_or(0, Vec::len);
        ensure!(count == 3, "{list}");
        // The newest first.
        ensure!(list["tasks"][2]["taskId"] == one.to_string(), "{list}");
    }
}
