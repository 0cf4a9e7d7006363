//! What a person says and decides on `/ws/events`, and is refused.

use std::time::Duration;

use anyhow::{Context, ensure};
use flightdeck_tests::{TestOptions, TestServer, for_each_database};
use serde_json::json;

use super::Session;

for_each_database! {
    async fn more_than_an_agent_may_have_waiting_is_refused(database) {
        const ENOUGH: usize = 200;
        let server = TestServer::start(database).await?;
        let session = Session::open(&server).await?;
        let task = session.task(&server, "sleep").await?;
        session.until(&server, task, &["running"]).await?;
        let mut socket = session.listen(&server).await?;
        let mut refused = None;
        for _ in 0..ENOUGH {
            socket.send(&json!({"type": "user_message", "content": "hello", "taskId": task})).await?;
            refused = socket.settle().await?.into_iter().find(|message| message["type"] == "error");
            if refused.is_some() {
                break;
            }
        }
        let refused = refused.context("everything was taken")?;
        ensure!(refused["code"] == "chat_queue_full", "{refused}");
    }

    async fn an_answer_that_comes_too_late_is_refused(database) {
        let server = TestServer::with(TestOptions::new(database).set("FLIGHTDECK_APPROVAL_TTL_SECONDS", 60)).await?;
        let session = Session::open(&server).await?;
        let mut socket = session.follow(&server).await?;
        session.task(&server, "write asked.txt x").await?;
        let question = loop {
            let status = socket.until("status").await?;
            if status["messageId"].is_string() {
                break status["messageId"].clone();
            }
        };
        let late = async {
            loop {
                let status = socket.until("status").await?;
                if status["resolvedId"] == question {
                    return anyhow::Ok(());
                }
            }
        };
        let late = tokio::time::timeout(Duration::from_secs(30), server.hurry(late)).await;
        late.context("the question stays open")??;
        socket.send(&json!({"type": "confirmation", "messageId": question, "confirmed": true})).await?;
        let error = socket.until("error").await?;
        ensure!(error["code"] == "approval_expired", "{error}");
    }
}
