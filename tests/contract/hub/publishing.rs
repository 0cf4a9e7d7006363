//! Publishing, and what is no message.

use anyhow::ensure;
use flightdeck_tests::{TestServer, for_each_database};
use serde_json::{Value, json};

use super::Client;

/// Every name that may be published.
const NAMES: [&str; 22] = [
    "task.created",
    "task.updated",
    "task.completed",
    "task.failed",
    "subtask.created",
    "subtask.updated",
    "subtask.completed",
    "subtask.failed",
    "subtask.running",
    "message.new",
    "message.read",
    "message.expired",
    "agent.connected",
    "agent.disconnected",
    "agent.heartbeat",
    "agent.blocked",
    "agent.unblocked",
    "session.created",
    "session.ended",
    "metric.update",
    "system.error",
    "system.info",
];

for_each_database! {
    async fn every_event_can_be_published(database) {
        let server = TestServer::start(database).await?;
        let mut client = Client::connect(&server, "").await?;
        client.subscribe("topics/x").await?;
        for name in NAMES {
            client.publish("topics/x", name, json!({"name": name})).await?;
            let event = client.event().await?;
            ensure!(event["event"] == name && event["data"]["name"] == name, "{event}");
        }
        for name in ["task.exploded", "", "Task.created", "message", "task.created "] {
            let publish = json!({"type": "publish", "channel": "topics/x", "event": name, "data": {}});
            client.refused(publish, &format!("Invalid event type: {name}")).await?;
        }
        client.expect_nothing().await?;
    }

    async fn data_is_any_json_and_comes_as_it_was(database) {
        let server = TestServer::start(database).await?;
        let mut client = Client::connect(&server, "").await?;
        client.subscribe("topics/x").await?;
        let deep = (0..60).fold(json!(1), |inner, _| json!([inner]));
        for data in [
            json!(null),
            json!(0),
            json!(-1.5),
            json!(9_007_199_254_740_993_u64),
            json!("\0 \u{1f680} \" \\ \u{2028}"),
            json!([]),
            json!({"": {"a": [1, {"b": null}]}}),
            deep,
            json!("x".repeat(200_000)),
        ] {
            client.publish("topics/x", "task.updated", data.clone()).await?;
            let event = client.event().await?;
            ensure!(event["data"] == data, "{event} instead of {data}");
            client.acknowledge(&event).await?;
        }
        // None at all is null.
        client.ok(json!({"type": "publish", "channel": "topics/x", "event": "system.info"})).await?;
        client.expect("topics/x", [Value::Null]).await?;
    }

    /// A publisher hears itself, if it follows; and what is published on one channel is not on another.
    async fn a_publication_goes_to_its_channel_only(database) {
        let server = TestServer::start(database).await?;
        let mut client = Client::connect(&server, "").await?;
        client.publish("topics/x", "task.created", json!(1)).await?;
        client.publish("sessions/s", "task.created", json!(2)).await?;
        client.publish("agents/nobody", "message.new", json!(3)).await?;
        client.expect_nothing().await?;
        client.publish("global", "task.created", json!(4)).await?;
        let events = client.expect("global", [json!(4)]).await?;
        client.acknowledge(&events[0]).await?;
    }

    async fn many_publishers_share_one_order(database) {
        let server = TestServer::start(database).await?;
        let mut readers = Vec::new();
        for _ in 0..3 {
            let mut reader = Client::connect(&server, "").await?;
            reader.subscribe("topics/x").await?;
            readers.push(reader);
        }
        let publishing = (0..8).map(async |publisher| {
            let mut client = Client::connect(&server, "").await?;
            for number in 0..100 {
                client.publish("topics/x", "system.info", json!([publisher, number])).await?;
            }
            anyhow::Ok(())
        });
        futures_util::future::try_join_all(publishing).await?;
        let mut orders = Vec::new();
        for reader in &mut readers {
            let mut order = Vec::new();
            for seq in 1..=800 {
                let event = reader.event().await?;
                ensure!(event["seq"] == seq, "{event} is not number {seq}");
                order.push(event["data"].clone());
            }
            for publisher in 0..8 {
                let own = order.iter().filter(|data| data[0] == publisher).map(|data| data[1].clone());
                ensure!(own.eq((0..100).map(Value::from)), "publisher {publisher} is out of order");
            }
            orders.push(order);
        }
        ensure!(orders[0] == orders[1] && orders[1] == orders[2], "two readers saw two orders");
    }

    async fn what_is_no_message_is_answered_as_ever(database) {
        let server = TestServer::start(database).await?;
        let mut client = Client::connect(&server, "").await?;
        for text in ["", "hello", "{", "[]", "null", "\"x\"", "{\"type\":"] {
            client.socket.send_text(text).await?;
            let fault = client.socket.expect("error").await?;
            ensure!(fault["error"] == "Failed to parse message" && fault["code"] == "PARSE_ERROR", "{text}: {fault}");
            ensure!(fault["timestamp"] == server.now(), "{fault}");
            client.send(json!({"type": "ping"})).await?;
            client.socket.expect("pong").await?;
        }
        for (message, kind) in [
            (json!({"type": "shout"}), "shout"),
            (json!({"type": "shout", "id": "1"}), "shout"),
            (json!({"channel": "global"}), "undefined"),
            (json!({"type": "SUBSCRIBE", "channel": "global"}), "SUBSCRIBE"),
        ] {
            client.send(message.clone()).await?;
            let fault = client.socket.expect("error").await?;
            let wanted = format!("Unknown message type: {kind}");
            ensure!(fault["error"] == wanted && fault["code"] == "UNKNOWN_MESSAGE_TYPE", "{message}: {fault}");
        }
        for message in [json!({"type": "subscribe"}), json!({"type": "publish", "channel": 5, "event": "system.info"})] {
            client.send(message.clone()).await?;
            let fault = client.socket.expect("error").await?;
            ensure!(fault["code"] == "INVALID_MESSAGE", "{message}: {fault}");
            let mut asking = message;
            asking["id"] = "7".into();
            client.send(asking.clone()).await?;
            let ack = client.socket.expect("ack").await?;
            ensure!(ack["id"] == "7" && ack["success"] == false && ack["error"].is_string(), "{asking}: {ack}");
        }
        // Acknowledging what nobody knows is no fault.
        for id in ["", "msg_1", "msg_00000000000000000000000000000000"] {
            client.send(json!({"type": "ack", "message_id": id})).await?;
        }
        client.send(json!({"type": "pong", "timestamp": 5})).await?;
        client.expect_nothing().await?;
    }

    /// An answer is not as large as what it answers.
    async fn long_names_are_repeated_in_part(database) {
        let server = TestServer::start(database).await?;
        let mut client = Client::connect(&server, "").await?;
        let (whole, long) = ("é".repeat(64), "é".repeat(100_000));
        for (name, told) in [(&whole, whole.clone()), (&long, format!("{whole}…"))] {
            client.send(json!({"type": name})).await?;
            let fault = client.socket.expect("error").await?;
            ensure!(fault["error"] == format!("Unknown message type: {told}"), "{fault}");
            let publish = json!({"type": "publish", "channel": "topics/x", "event": name});
            client.refused(publish, &format!("Invalid event type: {told}")).await?;
        }
        let since = client.ask(json!({"type": "subscribe", "channel": "topics/x", "since_seq": long})).await?;
        ensure!(since["success"] == false && since.to_string().len() < 2_000, "{} bytes", since.to_string().len());
    }

    /// They are not kept, and are the hub's own.
    async fn nobody_publishes_metrics(database) {
        let server = TestServer::start(database).await?;
        let mut client = Client::connect(&server, "").await?;
        let error = "Invalid channel: metrics carries the hub's own figures and is only to be read";
        for event in ["metric.update", "system.info"] {
            let publish = json!({"type": "publish", "channel": "metrics", "event": event, "data": 1});
            client.refused(publish, error).await?;
        }
        client.expect_nothing().await?;
    }

    async fn a_ping_is_answered(database) {
        let server = TestServer::start(database).await?;
        let mut client = Client::connect(&server, "").await?;
        client.send(json!({"type": "ping", "timestamp": 1_706_000_000_000_u64})).await?;
        let pong = client.socket.expect("pong").await?;
        ensure!(pong["timestamp"] == server.now(), "{pong}");
    }
}
