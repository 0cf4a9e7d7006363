//! Events that are sent until they are acknowledged.

use std::time::Duration;

use anyhow::{Result, ensure};
use flightdeck_tests::{Request, TestServer, for_each_database};
use serde_json::{Value, json};

use super::{Client, pass};

const PATIENCE: Duration = Duration::from_secs(5);

async fn pending(server: &TestServer) -> Result<Value> {
    Ok(server.send(&Request::get("/stats")).await?.success()?["pendingDeliveries"].clone())
}

for_each_database! {
    async fn what_is_not_acknowledged_comes_three_times(database) {
        let server = TestServer::start(database).await?;
        let mut client = Client::connect(&server, "").await?;
        client.subscribe("topics/x").await?;
        for (index, name) in ["task.created", "subtask.running", "message.new"].into_iter().enumerate() {
            client.publish("topics/x", name, json!(index)).await?;
        }
        let first = client.expect("topics/x", (0..3).map(Value::from)).await?;
        ensure!(pending(&server).await? == 3, "three wait");
        for _ in 0..2 {
            server.advance(PATIENCE - Duration::from_millis(1));
            client.expect_nothing().await?;
            server.advance(Duration::from_millis(1));
            let again = client.expect("topics/x", (0..3).map(Value::from)).await?;
            ensure!(again == first, "{again:?} came instead of {first:?}");
        }
        server.advance(PATIENCE);
        client.expect_nothing().await?;
        pass(&server, PATIENCE * 10, &mut [&mut client]).await?;
        client.expect_nothing().await?;
        ensure!(pending(&server).await? == 0, "it was given up");
        let metrics = server.send(&Request::get("/metrics")).await?;
        let metrics = String::from_utf8(metrics.body)?;
        for line in [r#"hub_deliveries_total{outcome="repeated"} 6"#, r#"hub_deliveries_total{outcome="given_up"} 3"#] {
            ensure!(metrics.contains(line), "{line} is not told");
        }
    }

    async fn what_is_acknowledged_does_not_come_again(database) {
        let server = TestServer::start(database).await?;
        let mut client = Client::connect(&server, "").await?;
        let mut other = Client::connect(&server, "").await?;
        client.subscribe("topics/x").await?;
        other.subscribe("topics/x").await?;
        for number in 0..3 {
            client.publish("topics/x", "task.updated", json!(number)).await?;
        }
        let events = client.expect("topics/x", (0..3).map(Value::from)).await?;
        other.expect("topics/x", (0..3).map(Value::from)).await?;
        client.acknowledge(&events[2]).await?;
        client.acknowledge(&events[0]).await?;
        client.expect_nothing().await?;
        ensure!(pending(&server).await? == 4, "one and three wait");
        server.advance(PATIENCE);
        client.expect("topics/x", [json!(1)]).await?;
        // Each acknowledges for itself.
        other.expect("topics/x", (0..3).map(Value::from)).await?;
        client.acknowledge(&events[1]).await?;
        client.expect_nothing().await?;
        server.advance(PATIENCE);
        client.expect_nothing().await?;
        // Who leaves is told no more, and who is gone does not count.
        other.unsubscribe("topics/x").await?;
        while let Some(event) = other.events.pop_front() {
            ensure!(event["channel"] == "topics/x", "{event}");
        }
        server.advance(PATIENCE);
        other.expect_nothing().await?;
        ensure!(pending(&server).await? == 0, "nothing waits");
    }

    async fn other_events_come_once(database) {
        let server = TestServer::start(database).await?;
        let mut client = Client::connect(&server, "").await?;
        client.subscribe("topics/x").await?;
        let others = ["agent.heartbeat", "session.created", "metric.update", "system.error"];
        for (index, name) in others.into_iter().enumerate() {
            client.publish("topics/x", name, json!(index)).await?;
        }
        let events = client.expect("topics/x", (0..4).map(Value::from)).await?;
        ensure!(pending(&server).await? == 0, "nothing waits");
        server.advance(PATIENCE);
        client.expect_nothing().await?;
        // Many clients acknowledge whatever has an id.
        client.acknowledge(&events[0]).await?;
        client.expect_nothing().await?;
    }

    /// A client that reads history by its own place has said what it has, and will say it again.
    async fn history_is_sent_once_and_news_are_tracked(database) {
        let server = TestServer::start(database).await?;
        let mut client = Client::connect(&server, "").await?;
        for number in 0..3 {
            client.publish("topics/x", "task.created", json!(number)).await?;
        }
        client.subscribe_since("topics/x", 1).await?;
        client.expect("topics/x", [json!(1), json!(2)]).await?;
        client.socket.expect("synced").await?;
        client.publish("topics/x", "task.created", json!(3)).await?;
        client.expect("topics/x", [json!(3)]).await?;
        server.advance(PATIENCE);
        client.expect("topics/x", [json!(3)]).await?;
        client.expect_nothing().await?;
        // It asks from a place: what it has is acknowledged by that.
        client.subscribe_since("topics/x", 4).await?;
        client.socket.expect("synced").await?;
        server.advance(PATIENCE);
        client.expect_nothing().await?;
    }

    /// It could not be told apart from one that is gone.
    async fn who_acknowledges_nothing_falls_behind(database) {
        let server = TestServer::start(database).await?;
        let mut client = Client::connect(&server, "").await?;
        client.subscribe("topics/x").await?;
        let mut publishers = Vec::new();
        for _ in 0..40 {
            publishers.push(Client::connect(&server, "").await?);
        }
        let publishing = publishers.iter_mut().map(async |publisher| {
            for number in 0..110 {
                publisher.publish("topics/x", "task.updated", json!(number)).await?;
            }
            anyhow::Ok(())
        });
        let publishing = futures_util::future::try_join_all(publishing);
        let (published, closed) = tokio::join!(publishing, client.socket.expect_close("slow_reader"));
        published?;
        closed?;
    }
}
