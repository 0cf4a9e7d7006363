//! Registering, listing, sending and reading.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use flightdeck_api::generated::OPERATIONS;
use flightdeck_tests::server::COMPANION_TOKEN;
use flightdeck_tests::{Answer, Request, TestOptions, TestServer, for_each_database};
use sea_orm::{ConnectionTrait, Statement};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{message, messages, open, places, read_to, register, said, say};
use crate::examples::{Credential, Player};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A column of the only agent: what is registered is not shown anywhere yet.
async fn known(server: &mut TestServer, column: &str) -> Result<Option<String>> {
    let connection = server.database().connect().await?;
    let sql = format!("SELECT {column} AS known FROM agents");
    let statement = Statement::from_string(connection.get_database_backend(), sql);
    let row = connection.query_one_raw(statement).await?.context("there is an agent")?;
    Ok(row.try_get("", "known")?)
}

fn with_id(agent: Uuid, id: &str, content: &str) -> Request {
    Request::post("/messages", &json!({"agent_id": agent, "content": content, "client_msg_id": id}))
}

for_each_database! {
    async fn a_name_is_one_agent(database) {
        let server = TestServer::start(database).await?;
        let agent = register(&server, "mac mini").await?;
        for same in ["mac mini", "  mac mini", "mac mini\n", "\tmac mini \u{a0}"] {
            ensure!(register(&server, same).await? == agent, "{same:?} is another agent");
        }
        for other in ["mac  mini", "Mac mini", "mac mini 2"] {
            ensure!(register(&server, other).await? != agent, "{other:?} is the same agent");
        }
        let request = Request::post("/agents/register", &json!({"name": "at once"}));
        let answers = futures_util::future::try_join_all((0..32).map(|_| server.send(&request))).await?;
        let mut ids = answers.into_iter().map(|answer| Ok(answer.success()?["agent_id"].clone()));
        let first = ids.next().context("there are answers")??;
        for id in ids {
            let id: Value = id.map_err(|error: anyhow::Error| error)?;
            ensure!(id == first, "one name became two agents");
        }
        ensure!(server.count("agents").await? == 5, "there are {} agents", server.count("agents").await?);
    }

    async fn a_name_must_be_one(database) {
        let server = TestServer::start(database).await?;
        for body in [json!({}), json!({"name": ""}), json!({"name": " \n\t"}), json!({"name": null}), json!({"name": 7})] {
            let refusal = server.send(&Request::post("/agents/register", &body)).await?.refused("invalid_request")?;
            ensure!(refusal["error"].is_string(), "{refusal}");
        }
    }

    async fn registering_again_changes_what_is_given(database) {
        let mut server = TestServer::start(database).await?;
        let steps = [
            (json!({"platform": "macOS", "meta": {"cores": 8}, "user_id": "ada"}), ["macOS", r#"{"cores":8}"#, "ada"]),
            (json!({}), ["macOS", r#"{"cores":8}"#, "ada"]),
            (json!({"platform": null, "meta": null}), ["macOS", r#"{"cores":8}"#, "ada"]),
            (json!({"meta": {"cores": 10}}), ["macOS", r#"{"cores":10}"#, "ada"]),
            (json!({"platform": "Linux", "user_id": "bob"}), ["Linux", r#"{"cores":10}"#, "bob"]),
        ];
        for (mut given, wanted) in steps {
            given["name"] = json!("mac mini");
            server.send(&Request::post("/agents/register", &given)).await?.success()?;
            for (column, wanted) in ["platform", "meta", "user_id"].into_iter().zip(wanted) {
                let is = known(&mut server, column).await?;
                ensure!(is.as_deref() == Some(wanted), "after {given}, {column} is {is:?}");
            }
            ensure!(known(&mut server, "tenant_id").await?.is_none(), "nobody gave one");
        }
    }

    async fn the_sockets_url_is_the_servers(database) {
        for (base, wanted) in [
            (Some("http://deck.example:8080"), "ws://deck.example:8080/realtime".to_owned()),
            (Some("https://deck.example/some/where"), "wss://deck.example/realtime".to_owned()),
            (None, String::new()),
        ] {
            let options = TestOptions::new(database);
            let options = base.into_iter().fold(options, |options, base| options.set("PUBLIC_BASE_URL", base));
            let server = TestServer::with(options).await?;
            let request = Request::post("/agents/register", &json!({"name": "a"}));
            let url = server.send(&request).await?.success()?["ws_url"].clone();
            let port = server.address().rsplit(':').next().context("an address has a port")?;
            let wanted = if base.is_some() { wanted } else { format!("ws://localhost:{port}/realtime") };
            ensure!(url == wanted, "{url} instead of {wanted}");
        }
    }

    async fn the_one_seen_last_is_the_first(database) {
        let server = TestServer::start(database).await?;
        let mut agents = Vec::new();
        for name in ["first", "second", "third", "never"] {
            agents.push(register(&server, name).await?);
            server.advance(Duration::from_millis(10));
        }
        let mut sockets = Vec::new();
        for agent in [agents[1], agents[0], agents[2]] {
            sockets.push(open(&server, agent, "pc").await?);
            server.advance(Duration::from_millis(10));
        }
        let list = server.send(&Request::get("/agents")).await?.success()?;
        let shown = |name: &str| -> Vec<Value> {
            list["agents"].as_array().into_iter().flatten().map(|agent| agent[name].clone()).collect()
        };
        ensure!(shown("name") == ["third", "first", "second", "never"], "{list}");
        ensure!(shown("id") == [agents[2], agents[0], agents[1], agents[3]].map(|id| json!(id)), "{list}");
        ensure!(shown("status") == ["online", "online", "online", "offline"], "{list}");
        ensure!(shown("last_seen_at")[3].is_null() && shown("last_seen_at")[2].is_string(), "{list}");
    }

    async fn a_message_is_an_event(database) {
        let server = TestServer::start(database).await?;
        let agent = register(&server, "a").await?;
        let content = "ls -l\n\u{1f680} \"quoted\" \\ \0";
        let body = json!({"agent_id": agent, "content": content, "user_id": "ada", "tenant_id": null});
        let sent = server.send(&Request::post("/messages", &body)).await?.success()?;
        ensure!(sent["seq"] == 1, "{sent}");
        ensure!(say(&server, agent, "again").await? == 2, "places are given one after the other");
        let events = messages(&server, agent, 0).await?;
        ensure!(places(&events) == [1, 2], "{events:?}");
        let mut first = events[0].clone();
        ensure!(first["created_at"].take().is_string(), "{first}");
        let wanted = json!({
            "id": sent["event_id"], "agent_id": agent, "seq": 1, "type": "message_in", "sender": "ios",
            "payload": {"content": content}, "created_at": null, "user_id": "ada", "tenant_id": null,
        });
        ensure!(first == wanted, "{first} instead of {wanted}");
        // Another agent has places of its own.
        let other = register(&server, "b").await?;
        ensure!(say(&server, other, "hello").await? == 1 && messages(&server, other, 0).await?.len() == 1, "mixed up");
    }

    async fn what_is_no_message_is_refused(database) {
        let server = TestServer::start(database).await?;
        let agent = register(&server, "a").await?;
        for (body, code) in [
            (json!({"agent_id": agent, "content": ""}), "invalid_request"),
            (json!({"agent_id": agent}), "invalid_request"),
            (json!({"agent_id": agent, "content": null}), "invalid_request"),
            (json!({"agent_id": "", "content": "x"}), "invalid_request"),
            (json!({"agent_id": "mac mini", "content": "x"}), "invalid_request"),
            (json!({"content": "x"}), "invalid_request"),
            (json!({"agent_id": agent, "content": "x", "client_msg_id": ""}), "invalid_request"),
            (json!({"agent_id": Uuid::new_v4(), "content": "x"}), "agent_not_found"),
        ] {
            server.send(&Request::post("/messages", &body)).await?.refused(code).context(body)?;
        }
        ensure!(server.count("events").await? == 0, "something was stored");
        for target in ["/messages", "/messages?agent_id=", "/messages?agent_id=x"] {
            server.send(&Request::get(target)).await?.refused("invalid_request").context(target)?;
        }
    }

    async fn a_message_with_an_id_is_stored_once(database) {
        let mut server = TestServer::start(database).await?;
        let agent = register(&server, "a").await?;
        let first = server.send(&with_id(agent, "id", "one")).await?.success()?;
        let again = server.send(&with_id(agent, "id", "something else")).await?.success()?;
        ensure!(again == first, "{first} became {again}");

        let requests: Vec<_> = (0..32).map(|index| with_id(agent, "at once", &format!("{index}"))).collect();
        let answers = futures_util::future::try_join_all(requests.iter().map(|request| server.send(request))).await?;
        let answers: Vec<_> = answers.into_iter().map(Answer::success).collect::<Result<_>>()?;
        ensure!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");

        // Ids are the agent's: another one may have had the same.
        let other = register(&server, "b").await?;
        let others = server.send(&with_id(other, "id", "one")).await?.success()?;
        ensure!(others["event_id"] != first["event_id"] && others["seq"] == 1, "{others}");

        server.restart().await?;
        let again = server.send(&with_id(agent, "id", "one")).await?.success()?;
        ensure!(again == first, "after a restart {first} became {again}");
        ensure!(said(&messages(&server, agent, 0).await?).len() == 2, "a message is there twice");
    }

    /// Other keys are forgotten after a day. A message's stays as long as the message.
    async fn a_message_s_id_is_remembered(database) {
        let server = TestServer::with(TestOptions::new(database).set("FLIGHTDECK_RETENTION", "agents=3d/0")).await?;
        let agent = register(&server, "a").await?;
        let first = server.send(&with_id(agent, "id", "one")).await?.success()?;
        for _ in 0..2 {
            server.advance(DAY + Duration::from_secs(60));
            let again = server.send(&with_id(agent, "id", "one")).await?.success()?;
            ensure!(again == first, "{first} became {again}");
        }
        // When the message is gone, so is its id, at the next time that the server tidies up.
        let mut anew = first.clone();
        for _ in 0..200 {
            server.advance(DAY);
            tokio::time::sleep(Duration::from_millis(20)).await;
            anew = server.send(&with_id(agent, "id", "one")).await?.success()?;
            if anew != first {
                break;
            }
        }
        ensure!(anew["seq"] == 2, "{anew}");
    }

    async fn only_messages_are_listed(database) {
        let server = TestServer::start(database).await?;
        let agent = register(&server, "a").await?;
        let mut pc = open(&server, agent, "pc").await?;
        for index in 0..220 {
            pc.send(&json!({"type": "event", "event": {"payload": {"content": format!("out {index}")}}})).await?;
            pc.send(&json!({"type": "event", "event": {"type": "agent_status", "payload": {"status": "busy"}}})).await?;
        }
        // One place is the agent's coming online.
        read_to(&mut pc, 441).await?;
        say(&server, agent, "in").await?;
        let mut since = 0;
        let mut seen = Vec::new();
        loop {
            let page = messages(&server, agent, since).await?;
            let Some(last) = page.last() else { break };
            ensure!(page.len() == 200 || last["seq"] == 442, "a page of {} ends at {last}", page.len());
            since = last["seq"].as_u64().context("an event has a place")?;
            seen.extend(page);
        }
        let wanted: Vec<_> = (0..220).map(|index| format!("out {index}")).chain(["in".to_owned()]).collect();
        ensure!(said(&seen) == wanted, "{:?}", said(&seen));
        ensure!(seen.iter().all(|event| event["type"] != "agent_status"), "a status is listed");
    }

    async fn a_limit_is_brought_into_its_range(database) {
        let server = TestServer::start(database).await?;
        let agent = register(&server, "a").await?;
        for index in 1..=201 {
            say(&server, agent, &index.to_string()).await?;
        }
        for (query, wanted) in [
            ("", 50),
            ("&limit=0", 1),
            ("&limit=-7", 1),
            ("&limit=1", 1),
            ("&limit=200", 200),
            ("&limit=201", 200),
            ("&limit=1000000", 200),
            ("&since_seq=200&limit=50", 1),
            ("&since_seq=201", 0),
            ("&since_seq=9999999", 0),
        ] {
            let request = Request::get(format!("/messages?agent_id={agent}{query}"));
            let count = server.send(&request).await?.success()?["events"].as_array().map(Vec::len);
            ensure!(count == Some(wanted), "{query:?} gave {count:?} instead of {wanted}");
        }
    }

    /// A page of large messages does not take the server's memory, and says where it ends.
    async fn a_page_of_large_messages_ends_early(database) {
        let server = TestServer::start(database).await?;
        let agent = register(&server, "a").await?;
        for _ in 0..40 {
            say(&server, agent, &"x".repeat(262_144)).await?;
        }
        let mut seen = Vec::new();
        while seen.len() < 40 {
            let page = messages(&server, agent, seen.len() as u64).await?;
            ensure!(!page.is_empty() && page.len() < 40, "{} large messages in one page", page.len());
            seen.extend(places(&page));
        }
        ensure!(seen.iter().copied().eq(1..=40), "{seen:?}");
    }

    async fn the_token_opens_everything_and_nothing_else_does(database) {
        let operations = || OPERATIONS.iter().filter(|operation| operation.surface == "companion");
        ensure!(operations().count() == 5, "is there a new one?");
        for operation in operations() {
            let mut player = Player::start(TestOptions::new(database).production()).await?;
            let request = player.ready(operation, Credential::OfTheExample).await?;
            player.server.send(&request).await?.success().context(operation.id)?;
            let nobody = player.ready(operation, Credential::None).await?;
            player.server.send(&nobody).await?.refused("credential_missing").context(operation.id)?;
            for token in ["", "made-up", "DEV", "null", &COMPANION_TOKEN[1..], &COMPANION_TOKEN.to_uppercase()] {
                let answer = player.server.send(&nobody.clone().bearer(token)).await?;
                answer.refused("credential_invalid").with_context(|| format!("{} with {token:?}", operation.id))?;
            }
            // Only a socket takes it in the query, where servers in between may write it down.
            let mut in_query = nobody.clone();
            let mark = if in_query.target.contains('?') { '&' } else { '?' };
            in_query.target = format!("{}{mark}token={COMPANION_TOKEN}", in_query.target);
            player.server.send(&in_query).await?.refused("credential_missing").context(operation.id)?;
        }
    }

    async fn without_a_token_this_machine_is_let_in_while_developing(database) {
        let server = TestServer::start(database).await?;
        let list = Request::get("/agents");
        server.send(&list).await?.success()?;
        // As clients of a server without a token always could.
        server.send(&list.clone().bearer("whatever")).await?.success()?;
        for header in ["X-Forwarded-For", "Forwarded", "X-Real-IP"] {
            let through_a_proxy = list.clone().header(header, "203.0.113.7");
            server.send(&through_a_proxy).await?.refused("credential_missing").context(header)?;
            server.send(&through_a_proxy.bearer("whatever")).await?.refused("credential_invalid").context(header)?;
        }
        let with_token = TestServer::with(TestOptions::new(database).set("COMPANION_TOKEN", "open sesame")).await?;
        with_token.send(&list).await?.refused("credential_missing")?;
        with_token.send(&list.clone().bearer("open sesame")).await?.success()?;
        let nobody = TestServer::with(TestOptions::new(database).production().set("COMPANION_TOKEN", "")).await?;
        nobody.send(&list).await?.refused("credential_missing")?;
        nobody.send(&list.bearer("whatever")).await?.refused("credential_invalid")?;
    }

    async fn without_a_database_nothing_is_promised(database) {
        let mut server = TestServer::start(database).await?;
        let agent = register(&server, "a").await?;
        server.database().take_away().await?;
        server.send(&message(agent, "x")).await?.refused("unavailable")?;
        server.database().give_back().await?;
        say(&server, agent, "y").await?;
        ensure!(said(&messages(&server, agent, 0).await?) == ["y"], "what was refused is there");
    }
}
