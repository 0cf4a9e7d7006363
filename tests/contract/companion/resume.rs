//! What a client gets that comes back: everything that it lacks, in order, once.

use std::time::{Duration, Instant};

use anyhow::ensure;
use flightdeck_tests::{TestOptions, TestServer, for_each_database};
use serde_json::json;

use super::{messages, open, places, read_to, register, resume, said, say, subscribe};

for_each_database! {
    async fn stored_events_come_in_pages(database) {
        let server = TestServer::start(database).await?;
        let agent = register(&server, "a").await?;
        let mut phone = open(&server, agent, "ios").await?;
        for index in 1..=450 {
            let kind = ["message_in", "message_out", "agent_status"][index % 3];
            let event = json!({"type": kind, "payload": {"content": index.to_string()}});
            phone.send(&json!({"type": "event", "event": event})).await?;
        }
        let live = read_to(&mut phone, 450).await?;
        for since in [0, 1, 250, 449] {
            subscribe(&mut phone, since).await?;
            let mut stored = Vec::new();
            while places(&stored).last() != Some(&450) {
                let page = phone.expect("events").await?;
                let page = page["events"].as_array().cloned().unwrap_or_default();
                let full = page.len() == 200 || page.last().is_some_and(|event| event["seq"] == 450);
                ensure!(full && page.len() <= 200, "a page of {}", page.len());
                stored.extend(page);
            }
            let since = usize::try_from(since)?;
            ensure!(stored == live[since..], "after {since} came {:?}", places(&stored));
        }
        for nothing in [json!({"type": "subscribe", "since_seq": 450}), json!({"type": "subscribe", "since_seq": 450, "x": 1})] {
            phone.send(&nothing).await?;
            ensure!(phone.expect("events").await? == json!({"type": "events", "events": []}), "there is nothing");
        }
        for everything in [json!({"type": "subscribe"}), json!({"type": "subscribe", "since_seq": null})] {
            phone.send(&everything).await?;
            ensure!(read_to(&mut phone, 450).await? == live, "that is not everything");
        }
        say(&server, agent, "live").await?;
        ensure!(phone.expect("event").await?["event"]["seq"] == 451, "new events come by themselves");
    }

    /// Who did not see its event come back sends it again, and must not be heard twice.
    async fn what_is_published_again_is_stored_once_and_comes_back_to_its_sender(database) {
        let mut server = TestServer::start(database).await?;
        let (agent, other) = (register(&server, "a").await?, register(&server, "b").await?);
        let mut phone = open(&server, agent, "ios").await?;
        let mut pc = open(&server, agent, "ios").await?;
        let chunk = |content: &str, id: &str| {
            json!({"type": "event", "event": {"payload": {"content": content, "client_msg_id": id}}})
        };
        pc.send(&chunk("x", "7")).await?;
        let first = pc.expect("event").await?;
        ensure!(first["event"]["seq"] == 1 && phone.expect("event").await? == first, "{first}");
        for _ in 0..3 {
            pc.send(&chunk("x", "7")).await?;
            ensure!(pc.expect("event").await? == first, "it comes back as something else");
        }
        // It knows it by then; who asks for what comes after it gets it once more, and who asks for all gets it in its turn.
        subscribe(&mut pc, 1).await?;
        pc.send(&chunk("x", "7")).await?;
        ensure!(pc.expect("events").await?["events"] == json!([]), "nothing else was stored");
        ensure!(pc.expect("event").await? == first, "it does not come back");
        ensure!(phone.settle().await?.is_empty(), "the others are told twice");

        // What is said otherwise, or to somebody else, or without a proper id, is something else.
        let others = [chunk("y", "7"), chunk("x", "8"), chunk("x", ""), chunk("x", ""), chunk("x", &"7".repeat(201))];
        for (place, message) in others.iter().enumerate() {
            pc.send(message).await?;
            let event = pc.expect("event").await?;
            ensure!(event["event"]["seq"] == place + 2 && phone.expect("event").await? == event, "{message}: {event}");
        }
        let mut stranger = open(&server, other, "ios").await?;
        stranger.send(&chunk("x", "7")).await?;
        ensure!(stranger.expect("event").await?["event"]["agent_id"] == json!(other), "it is another agent's");

        server.restart().await?;
        let mut pc = open(&server, agent, "ios").await?;
        pc.send(&chunk("x", "7")).await?;
        ensure!(pc.expect("event").await? == first, "it was forgotten");
        ensure!(messages(&server, agent, 0).await?.len() == 1 + others.len(), "something was stored twice");
    }

    /// Whoever subscribes at once gets each event once, also what happens in between.
    async fn nothing_comes_before_its_time(database) {
        let server = TestServer::start(database).await?;
        let agent = register(&server, "a").await?;
        let (mut last, mut prompt) = (0, 0);
        while prompt < 20 {
            let begun = Instant::now();
            let mut phone = open(&server, agent, "ios").await?;
            say(&server, agent, "before").await?;
            subscribe(&mut phone, last).await?;
            let in_time = begun.elapsed() < Duration::from_millis(400);
            last = say(&server, agent, "after").await?;
            let events = read_to(&mut phone, last).await?;
            if in_time {
                ensure!(places(&events) == [last - 1, last], "{events:?}");
                ensure!(said(&events) == ["before", "after"], "{events:?}");
                prompt += 1;
            }
        }
    }

    /// A client that asks later for what it has had already gets it: it may have lost it.
    async fn asking_again_gives_again(database) {
        let server = TestServer::start(database).await?;
        let agent = register(&server, "a").await?;
        let mut phone = open(&server, agent, "ios").await?;
        say(&server, agent, "x").await?;
        let first = read_to(&mut phone, 1).await?;
        subscribe(&mut phone, 0).await?;
        let page = phone.expect("events").await?;
        ensure!(page["events"].as_array() == Some(&first), "{page}");
        ensure!(phone.settle().await?.is_empty(), "and once more");
    }

    /// A client that comes and goes while others write has everything in the end, each event once, in order.
    async fn coming_and_going_loses_nothing(database) {
        const EVENTS: u64 = 600;
        let server = TestServer::start(database).await?;
        let agent = register(&server, "a").await?;
        let write = async {
            for index in 0..EVENTS {
                say(&server, agent, &index.to_string()).await?;
            }
            anyhow::Ok(())
        };
        let read = async {
            let mut seen = Vec::new();
            let mut rounds = 0;
            while (seen.len() as u64) < EVENTS {
                let mut phone = open(&server, agent, "ios").await?;
                // A different number of frames each time, so that it ends in pages, between them, and among new events.
                rounds += 1;
                let until = (seen.len() as u64 + 1 + rounds * 7 % 40).min(EVENTS);
                // What it read beyond that was lost with the connection.
                seen.extend(resume(&mut phone, seen.len() as u64, until).await?);
            }
            anyhow::Ok(seen)
        };
        let (written, seen) = tokio::join!(write, read);
        written?;
        let seen = seen?;
        ensure!(places(&seen).into_iter().eq(1..=EVENTS), "{:?}", places(&seen));
        let wanted: Vec<_> = (0..EVENTS).map(|index| index.to_string()).collect();
        ensure!(said(&seen) == wanted, "the order of writing is lost");
    }

    async fn what_is_gone_is_said_to_be_gone(database) {
        let server = TestServer::with(TestOptions::new(database).set("FLIGHTDECK_RETENTION", "agents=0/10")).await?;
        let agent = register(&server, "a").await?;
        for index in 1..=30 {
            say(&server, agent, &index.to_string()).await?;
        }
        let mut phone = open(&server, agent, "ios").await?;
        let mut first = 1;
        // The server tidies up once a minute; a socket that is silent for so long is closed.
        while first == 1 {
            server.advance(Duration::from_secs(15));
            tokio::time::sleep(Duration::from_millis(5)).await;
            subscribe(&mut phone, 0).await?;
            let (name, message) = phone.recv().await?;
            if name == "gap" {
                ensure!(message == json!({"type": "gap", "since_seq": 0, "next_seq": 21, "reason": "trimmed"}), "{message}");
                first = 21;
            }
            let events = if name == "gap" { read_to(&mut phone, 30).await? } else { Vec::new() };
            ensure!(name == "events" || places(&events).into_iter().eq(21..=30), "{events:?}");
        }
        // What is still there comes without a word about what is not.
        subscribe(&mut phone, 20).await?;
        ensure!(places(&read_to(&mut phone, 30).await?).into_iter().eq(21..=30), "something is missing");

        // A position that this log never had is of another one, and everything is new.
        subscribe(&mut phone, 1_000).await?;
        let gap = phone.expect("gap").await?;
        ensure!(gap == json!({"type": "gap", "since_seq": 1_000, "next_seq": 21, "reason": "ahead"}), "{gap}");
        ensure!(places(&read_to(&mut phone, 30).await?).into_iter().eq(21..=30), "something is missing");
    }

    /// Who does not read is let go, and finds everything when it comes back; others do not notice.
    async fn a_slow_reader_is_let_go_and_loses_nothing(database) {
        const EVENTS: u64 = 80;
        let server = TestServer::start(database).await?;
        let agent = register(&server, "a").await?;
        let mut slow = open(&server, agent, "ios").await?;
        let mut quick = open(&server, agent, "ios").await?;
        // From now on it has new events to read.
        subscribe(&mut slow, 0).await?;
        slow.expect("events").await?;
        let write = async {
            for _ in 0..EVENTS {
                say(&server, agent, &"x".repeat(262_144)).await?;
            }
            anyhow::Ok(())
        };
        let (written, seen) = tokio::join!(write, read_to(&mut quick, EVENTS));
        written?;
        ensure!(places(&seen?).into_iter().eq(1..=EVENTS), "the quick one lost something");
        slow.expect_close("slow_reader").await?;
        let mut back = open(&server, agent, "ios").await?;
        ensure!(places(&resume(&mut back, 0, EVENTS).await?).into_iter().eq(1..=EVENTS), "something is missing");
    }
}
