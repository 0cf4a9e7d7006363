//! Following and leaving channels, from now on or from a place.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use flightdeck_tests::{Kind, TestOptions, TestServer, for_each_database, on_postgres};
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};

use super::{Client, pass, seqs};

/// The answers to a subscription since a place: what was missed, and the message that ends it.
async fn caught_up(client: &mut Client) -> Result<(Vec<Value>, Value)> {
    let mut events = Vec::new();
    loop {
        match client.socket.recv().await? {
            ("event", event) => events.push(event),
            ("synced", synced) => return Ok((events, synced)),
            ("ping", _) => {}
            (_, other) => anyhow::bail!("{other} came in place of events"),
        }
    }
}

for_each_database! {
    async fn a_client_begins_on_global(database) {
        let server = TestServer::start(database).await?;
        let mut one = Client::connect(&server, "").await?;
        let mut other = Client::connect(&server, "?agent_id=frontend&session_id=s-1").await?;
        ensure!(one.client_id != other.client_id, "two clients have one name");
        for number in 0..3 {
            one.publish("global", "system.info", json!(number)).await?;
        }
        one.expect("global", [0, 1, 2].map(Value::from)).await?;
        let events = other.expect("global", [0, 1, 2].map(Value::from)).await?;
        ensure!(seqs(&events) == [1, 2, 3], "{events:?}");
        for event in &events {
            let id = event["id"].as_str().unwrap_or_default();
            ensure!(id.starts_with("msg_") && event["event"] == "system.info", "{event}");
            ensure!(event["timestamp"] == server.now(), "{event}");
        }
    }

    async fn who_follows_hears_and_who_leaves_does_not(database) {
        let server = TestServer::start(database).await?;
        let mut client = Client::connect(&server, "").await?;
        let mut publisher = Client::connect(&server, "").await?;
        for channel in ["metrics", "sessions/s-1", "topics/deployments", "topics/a.b:c"] {
            client.subscribe(channel).await?;
        }
        publisher.publish("topics/deployments", "system.info", json!(1)).await?;
        publisher.publish("topics/other", "system.info", json!(2)).await?;
        publisher.publish("sessions/s-1", "system.info", json!(3)).await?;
        let figures = client.event().await?;
        ensure!(figures["channel"] == "metrics" && figures["event"] == "metric.update", "{figures}");
        client.expect("topics/deployments", [json!(1)]).await?;
        client.expect("sessions/s-1", [json!(3)]).await?;
        client.unsubscribe("topics/deployments").await?;
        // Twice, or without having followed, is no fault.
        client.unsubscribe("topics/deployments").await?;
        publisher.publish("topics/deployments", "system.info", json!(4)).await?;
        client.expect_nothing().await?;
        client.subscribe("topics/deployments").await?;
        client.subscribe("topics/deployments").await?;
        publisher.publish("topics/deployments", "system.info", json!(5)).await?;
        client.expect("topics/deployments", [json!(5)]).await?;
        client.expect_nothing().await?;
    }

    /// The answer means: from now on nothing is missed.
    async fn what_is_published_after_the_answer_comes(database) {
        let server = TestServer::start(database).await?;
        let mut publisher = Client::connect(&server, "").await?;
        for round in 0..50 {
            let channel = format!("topics/t{}", round % 5);
            publisher.publish(&channel, "system.info", json!("before")).await?;
            let mut client = Client::connect(&server, "").await?;
            client.subscribe(&channel).await?;
            publisher.publish(&channel, "system.info", json!(round)).await?;
            client.expect(&channel, [json!(round)]).await?;
            // Without waiting for the answer, too: one frame comes after the other.
            let own = format!("topics/own{round}");
            client.send(json!({"type": "subscribe", "channel": own})).await?;
            client.publish(&own, "system.info", json!("own")).await?;
            client.expect(&own, [json!("own")]).await?;
        }
    }

    async fn what_is_no_channel_is_refused(database) {
        let server = TestServer::start(database).await?;
        let mut client = Client::connect(&server, "").await?;
        let long = format!("agents/{}", "a".repeat(65));
        let longer = format!("sessions/{}", "s".repeat(129));
        for channel in ["bad/channel/path", "", "globall", "agents/", "sessions/a b", "topics/a/b", &long, &longer] {
            let error = format!("Invalid channel format: {channel}");
            client.refused(json!({"type": "subscribe", "channel": channel}), &error).await?;
            client.refused(json!({"type": "unsubscribe", "channel": channel}), &error).await?;
            let publish = json!({"type": "publish", "channel": channel, "event": "system.info", "data": {}});
            client.refused(publish, &error).await?;
            // Who did not ask for an answer is told all the same.
            client.send(json!({"type": "subscribe", "channel": channel})).await?;
            let fault = client.socket.expect("error").await?;
            ensure!(fault["code"] == "INVALID_CHANNEL" && fault["error"] == error, "{fault}");
        }
        ensure!(server.count("streams").await? == 0, "something was published");
    }

    async fn nobody_answers_who_did_not_ask(database) {
        let server = TestServer::start(database).await?;
        let mut client = Client::connect(&server, "").await?;
        client.send(json!({"type": "subscribe", "channel": "topics/x", "timestamp": 1_706_000_000_000_u64})).await?;
        client.send(json!({"type": "publish", "channel": "topics/x", "event": "system.info", "data": 1})).await?;
        client.expect("topics/x", [json!(1)]).await?;
        client.send(json!({"type": "unsubscribe", "channel": "topics/x"})).await?;
        client.send(json!({"type": "auth", "agent_id": "a"})).await?;
        let came = client.event().await?;
        ensure!(came["event"] == "agent.connected", "{came}");
        client.expect_nothing().await?;
    }

    async fn an_agent_s_channel_is_its_own(database) {
        let server = TestServer::start(database).await?;
        let private = "Not authorized to subscribe to this agent channel";
        let subscribe = json!({"type": "subscribe", "channel": "agents/backend"});
        let mut stranger = Client::connect(&server, "").await?;
        stranger.refused(subscribe.clone(), private).await?;
        let mut other = Client::agent(&server, "frontend").await?;
        other.refused(subscribe.clone(), private).await?;
        other.send(subscribe.clone()).await?;
        let fault = loop {
            match other.socket.recv().await? {
                ("error", fault) => break fault,
                ("event", _) => {}
                (_, message) => anyhow::bail!("{message}"),
            }
        };
        ensure!(fault["code"] == "NOT_AUTHORIZED" && fault["error"] == private, "{fault}");
        // In development, on the same machine, a client is whoever it says.
        let mut named = Client::connect(&server, "?agent_id=backend").await?;
        named.ok(subscribe.clone()).await?;
        let mut own = Client::agent(&server, "backend").await?;
        own.ok(subscribe).await?;
        // Others can talk to the agent there.
        other.publish("agents/backend", "message.new", json!({"content": "Migration complete"})).await?;
        for client in [&mut named, &mut own] {
            loop {
                let event = client.event().await?;
                if event["channel"] == "agents/backend" {
                    ensure!(event["data"]["content"] == "Migration complete", "{event}");
                    break;
                }
                ensure!(event["channel"] == "global", "{event}");
            }
        }
    }

    async fn missed_events_come_first_and_once(database) {
        let server = TestServer::start(database).await?;
        let mut publisher = Client::connect(&server, "").await?;
        for number in 1..=20 {
            publisher.publish("topics/x", "system.info", json!(number)).await?;
        }
        let mut client = Client::connect(&server, "").await?;
        for since in [0, 15, 20] {
            client.subscribe_since("topics/x", since).await?;
            let (events, synced) = caught_up(&mut client).await?;
            ensure!(seqs(&events) == (since + 1..21).collect::<Vec<u64>>(), "since {since} came {events:?}");
            ensure!(synced["channel"] == "topics/x" && synced["seq"] == 20, "{synced}");
        }
        publisher.publish("topics/x", "system.info", json!(21)).await?;
        client.expect("topics/x", [json!(21)]).await?;
        // A channel on which nothing happened yet.
        client.subscribe_since("topics/nothing", 0).await?;
        let (events, synced) = caught_up(&mut client).await?;
        ensure!(events.is_empty() && synced["seq"] == 0, "{synced}");
        client.expect_nothing().await?;
    }

    async fn history_and_news_meet_without_a_seam(database) {
        let server = TestServer::start(database).await?;
        let mut publisher = Client::connect(&server, "").await?;
        let publishing = async {
            for number in 1..=1_500 {
                publisher.publish("topics/x", "system.info", json!(number)).await?;
            }
            anyhow::Ok(())
        };
        let reading = async {
            for round in 0..20 {
                let mut client = Client::connect(&server, "").await?;
                client.subscribe_since("topics/x", 0).await?;
                let mut last = 0;
                let mut synced = false;
                while !(synced && last >= 70 * (round + 1)) {
                    match client.socket.recv().await? {
                        ("event", event) => {
                            ensure!(event["seq"] == last + 1 && event["data"] == last + 1, "{event} came after {last}");
                            last += 1;
                        }
                        ("synced", mark) => {
                            ensure!(!synced && mark["seq"] == last, "{mark} came after {last}");
                            synced = true;
                        }
                        (_, other) => anyhow::bail!("{other}"),
                    }
                }
            }
            anyhow::Ok(())
        };
        tokio::try_join!(publishing, reading)?;
    }

    async fn a_place_that_is_not_to_be_had_is_told(database) {
        let options = TestOptions::new(database).set("FLIGHTDECK_RETENTION", "channels=0/5");
        let server = TestServer::with(options).await?;
        let mut client = Client::connect(&server, "").await?;
        client.subscribe_since("topics/x", 7).await?;
        let gap = client.socket.expect("gap").await?;
        ensure!(gap["since_seq"] == 7 && gap["next_seq"] == 1 && gap["reason"] == "ahead", "{gap}");
        ensure!(caught_up(&mut client).await?.1["seq"] == 0, "nothing has happened");
        for number in 1..=12 {
            client.publish("topics/x", "system.info", json!(number)).await?;
        }
        client.expect("topics/x", (1..=12).map(Value::from)).await?;
        // History is trimmed in the background.
        let deadline = std::time::Instant::now() + Duration::from_secs(20);
        let gap = loop {
            pass(&server, Duration::from_secs(60), &mut [&mut client]).await?;
            tokio::time::sleep(Duration::from_millis(20)).await;
            client.events.clear();
            client.subscribe_since("topics/x", 3).await?;
            match client.socket.recv().await? {
                ("gap", gap) => break gap,
                ("event", _) => {
                    caught_up(&mut client).await?;
                }
                (_, other) => anyhow::bail!("{other}"),
            }
            ensure!(std::time::Instant::now() < deadline, "nothing is trimmed");
        };
        ensure!(gap["since_seq"] == 3 && gap["next_seq"] == 8 && gap["reason"] == "trimmed", "{gap}");
        let (events, _) = caught_up(&mut client).await?;
        ensure!(seqs(&events) == [8, 9, 10, 11, 12], "{events:?}");
        client.subscribe_since("topics/x", 99).await?;
        let gap = client.socket.expect("gap").await?;
        ensure!(gap["reason"] == "ahead" && gap["next_seq"] == 8, "{gap}");
        let (events, _) = caught_up(&mut client).await?;
        ensure!(seqs(&events) == [8, 9, 10, 11, 12], "{events:?}");
    }

    async fn a_client_can_follow_a_thousand_channels(database) {
        let server = TestServer::start(database).await?;
        let mut client = Client::connect(&server, "").await?;
        // It is on `global` already.
        for number in 1..1_000 {
            client.subscribe(&format!("topics/t{number}")).await?;
        }
        let one_more = client.ask(json!({"type": "subscribe", "channel": "topics/one-more"})).await?;
        let error = one_more["error"].as_str().context("it is refused")?;
        ensure!(error.starts_with("Too many subscriptions"), "{one_more}");
        client.publish("topics/t999", "system.info", json!("last")).await?;
        client.publish("topics/t1", "system.info", json!("first")).await?;
        client.expect("topics/t999", [json!("last")]).await?;
        client.expect("topics/t1", [json!("first")]).await?;
        client.unsubscribe("topics/t500").await?;
        client.subscribe("topics/one-more").await?;
    }
}

on_postgres! {
    /// A client that has to wait for the database is told so after a while, and nothing is left of its request.
    async fn who_follows_while_the_database_hangs_is_refused() {
        let mut server = TestServer::start(Kind::Postgres).await?;
        let mut client = Client::connect(&server, "").await?;
        let hanging = server.database().connect().await?;
        hanging.execute_unprepared("BEGIN; LOCK TABLE streams IN ACCESS EXCLUSIVE MODE").await?;
        let error = "The server can't reach its database, or it is shutting down.";
        client.refused(json!({"type": "subscribe", "channel": "topics/x"}), error).await?;
        hanging.execute_unprepared("COMMIT").await?;
        let mut publisher = Client::connect(&server, "").await?;
        publisher.publish("topics/x", "system.info", json!(1)).await?;
        client.expect_nothing().await?;
        client.subscribe("topics/x").await?;
        publisher.publish("topics/x", "system.info", json!(2)).await?;
        client.expect("topics/x", [json!(2)]).await?;
    }
}
