//! What is said on the socket, and how it ends.

use anyhow::{Context, Result, ensure};
use flightdeck_tests::server::COMPANION_TOKEN;
use flightdeck_tests::{RawSocket, Request, TestOptions, TestServer, for_each_database};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{message, messages, open, places, read_to, register, said, say, socket, subscribe};

/// The next event that is not part of a page.
async fn next_event(socket: &mut RawSocket) -> Result<Value> {
    Ok(socket.expect("event").await?["event"].take())
}

for_each_database! {
    async fn it_begins_with_a_greeting(database) {
        let server = TestServer::start(database).await?;
        let agent = register(&server, "a").await?;
        for last in [0, 1, 2] {
            for role in ["pc", "ios"] {
                let mut socket = server.open(&socket(agent, role)).await?;
                let (name, hello) = socket.recv().await?;
                // The first socket of the machine turned the agent online.
                let known = messages(&server, agent, 0).await?.len() as u64 + u64::from(last > 0 || role == "ios");
                ensure!(name == "hello" && hello["agent_id"] == json!(agent), "{hello}");
                ensure!(hello["last_seq"] == known, "{hello} when there are {known} events");
                socket.close().await?;
            }
            say(&server, agent, "x").await?;
        }
    }

    async fn everybody_gets_everything_from_the_beginning(database) {
        let server = TestServer::start(database).await?;
        let (agent, other) = (register(&server, "a").await?, register(&server, "b").await?);
        let mut pc = open(&server, agent, "pc").await?;
        let mut phones = vec![open(&server, agent, "ios").await?, open(&server, agent, "ios").await?];
        let mut stranger = open(&server, other, "ios").await?;
        for index in 0..5 {
            say(&server, agent, &format!("{index}")).await?;
        }
        let mine = read_to(&mut pc, 6).await?;
        ensure!(said(&mine) == ["online", "0", "1", "2", "3", "4"], "{mine:?}");
        for phone in &mut phones {
            let seen = read_to(phone, 6).await?;
            ensure!(seen.ends_with(&mine[1..]), "{seen:?}");
        }
        let listed = messages(&server, agent, 0).await?;
        ensure!(listed == mine[1..], "live {mine:?}, listed {listed:?}");
        subscribe(&mut stranger, 0).await?;
        ensure!(stranger.expect("events").await?["events"] == json!([]), "these belong to somebody else");
    }

    async fn what_a_client_reports_goes_to_all_with_its_defaults(database) {
        let server = TestServer::start(database).await?;
        let agent = register(&server, "a").await?;
        let mut phone = open(&server, agent, "ios").await?;
        let mut other = open(&server, agent, "ios").await?;
        let payload = json!({"content": "\u{1b}[1mx\u{1b}[0m", "deep": [1, {"ä": null}], "n": 9_007_199_254_740_991_u64});
        for (draft, wanted) in [
            (json!({}), json!({"type": "message_out", "sender": "pc", "payload": {}, "user_id": null, "tenant_id": null})),
            (
                json!({"type": "message_in", "sender": "ios", "payload": payload, "user_id": "ada", "tenant_id": "t"}),
                json!({"type": "message_in", "sender": "ios", "payload": payload, "user_id": "ada", "tenant_id": "t"}),
            ),
            (
                json!({"type": "agent_status", "sender": null, "payload": {"status": "busy"}, "user_id": null}),
                json!({
                    "type": "agent_status", "sender": "pc", "payload": {"status": "busy"},
                    "user_id": null, "tenant_id": null,
                }),
            ),
        ] {
            phone.send(&json!({"type": "event", "event": draft})).await?;
            let event = next_event(&mut phone).await?;
            for (name, value) in wanted.as_object().context("an object")? {
                ensure!(event[name] == *value, "{name} of {event} should be {value}");
            }
            ensure!(next_event(&mut other).await? == event, "another socket gets something else");
        }
    }

    /// What the server says closes sockets and restarts agents, so nobody else may speak as it.
    async fn nobody_speaks_as_the_server(database) {
        let server = TestServer::start(database).await?;
        let agent = register(&server, "a").await?;
        let mut phone = open(&server, agent, "ios").await?;
        let restart = json!({"type": "agent_status", "sender": "system", "payload": {"status": "restart"}});
        phone.send(&json!({"type": "event", "event": restart})).await?;
        let (_, refused) = phone.recv().await?;
        ensure!(refused["type"] == "error" && refused["code"] == "invalid_message", "{refused}");
        phone.send(&json!({"type": "event", "event": {}})).await?;
        ensure!(next_event(&mut phone).await?["seq"] == 1, "what was refused was stored");
    }

    /// A terminal writes faster than anybody reads.
    async fn a_flood_keeps_its_order(database) {
        const EVENTS: u64 = 1_200;
        let server = TestServer::start(database).await?;
        let agent = register(&server, "a").await?;
        let mut phone = open(&server, agent, "ios").await?;
        let mut pc = open(&server, agent, "pc").await?;
        for index in 0..EVENTS {
            pc.send(&json!({"type": "event", "event": {"payload": {"content": index.to_string()}}})).await?;
        }
        for socket in [&mut pc, &mut phone] {
            let events = read_to(socket, EVENTS + 1).await?;
            ensure!(places(&events).into_iter().eq(1..=EVENTS + 1), "{:?}", places(&events));
            let wanted: Vec<_> = (0..EVENTS).map(|index| index.to_string()).collect();
            ensure!(said(&events)[1..] == wanted, "{:?}", said(&events));
        }
    }

    async fn what_is_wrong_is_answered_and_the_socket_stays(database) {
        let server = TestServer::start(database).await?;
        let agent = register(&server, "a").await?;
        let mut socket = open(&server, agent, "ios").await?;
        for (text, code, path) in [
            ("nonsense", "not_json", None),
            ("", "not_json", None),
            ("{", "not_json", None),
            ("5", "not_json", None),
            ("null", "not_json", None),
            (r#"{"type":"subscribe"} x"#, "not_json", None),
            ("{}", "unknown_message", None),
            (r#"{"type":"nonsense"}"#, "unknown_message", None),
            (r#"{"type":7}"#, "unknown_message", None),
            (r#"{"type":"hello"}"#, "unknown_message", None),
            (r#"{"type":"subscribe","since_seq":"1"}"#, "invalid_message", Some("/since_seq")),
            (r#"{"type":"subscribe","since_seq":-1}"#, "invalid_message", Some("/since_seq")),
            (r#"{"type":"event"}"#, "invalid_message", None),
            (r#"{"type":"event","event":{"type":"nonsense"}}"#, "invalid_message", Some("/event/type")),
            (r#"{"type":"event","event":{"payload":[]}}"#, "invalid_message", Some("/event/payload")),
            (r#"{"type":"event","event":{"user_id":"\u0000"}}"#, "invalid_message", Some("/event/user_id")),
        ] {
            socket.send_text(text).await?;
            let refusal = socket.expect("error").await.with_context(|| text.to_owned())?;
            ensure!(refusal["code"] == code && refusal["path"] == json!(path), "{text} was answered {refusal}");
            if code == "not_json" {
                ensure!(refusal["message"] == "Invalid JSON.", "{refusal}");
            }
            // The one in between: only faults in a row end a socket.
            subscribe(&mut socket, 0).await?;
            ensure!(socket.expect("events").await?["events"] == json!([]), "something was stored");
        }
    }

    async fn nobody_is_at_home(database) {
        let server = TestServer::start(database).await?;
        for role in ["pc", "ios"] {
            let mut socket = server.open(&socket(Uuid::new_v4(), role)).await?;
            let refusal = socket.expect("error").await?;
            ensure!(refusal["code"] == "agent_not_found" && refusal["message"].is_string(), "{refusal}");
            socket.expect_close("not_found").await?;
        }
        ensure!(server.count("events").await? == 0, "an agent that does not exist came online");
    }

    async fn who_may_not_come_in_is_told_at_the_door(database) {
        let server = TestServer::with(TestOptions::new(database).production()).await?;
        let name = json!({"name": "a"});
        let request = Request::post("/agents/register", &name).bearer(COMPANION_TOKEN);
        let agent = server.send(&request).await?.success()?["agent_id"].as_str().unwrap_or_default().to_owned();
        let target = |rest: &str| Request::socket(format!("/realtime?{rest}"));
        let good = format!("agent_id={agent}&role=pc");
        for (request, code) in [
            (target(&good), "credential_missing"),
            (target(&good).bearer("made-up"), "credential_invalid"),
            (target(&format!("{good}&token=made-up")), "credential_invalid"),
            (target(&format!("{good}&token=")), "credential_invalid"),
            (target(&format!("{good}&token=made-up")).bearer(COMPANION_TOKEN), "credential_invalid"),
            (target("role=pc").bearer(COMPANION_TOKEN), "invalid_request"),
            (target("agent_id=&role=pc").bearer(COMPANION_TOKEN), "invalid_request"),
            (target("agent_id=mac-mini&role=pc").bearer(COMPANION_TOKEN), "invalid_request"),
            (target(&format!("agent_id={agent}")).bearer(COMPANION_TOKEN), "invalid_request"),
            (target(&format!("agent_id={agent}&role=root")).bearer(COMPANION_TOKEN), "invalid_request"),
            (Request::get(format!("/realtime?{good}")).bearer(COMPANION_TOKEN), "upgrade_required"),
        ] {
            let wrong = request.target.clone();
            server.try_open(&request).await?.refused(code).context(wrong)?;
        }
        for request in [
            target(&good).bearer(COMPANION_TOKEN),
            target(&format!("{good}&token={COMPANION_TOKEN}")),
            // Whatever else a proxy puts into the header.
            target(&format!("{good}&token={COMPANION_TOKEN}")).header("Authorization", "Basic eDp5"),
        ] {
            server.open(&request).await?.expect("hello").await?;
        }
    }

    async fn only_the_machine_is_told_to_restart(database) {
        let server = TestServer::start(database).await?;
        let agent = register(&server, "a").await?;
        let mut phone = open(&server, agent, "ios").await?;
        let mut pc = open(&server, agent, "pc").await?;
        let target = format!("/agents/{agent}/restart");
        let sent = server.send(&Request::new("POST", target.as_str())).await?.success()?;
        let mut recorded = pc.until("event").await?;
        while recorded["event"]["id"] != sent["event_id"] {
            recorded = pc.until("event").await?;
        }
        ensure!(recorded["event"]["payload"] == json!({"status": "restart"}), "{recorded}");
        ensure!(pc.expect("command").await? == json!({"type": "command", "cmd": "restart"}), "not a restart");
        let seen = read_to(&mut phone, sent["seq"].as_u64().context("a place")?).await?;
        ensure!(seen.last() == Some(&recorded["event"]), "{seen:?}");
        ensure!(phone.settle().await?.is_empty(), "the phone is told to restart");

        // Neither by what it reads again, nor by what others say of it.
        subscribe(&mut pc, 0).await?;
        pc.send(&json!({"type": "event", "event": {"type": "agent_status", "payload": {"status": "restart"}}})).await?;
        ensure!(pc.settle().await?.iter().all(|message| message["type"] != "command"), "it is told twice");
        let mut late = open(&server, agent, "pc").await?;
        subscribe(&mut late, 0).await?;
        let last = say(&server, agent, "x").await?;
        for socket in [&mut pc, &mut late] {
            loop {
                let (name, message) = socket.recv().await?;
                ensure!(name != "command", "it is told twice");
                let page = message["events"].as_array().into_iter().flatten();
                if page.chain([&message["event"]]).any(|event| event["seq"] == last) {
                    break;
                }
            }
        }
        server.send(&Request::new("POST", format!("/agents/{}/restart", Uuid::new_v4()))).await?.refused("agent_not_found")?;
    }

    /// Who is reading what is stored is there, and is told.
    async fn a_machine_that_catches_up_is_told_to_restart(database) {
        let server = TestServer::start(database).await?;
        let agent = register(&server, "a").await?;
        let mut pc = open(&server, agent, "pc").await?;
        for _ in 0..3 {
            subscribe(&mut pc, 0).await?;
            server.send(&Request::new("POST", format!("/agents/{agent}/restart"))).await?.success()?;
            pc.until("command").await?;
        }
        ensure!(pc.settle().await?.iter().all(|message| message["type"] != "command"), "it is told twice");
    }

    async fn a_database_that_is_away_is_said_so(database) {
        let mut server = TestServer::start(database).await?;
        let agent = register(&server, "a").await?;
        let mut socket = open(&server, agent, "ios").await?;
        server.database().take_away().await?;
        for message in [json!({"type": "event", "event": {"payload": {"content": "lost"}}}), json!({"type": "heartbeat"})] {
            socket.send(&message).await?;
            let refusal = socket.expect("error").await?;
            ensure!(refusal["code"] == "unavailable", "{refusal}");
        }
        // A machine that comes now can't be taken in.
        let mut pc = server.open(&super::socket(agent, "pc")).await?;
        ensure!(pc.expect("error").await?["code"] == "unavailable", "something else is wrong");
        pc.expect_close("overloaded").await?;
        server.database().give_back().await?;
        // The sockets that are there stay.
        let last = say(&server, agent, "found").await?;
        subscribe(&mut socket, 0).await?;
        let events = read_to(&mut socket, last).await?;
        ensure!(said(&events) == ["found"], "{events:?}");
    }

    async fn a_database_that_is_broken_ends_it(database) {
        let mut server = TestServer::start(database).await?;
        let agent = register(&server, "a").await?;
        let mut socket = open(&server, agent, "ios").await?;
        say(&server, agent, "x").await?;
        server.database().break_tables().await?;
        socket.send(&json!({"type": "heartbeat"})).await?;
        let refusal = socket.until("error").await?;
        ensure!(refusal["code"] == "internal", "{refusal}");
        subscribe(&mut socket, 0).await?;
        socket.expect_close("internal").await?;
        server.send(&message(agent, "x")).await?.refused("internal")?;
    }
}
