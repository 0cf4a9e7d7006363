//! What Flightdeck tells on the hub by itself.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use flightdeck_tests::{Kind, PairedWorkspace, Request, ServerProcess, TestServer, for_each_database, on_postgres};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Client, pass};
use crate::support::{ask, event, start_run};

/// Reports an event of a run.
async fn report(server: &TestServer, workspace: &PairedWorkspace, run_id: Uuid, kind: &str) -> Result<()> {
    let mut body = event(workspace.workspace_id, run_id);
    body["event_type"] = kind.into();
    body["payload"] = json!({"message": format!("{kind} it is")});
    let request = Request::post("/bridge/event", &body).sign(&workspace.signer(server));
    server.send(&request).await?.success()?;
    Ok(())
}

/// The names of the next events, which all are on this channel, and the last one's data.
async fn told(client: &mut Client, channel: &str, count: usize) -> Result<(Vec<String>, Value)> {
    let mut names = Vec::new();
    let mut data = Value::Null;
    for _ in 0..count {
        let event = client.event().await?;
        ensure!(event["channel"] == channel, "{event}");
        names.push(event["event"].as_str().unwrap_or_default().to_owned());
        data = event["data"].clone();
        client.acknowledge(&event).await?;
    }
    Ok((names, data))
}

/// The figures that come next.
async fn figures(client: &mut Client) -> Result<Value> {
    loop {
        let event = client.event().await?;
        if event["channel"] == "metrics" {
            ensure!(event["event"] == "metric.update" && event.get("seq").is_none(), "{event}");
            return Ok(event["data"].clone());
        }
    }
}

for_each_database! {
    async fn runs_are_tasks_and_sessions(database) {
        let server = TestServer::start(database).await?;
        let workspace = server.pair().await?;
        let mut everybody = Client::connect(&server, "").await?;
        for (kind, name, status) in [
            ("RUN_FINISHED", "task.completed", "completed"),
            ("RUN_FAILED", "task.failed", "failed"),
            ("RUN_STOPPED", "task.failed", "stopped"),
        ] {
            let run_id = Uuid::new_v4();
            let channel = format!("sessions/{run_id}");
            let mut session = Client::connect(&server, "").await?;
            session.unsubscribe("global").await?;
            session.subscribe(&channel).await?;
            report(&server, &workspace, run_id, "RUN_STARTED").await?;
            report(&server, &workspace, run_id, "TOOL_USED").await?;
            report(&server, &workspace, run_id, kind).await?;
            for (client, channel) in [(&mut everybody, "global"), (&mut session, channel.as_str())] {
                let (names, data) = told(client, channel, 2).await?;
                ensure!(names == ["session.created", "task.created"], "{names:?}");
                ensure!(data["task_id"] == run_id.to_string() && data["status"] == "running", "{data}");
                let (names, data) = told(client, channel, 2).await?;
                ensure!(names == [name, "session.ended"], "{names:?}");
                ensure!(data["status"] == status && data["session_id"] == run_id.to_string(), "{data}");
                ensure!(data["message"] == format!("{kind} it is"), "{data}");
            }
        }
        everybody.expect_nothing().await?;
    }

    async fn approvals_are_messages(database) {
        let server = TestServer::start(database).await?;
        let workspace = server.pair().await?;
        let run_id = start_run(&server, &workspace).await?;
        let mut client = Client::connect(&server, "").await?;
        let decided = ask(&server, &workspace, run_id).await?;
        let (names, data) = told(&mut client, "global", 1).await?;
        ensure!(names == ["message.new"] && data["approval_id"] == decided.to_string(), "{data}");
        ensure!(data["content"] == "cargo publish" && data["run_id"] == run_id.to_string(), "{data}");
        let approve = Request::post(format!("/v1/approvals/{decided}/decision"), &json!({"decision": "APPROVE"}));
        server.send(&approve.bearer(&workspace.device_token)).await?.success()?;
        let (names, data) = told(&mut client, "global", 1).await?;
        ensure!(names == ["message.read"] && data["status"] == "APPROVED", "{data}");
        let withdrawn = ask(&server, &workspace, run_id).await?;
        told(&mut client, "global", 1).await?;
        let withdraw = Request::post(format!("/bridge/approval/{withdrawn}/withdraw"), &json!({}));
        server.send(&withdraw.sign(&workspace.signer(&server))).await?.success()?;
        let (names, data) = told(&mut client, "global", 1).await?;
        ensure!(names == ["message.expired"] && data["approval_id"] == withdrawn.to_string(), "{data}");
    }

    async fn agents_of_the_companion_are_told(database) {
        let server = TestServer::start(database).await?;
        let mut client = Client::connect(&server, "").await?;
        let register = Request::post("/agents/register", &json!({"name": "mac mini"}));
        let agent = server.send(&register).await?.success()?["agent_id"].clone();
        let agent_id = agent.as_str().context("an agent has an id")?;
        let mut pc = server.open(&Request::socket(format!("/realtime?agent_id={agent_id}&role=pc"))).await?;
        pc.expect("hello").await?;
        let (names, data) = told(&mut client, "global", 1).await?;
        ensure!(names == ["agent.connected"] && data["agent_id"] == agent, "{data}");
        pc.send(&json!({"type": "heartbeat"})).await?;
        let message = json!({"agent_id": agent, "content": "x".repeat(2_000)});
        server.send(&Request::post("/messages", &message)).await?.success()?;
        let (names, data) = told(&mut client, "global", 1).await?;
        ensure!(names == ["message.new"] && data["agent_id"] == agent && data["type"] == "message_in", "{data}");
        let content = data["content"].as_str().context("it has content")?;
        ensure!(content.chars().count() <= 501 && content.starts_with("xxx"), "{data}");
        pc.send(&json!({"type": "event", "event": {"payload": {"content": "done"}}})).await?;
        let (names, data) = told(&mut client, "global", 1).await?;
        ensure!(names == ["message.new"] && data["content"] == "done" && data["type"] == "message_out", "{data}");
        let gone = async {
            loop {
                let event = client.event().await?;
                if event["event"] != "message.new" {
                    return anyhow::Ok(event);
                }
            }
        };
        let gone = server.hurry(gone).await?;
        ensure!(gone["event"] == "agent.disconnected" && gone["data"]["agent_id"] == agent, "{gone}");
    }

    async fn figures_come_at_once_and_every_five_seconds(database) {
        let server = TestServer::start(database).await?;
        let workspace = server.pair().await?;
        let mut client = Client::connect(&server, "").await?;
        client.subscribe("metrics").await?;
        let first = figures(&mut client).await?;
        let nothing = json!({
            "active_sessions": 0, "active_agents": 0, "pending_tasks": 0, "running_tasks": 0,
            "completed_tasks_last_hour": 0, "messages_last_hour": 0, "actions_per_minute": 0,
            "avg_task_duration_ms": 0, "timestamp": server.now(),
        });
        ensure!(first == nothing, "{first}");

        let (waiting, running, finished) = (Uuid::new_v4(), Uuid::new_v4(), Uuid::new_v4());
        for run_id in [waiting, running, finished] {
            report(&server, &workspace, run_id, "RUN_STARTED").await?;
            report(&server, &workspace, run_id, "TOOL_USED").await?;
        }
        for _ in 0..2 {
            ask(&server, &workspace, waiting).await?;
        }
        let mut agent = Client::agent(&server, "backend").await?;
        let mut same = Client::agent(&server, "backend").await?;
        agent.publish("topics/x", "message.new", json!(1)).await?;
        same.publish("topics/x", "message.read", json!(1)).await?;
        server.advance(Duration::from_millis(4_000));
        report(&server, &workspace, finished, "RUN_FINISHED").await?;
        server.advance(Duration::from_millis(1_000));
        let second = figures(&mut client).await?;
        let wanted = json!({
            "active_sessions": 2, "active_agents": 1, "pending_tasks": 1, "running_tasks": 1,
            "completed_tasks_last_hour": 1,
            // Two approvals and what the agent published: each counts once, however many channels tell it.
            "messages_last_hour": 3,
            "actions_per_minute": 3, "avg_task_duration_ms": 4_000, "timestamp": server.now(),
        });
        ensure!(second == wanted, "{second}");

        agent.socket.close().await?;
        same.socket.close().await?;
        pass(&server, Duration::from_secs(3_600), &mut [&mut client]).await?;
        let later = async {
            loop {
                let figures = figures(&mut client).await?;
                if figures["completed_tasks_last_hour"] == 0 && figures["active_agents"] == 0 {
                    return anyhow::Ok(figures);
                }
            }
        };
        let later = server.hurry(later).await?;
        ensure!(later["messages_last_hour"] == 0 && later["avg_task_duration_ms"] == 0, "{later}");
        ensure!(later["active_sessions"] == 2, "{later}");
        // Who comes in between gets what is known.
        let mut other = Client::connect(&server, "").await?;
        other.subscribe("metrics").await?;
        ensure!(figures(&mut other).await?["active_sessions"] == 2, "it is told at once");
        ensure!(server.count("events").await? > 0, "runs are kept");
    }

    async fn figures_outlive_a_restart(database) {
        let mut server = TestServer::start(database).await?;
        let workspace = server.pair().await?;
        let (runs, ended) = (Uuid::new_v4(), Uuid::new_v4());
        for run_id in [runs, ended] {
            report(&server, &workspace, run_id, "RUN_STARTED").await?;
            report(&server, &workspace, run_id, "TOOL_USED").await?;
        }
        report(&server, &workspace, ended, "RUN_FINISHED").await?;
        ask(&server, &workspace, runs).await?;
        let mut client = Client::connect(&server, "").await?;
        // The same words, said twice, are two messages; a new one and a read one are one.
        for name in ["message.new", "message.new", "message.read"] {
            client.publish("topics/x", name, json!("hello")).await?;
        }
        for _ in 0..2 {
            client.subscribe("metrics").await?;
            let figures = figures(&mut client).await?;
            ensure!(figures["messages_last_hour"] == 3 && figures["actions_per_minute"] == 2, "{figures}");
            server.restart().await?;
            client = Client::connect(&server, "").await?;
        }
        server.advance(Duration::from_secs(61));
        server.restart().await?;
        let mut client = Client::connect(&server, "").await?;
        client.subscribe("metrics").await?;
        let figures = figures(&mut client).await?;
        ensure!(figures["messages_last_hour"] == 3 && figures["actions_per_minute"] == 0, "{figures}");
    }
}

/// Waits while the figures say that there were so many messages; then they must say how many there are.
async fn changed(server: &TestServer, client: &mut Client, before: &[u64], messages: u64) -> Result<()> {
    let changed = async {
        loop {
            let counted = figures(client).await?["messages_last_hour"].as_u64().context("it is a number")?;
            if !before.contains(&counted) {
                return anyhow::Ok(counted);
            }
        }
    };
    let counted = tokio::time::timeout(Duration::from_secs(30), server.hurry(changed)).await;
    let counted = counted.with_context(|| format!("the figures stay at {before:?}"))??;
    ensure!(counted == messages, "{counted} messages instead of {messages}");
    Ok(())
}

on_postgres! {
    /// What is too large to come along with another server's word is counted all the same.
    async fn figures_have_what_another_server_tells() {
        let mut server = TestServer::start(Kind::Postgres).await?;
        let other = ServerProcess::on(server.database(), &[]).await?;
        let mut client = Client::connect(&server, "").await?;
        client.subscribe("metrics").await?;
        ensure!(figures(&mut client).await?["messages_last_hour"] == 0, "nothing has been said");
        let mut publisher = Client::of(&other, Kind::Postgres).await?;
        for length in [10, 20_000] {
            publisher.publish("topics/x", "message.new", json!("x".repeat(length))).await?;
        }
        changed(&server, &mut client, &[0, 1], 2).await?;
        publisher.publish("topics/x", "message.new", json!("and one more")).await?;
        changed(&server, &mut client, &[2], 3).await?;
    }
}
