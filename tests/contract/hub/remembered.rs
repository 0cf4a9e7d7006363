//! Agents that come back: they are on their channels again, and get what they have not acknowledged.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use flightdeck_tests::database::TestDatabase;
use flightdeck_tests::socket::frame::{Frame, PING, PONG};
use flightdeck_tests::{Kind, Request, ServerProcess, TestOptions, TestServer, for_each_database};
use serde_json::{Value, json};

use super::{Client, pass, seqs};

/// The next events, without those on `global`: that agents come and go is told there.
async fn next(client: &mut Client, count: usize) -> Result<Vec<Value>> {
    let mut events = Vec::new();
    while events.len() < count {
        let event = client.event().await?;
        if event["channel"] != "global" {
            events.push(event);
        }
    }
    Ok(events)
}

fn data(events: &[Value]) -> Vec<Value> {
    events.iter().map(|event| event["data"].clone()).collect()
}

/// Fails unless the next events are these, and then nothing comes.
async fn gets(client: &mut Client, wanted: impl IntoIterator<Item = i32>) -> Result<Vec<Value>> {
    let wanted: Vec<Value> = wanted.into_iter().map(Value::from).collect();
    let events = next(client, wanted.len()).await?;
    ensure!(data(&events) == wanted, "{events:?} came instead of {wanted:?}");
    client.ok(json!({"type": "unsubscribe", "channel": "global"})).await?;
    client.events.retain(|event| event["channel"] != "global");
    client.expect_nothing().await?;
    Ok(events)
}

/// An agent that was sent an event as often as it ever is, and has said nothing since.
async fn given_up(server: &TestServer) -> Result<Client> {
    let mut publisher = Client::connect(server, "").await?;
    let mut agent = Client::agent(server, "backend").await?;
    agent.unsubscribe("global").await?;
    publisher.publish("agents/backend", "message.new", json!(1)).await?;
    next(&mut agent, 1).await?;
    for _ in 0..2 {
        server.advance(Duration::from_secs(5));
        next(&mut agent, 1).await?;
    }
    server.advance(Duration::from_secs(5));
    let stats = Request::get("/stats");
    while server.send(&stats).await?.success()?["pendingDeliveries"] != 0 {}
    Ok(agent)
}

for_each_database! {
    async fn who_comes_back_gets_what_is_not_acknowledged(database) {
        let mut server = TestServer::start(database).await?;
        let mut publisher = Client::connect(&server, "").await?;
        publisher.unsubscribe("global").await?;
        let mut agent = Client::agent(&server, "backend").await?;
        agent.subscribe("topics/x").await?;
        for number in 1..=4 {
            publisher.publish("topics/x", "task.created", json!(number)).await?;
        }
        publisher.publish("topics/x", "system.info", json!(5)).await?;
        let events = next(&mut agent, 5).await?;
        agent.acknowledge(&events[0]).await?;
        agent.acknowledge(&events[2]).await?;
        agent.socket.close().await?;
        for (event, number) in [("system.info", 6), ("task.updated", 7), ("system.error", 8), ("message.new", 9)] {
            publisher.publish("topics/x", event, json!(number)).await?;
        }
        for restart in [false, true, true] {
            if restart {
                server.restart().await?;
            }
            // It follows nothing by itself: it is where it was, in order, and the same ids come.
            let mut back = Client::agent(&server, "backend").await?;
            let missed = gets(&mut back, [2, 4, 7, 9]).await?;
            ensure!(missed[0] == events[1] && missed[1] == events[3], "{missed:?}");
            back.socket.close().await?;
        }
        let mut back = Client::agent(&server, "backend").await?;
        let mut publisher = Client::connect(&server, "").await?;
        let missed = next(&mut back, 4).await?;
        publisher.publish("topics/x", "system.info", json!(10)).await?;
        for event in &missed {
            back.acknowledge(event).await?;
        }
        gets(&mut back, [10]).await?;
        back.socket.close().await?;
        let mut back = Client::agent(&server, "backend").await?;
        gets(&mut back, []).await?;
    }

    /// What was sent as often as it ever is, is done with.
    async fn what_is_not_acknowledged_comes_again_after_a_while(database) {
        let server = TestServer::start(database).await?;
        let mut publisher = Client::connect(&server, "").await?;
        let mut agent = Client::agent(&server, "backend").await?;
        publisher.publish("agents/backend", "message.new", json!(1)).await?;
        next(&mut agent, 1).await?;
        agent.socket.close().await?;
        let mut back = Client::agent(&server, "backend").await?;
        let first = next(&mut back, 1).await?;
        for _ in 0..2 {
            server.advance(Duration::from_secs(5));
            ensure!(next(&mut back, 1).await? == first, "the same comes again");
        }
        server.advance(Duration::from_secs(5));
        gets(&mut back, []).await?;
        back.socket.close().await?;
        let mut back = Client::agent(&server, "backend").await?;
        gets(&mut back, []).await?;
    }

    /// A connection can be gone long before that is known: what was sent into it is not done with.
    async fn what_nobody_was_there_to_get_comes_again(database) {
        let server = TestServer::start(database).await?;
        let agent = given_up(&server).await?;
        agent.socket.close().await?;
        let mut back = Client::agent(&server, "backend").await?;
        let missed = gets(&mut back, [1]).await?;
        back.acknowledge(&missed[0]).await?;
        back.socket.close().await?;
        let mut back = Client::agent(&server, "backend").await?;
        gets(&mut back, []).await?;
    }

    /// Many clients say nothing but what their WebSocket says by itself.
    async fn a_sign_of_life_need_not_be_a_message(database) {
        for opcode in [PING, PONG] {
            let server = TestServer::start(database).await?;
            let mut agent = given_up(&server).await?;
            agent.socket.send_frame(&Frame::new(opcode, "")).await?;
            agent.socket.close().await?;
            let mut back = Client::agent(&server, "backend").await?;
            gets(&mut back, []).await.with_context(|| format!("opcode {opcode}"))?;
        }
    }

    /// An agent asks for nothing when it comes back, and learns that it missed something all the same.
    async fn who_comes_back_too_late_is_told(database) {
        let options = TestOptions::new(database).set("FLIGHTDECK_RETENTION", "channels=0/5");
        let server = TestServer::with(options).await?;
        let mut publisher = Client::connect(&server, "").await?;
        publisher.unsubscribe("global").await?;
        let mut agent = Client::agent(&server, "backend").await?;
        agent.subscribe("topics/x").await?;
        agent.unsubscribe("global").await?;
        agent.socket.close().await?;
        for number in 1..=12 {
            publisher.publish("topics/x", "task.created", json!(number)).await?;
        }
        // History is trimmed in the background.
        let deadline = std::time::Instant::now() + Duration::from_secs(20);
        loop {
            pass(&server, Duration::from_secs(60), &mut [&mut publisher]).await?;
            publisher.subscribe_since("topics/x", 0).await?;
            let trimmed = publisher.socket.recv().await?.0 == "gap";
            publisher.socket.until("synced").await?;
            if trimmed {
                break;
            }
            ensure!(std::time::Instant::now() < deadline, "nothing is trimmed");
        }
        let mut back = Client::agent(&server, "backend").await?;
        let gap = loop {
            match back.socket.recv().await? {
                ("gap", gap) => break gap,
                (_, other) => ensure!(other["channel"] != "topics/x", "{other}"),
            }
        };
        ensure!(gap["channel"] == "topics/x" && gap["since_seq"] == 0 && gap["next_seq"] == 8, "{gap}");
        ensure!(seqs(&next(&mut back, 5).await?) == [8, 9, 10, 11, 12], "the rest comes");
    }

    async fn who_leaves_a_channel_is_not_put_back(database) {
        let server = TestServer::start(database).await?;
        let mut agent = Client::agent(&server, "backend").await?;
        agent.subscribe("topics/x").await?;
        agent.subscribe("topics/y").await?;
        agent.unsubscribe("topics/x").await?;
        agent.unsubscribe("global").await?;
        agent.socket.close().await?;
        let mut publisher = Client::connect(&server, "").await?;
        publisher.unsubscribe("global").await?;
        for channel in ["topics/x", "topics/y", "global", "agents/backend"] {
            publisher.publish(channel, "task.created", json!(channel)).await?;
        }
        let mut back = Client::agent(&server, "backend").await?;
        let mut missed = Vec::new();
        loop {
            let event = back.event().await?;
            if event["event"] == "agent.connected" {
                continue;
            }
            missed.push(event["channel"].clone());
            back.acknowledge(&event).await?;
            if missed.len() == 2 {
                break;
            }
        }
        missed.sort_by_key(Value::to_string);
        ensure!(missed == ["agents/backend", "topics/y"], "{missed:?}");
    }

    /// What it follows before it says who it is, it follows as that agent.
    async fn an_agent_keeps_what_it_followed_before(database) {
        let server = TestServer::start(database).await?;
        let mut publisher = Client::connect(&server, "").await?;
        let mut agent = Client::connect(&server, "").await?;
        agent.subscribe("topics/x").await?;
        publisher.publish("topics/x", "task.created", json!(1)).await?;
        agent.ok(json!({"type": "auth", "agent_id": "backend"})).await?;
        publisher.publish("topics/x", "task.created", json!(2)).await?;
        let events = next(&mut agent, 2).await?;
        ensure!(data(&events) == [1, 2], "{events:?}");
        agent.socket.close().await?;
        let mut back = Client::agent(&server, "backend").await?;
        gets(&mut back, [1, 2]).await?;
    }

    /// It was on `global` from the beginning of the connection; what it lacks from before comes before what is new.
    async fn global_is_remembered_like_any_channel(database) {
        let server = TestServer::start(database).await?;
        let agent = Client::agent(&server, "backend").await?;
        agent.socket.close().await?;
        let mut publisher = Client::connect(&server, "").await?;
        for number in 1..=3 {
            publisher.publish("global", "task.created", json!(number)).await?;
        }
        let mut back = Client::connect(&server, "").await?;
        publisher.publish("global", "task.created", json!(4)).await?;
        back.expect("global", [json!(4)]).await?;
        back.ok(json!({"type": "auth", "agent_id": "backend"})).await?;
        publisher.publish("global", "task.created", json!(5)).await?;
        let mut came = Vec::new();
        while came.len() < 4 {
            let event = back.event().await?;
            if event["event"] == "task.created" {
                came.push(event["data"].clone());
            }
        }
        ensure!(came == [1, 2, 3, 5], "{came:?}");
    }

    /// A client that keeps its own place is believed; nothing is sent to it twice.
    async fn a_place_acknowledges_what_is_before_it(database) {
        let server = TestServer::start(database).await?;
        let mut publisher = Client::connect(&server, "").await?;
        let mut agent = Client::agent(&server, "backend").await?;
        agent.subscribe("topics/x").await?;
        for number in 1..=6 {
            publisher.publish("topics/x", "task.created", json!(number)).await?;
        }
        next(&mut agent, 6).await?;
        agent.subscribe_since("topics/x", 4).await?;
        agent.events.clear();
        ensure!(data(&next(&mut agent, 2).await?) == [5, 6], "it asked for these");
        agent.socket.expect("synced").await?;
        agent.socket.close().await?;
        let mut back = Client::agent(&server, "backend").await?;
        let missed = gets(&mut back, [5, 6]).await?;
        back.acknowledge(&missed[1]).await?;
        back.acknowledge(&missed[0]).await?;
        back.socket.close().await?;
        let mut back = Client::agent(&server, "backend").await?;
        gets(&mut back, []).await?;
    }

    /// It gets on as it acknowledges, and what is new comes after what is old.
    async fn who_was_away_for_long_gets_everything(database) {
        let server = TestServer::start(database).await?;
        let mut agent = Client::agent(&server, "backend").await?;
        agent.subscribe("topics/x").await?;
        agent.socket.close().await?;
        let mut publishers = Vec::new();
        for _ in 0..20 {
            publishers.push(Client::connect(&server, "").await?);
        }
        let publishing = publishers.iter_mut().map(async |publisher| {
            for _ in 0..150 {
                publisher.publish("topics/x", "task.updated", json!({})).await?;
            }
            anyhow::Ok(())
        });
        futures_util::future::try_join_all(publishing).await?;
        let mut back = Client::agent(&server, "backend").await?;
        publishers[0].publish("topics/x", "system.info", json!("new")).await?;
        let mut seq = 0;
        while seq < 3_001 {
            let event = next(&mut back, 1).await?.remove(0);
            seq += 1;
            ensure!(event["seq"] == seq, "{event} came as number {seq}");
            back.acknowledge(&event).await?;
        }
        gets(&mut back, []).await?;
    }

    /// It is given no more than it can be expected to acknowledge, and so comes to the end.
    async fn who_acknowledges_nothing_gets_everything_by_and_by(database) {
        let server = TestServer::start(database).await?;
        let mut agent = Client::agent(&server, "backend").await?;
        agent.subscribe("topics/x").await?;
        agent.unsubscribe("global").await?;
        agent.socket.close().await?;
        let mut publishers = Vec::new();
        for _ in 0..16 {
            publishers.push(Client::connect(&server, "").await?);
        }
        let publishing = publishers.iter_mut().map(async |publisher| {
            for _ in 0..100 {
                publisher.publish("topics/x", "task.updated", json!({})).await?;
            }
            anyhow::Ok(())
        });
        futures_util::future::try_join_all(publishing).await?;
        let mut back = Client::agent(&server, "backend").await?;
        let mut seen = BTreeMap::new();
        let reading = async {
            while seen.len() < 1_600 {
                let event = next(&mut back, 1).await?.remove(0);
                let seq = event["seq"].as_u64().context("it has a place")?;
                ensure!(seq <= seen.len() as u64 + 1, "{seq} came after {} others", seen.len());
                let sends = seen.entry(seq).or_insert(0);
                *sends += 1;
                ensure!(*sends <= 3, "{seq} came {sends} times");
            }
            anyhow::Ok(())
        };
        server.hurry(reading).await?;
        // They left before the others came.
        ensure!(seen[&1] > 1 && seen[&1_600] == 1, "{seen:?}");
    }

    /// Whenever it goes, however it goes, and whatever it has acknowledged by then.
    async fn nothing_tracked_is_lost(database) {
        const EVENTS: u64 = 900;
        let server = TestServer::start(database).await?;
        Client::agent(&server, "backend").await?.subscribe("topics/x").await?;
        let mut publisher = Client::connect(&server, "").await?;
        publisher.unsubscribe("global").await?;
        let publishing = async {
            for number in 1..=EVENTS {
                let event = if number % 3 == 0 { "system.info" } else { "message.new" };
                publisher.publish("topics/x", event, json!(number)).await?;
            }
            anyhow::Ok(())
        };
        let reading = async {
            let mut seen = BTreeSet::new();
            let mut dice = 7_u32;
            while seen.len() < 600 {
                let mut client = Client::agent(&server, "backend").await?;
                dice = dice.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let mut last = 0;
                for turn in 0..dice >> 25 {
                    let event = tokio::time::timeout(Duration::from_millis(300), next(&mut client, 1)).await;
                    let Ok(event) = event else { break };
                    let event = event?.remove(0);
                    let seq = event["seq"].as_u64().context("it has a place")?;
                    ensure!(seq > last && event["data"] == seq, "{event} came after {last}");
                    last = seq;
                    if seq % 3 != 0 {
                        seen.insert(seq);
                    }
                    if (dice >> (turn % 24)) & 3 != 0 {
                        client.acknowledge(&event).await?;
                    }
                }
                // Some say goodbye, and some are just gone.
                if dice >> 31 == 0 {
                    client.socket.close().await?;
                }
            }
            anyhow::Ok(())
        };
        tokio::try_join!(publishing, reading)?;
    }

    /// A server that is killed has acknowledged the subscription, and loses no delivery.
    async fn a_killed_server_remembers(database) {
        let database = TestDatabase::create(database).await?;
        let mut process = ServerProcess::on(&database, &[]).await?;
        let mut publisher = Client::of(&process, database.kind()).await?;
        let mut agent = Client::of(&process, database.kind()).await?;
        agent.ok(json!({"type": "auth", "agent_id": "backend"})).await?;
        agent.subscribe("topics/x").await?;
        for number in 1..=5 {
            publisher.publish("topics/x", "task.created", json!(number)).await?;
        }
        let events = next(&mut agent, 5).await?;
        for event in &events[..3] {
            agent.acknowledge(event).await?;
        }
        // What is acknowledged is written down within about a second.
        tokio::time::sleep(Duration::from_millis(2_500)).await;
        process.kill().await?;
        let process = ServerProcess::on(&database, &[]).await?;
        let mut back = Client::of(&process, database.kind()).await?;
        back.ok(json!({"type": "auth", "agent_id": "backend"})).await?;
        let missed = next(&mut back, 2).await?;
        ensure!(missed == events[3..], "{missed:?}");
    }
}

/// Servers on one PostgreSQL are one hub.
#[test]
fn an_agent_comes_back_on_another_server() {
    flightdeck_tests::block_on(async {
        let mut server = TestServer::start(Kind::Postgres).await?;
        let other = ServerProcess::on(server.database(), &[]).await?;
        let mut agent = Client::agent(&server, "backend").await?;
        agent.subscribe("topics/x").await?;
        let mut publisher = Client::of(&other, Kind::Postgres).await?;
        publisher.publish("topics/x", "task.created", json!(1)).await?;
        let events = next(&mut agent, 1).await?;
        ensure!(data(&events) == [1], "what is published on one server comes on the other: {events:?}");
        agent.socket.close().await?;
        let mut back = Client::of(&other, Kind::Postgres).await?;
        back.ok(json!({"type": "auth", "agent_id": "backend"})).await?;
        ensure!(next(&mut back, 1).await? == events, "it has not acknowledged that");
        Ok(())
    });
}
