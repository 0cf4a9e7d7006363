//! Sessions: how long they last, at which addresses they are reached, and who may open one.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use flightdeck_sdk::types::{SessionCreate, SessionVia};
use flightdeck_tests::{Request, TestOptions, TestServer, for_each_database};
use serde_json::{Value, json};
use uuid::Uuid;

use super::Session;
use super::support::create;
use crate::support::refused;

/// What makes a client one of another machine.
const PROXY: (&str, &str) = ("X-Forwarded-For", "203.0.113.7");

/// What `curl -d` says of a body, whatever it is.
const FORM: &str = "application/x-www-form-urlencoded";

fn text<'a>(value: &'a Value, name: &str) -> Result<&'a str> {
    value[name].as_str().with_context(|| format!("{value} has no {name}"))
}

for_each_database! {
    async fn use_puts_the_end_off(database) {
        let options = TestOptions::new(database).set("SESSION_TTL_SECONDS", 100);
        let server = TestServer::with(options).await?;
        let session = Session::open(&server).await?;
        let get = session.get(format!("/api/session/{}", session.id));
        let opened = server.send(&get).await?.success()?;
        for _ in 0..5 {
            server.advance(Duration::from_secs(80));
            let used = server.send(&session.get("/api/tasks")).await?.success()?;
            ensure!(used["tasks"] == json!([]), "{used}");
        }
        let used = server.send(&get).await?.success()?;
        ensure!(text(&used, "expiresAt")? > text(&opened, "expiresAt")?, "its end was not put off: {used}");
        ensure!(used["createdAt"] == opened["createdAt"], "it was opened once: {used}");
        server.advance(Duration::from_secs(101));
        for request in [get, session.get("/api/tasks"), session.end(), session.run("pwd")] {
            let target = request.target.clone();
            server.send(&request).await?.refused("session_not_found").context(target)?;
        }
        server.try_open(&session.events()).await?.refused("session_not_found")?;
    }

    async fn a_session_outlives_a_restart_and_its_end_does_too(database) {
        let mut server = TestServer::start(database).await?;
        let session = Session::open(&server).await?;
        server.restart().await?;
        let get = session.get(format!("/api/session/{}", session.id));
        let found = server.send(&get).await?.success()?;
        ensure!(found["repo"] == session.repository.text(), "{found}");
        server.send(&session.end()).await?.success()?;
        server.send(&session.end()).await?.refused("session_not_found")?;
        server.restart().await?;
        server.send(&get).await?.refused("session_not_found")?;
    }

    async fn an_end_closes_the_sockets_of_that_session_only(database) {
        let server = TestServer::start(database).await?;
        let workspace = server.pair().await?;
        let repository = server.repository()?;
        let mine = Session::on(&server, &workspace, &repository).await?;
        let other = Session::on(&server, &workspace, &repository).await?;
        ensure!(mine.id != other.id && mine.token != other.token, "two sessions are one");
        let mut closed = mine.follow(&server).await?;
        let mut open = other.follow(&server).await?;
        server.send(&mine.end()).await?.success()?;
        closed.expect_close("credential_invalid").await?;
        open.send(&json!({"type": "ping"})).await?;
        open.expect("pong").await?;
        server.send(&other.get("/api/tasks")).await?.success()?;
    }

    async fn the_sdk_opens_uses_and_ends_one(database) {
        let server = TestServer::start(database).await?;
        let workspace = server.pair().await?;
        let repository = server.repository()?;
        let wanted = SessionCreate::new(repository.text()).with_label("My desk".to_owned()).with_via(SessionVia::Mobile);
        let created = workspace.device.cockpit().create_session(&wanted).await?;
        let anyone = server.client();
        let session = anyone.cockpit().get_session(&created.session_id).bearer(created.token.clone()).await?;
        ensure!(session.label.value().map(String::as_str) == Some("My desk") && session.via == SessionVia::Mobile, "{session:?}");
        ensure!(session.repo == repository.text(), "{session:?}");
        ensure!(!format!("{created:?}").contains(&created.token), "the token is shown");
        anyone.cockpit().end_session(&created.session_id).bearer(created.token.clone()).await?;
        let gone = anyone.cockpit().get_session(&created.session_id).bearer(created.token.clone()).await;
        refused(gone, "session_not_found")?;
    }

    /// What a client is told, it can use as it is: from an emulator that calls the machine by another name, too.
    async fn addresses_are_those_that_the_client_used(database) {
        let server = TestServer::start(database).await?;
        let workspace = server.pair().await?;
        let repository = server.repository()?;
        let port = server.address().rsplit(':').next().context("a port")?.to_owned();
        for host in [server.address().to_owned(), format!("localhost:{port}")] {
            let request = create(&json!({"repo": repository.text()})).bearer(&workspace.device_token);
            let created = server.send(&request.header("Host", &host)).await?.success()?;
            ensure!(text(&created, "apiBase")?.trim_end_matches('/') == format!("http://{host}"), "{host}: {created}");
            for (name, path) in [("pty", "/ws/pty"), ("events", "/ws/events")] {
                ensure!(created["ws"][name] == format!("ws://{host}{path}"), "{host}: {created}");
            }
        }
    }

    async fn a_public_address_goes_before_the_client_s(database) {
        let options = TestOptions::new(database).set("PUBLIC_BASE_URL", "https://deck.example");
        let server = TestServer::with(options).await?;
        let workspace = server.pair().await?;
        let request = create(&json!({"repo": server.repository()?.text()})).bearer(&workspace.device_token);
        let created = server.send(&request).await?.success()?;
        ensure!(text(&created, "apiBase")?.trim_end_matches('/') == "https://deck.example", "{created}");
        ensure!(created["ws"]["pty"] == "wss://deck.example/ws/pty", "{created}");
        ensure!(created["ws"]["events"] == "wss://deck.example/ws/events", "{created}");
    }

    async fn who_asks_for_the_relay_is_told_the_relay_s_addresses(database) {
        let options = TestOptions::new(database).set("FLIGHTDECK_RELAY_URL", "https://relay.example");
        let server = TestServer::with(options).await?;
        let workspace = server.pair().await?;
        let repository = server.repository()?;
        for (via, relayed) in [("relay", true), ("direct", false), ("mobile", false)] {
            let body = json!({"repo": repository.text(), "via": via});
            let created = server.send(&create(&body).bearer(&workspace.device_token)).await?.success()?;
            for address in [text(&created, "apiBase")?, text(&created["ws"], "pty")?, text(&created["ws"], "events")?] {
                ensure!(address.contains("relay.example") == relayed, "{via}: {created}");
            }
        }
    }

    /// The original's clients say this, and it is no secret: only this machine may, and only in development.
    async fn the_word_of_development_opens_a_session_on_this_machine_only(database) {
        for production in [false, true] {
            let options = TestOptions::new(database).set("FLIGHTDECK_AGENT_WORKSPACES", "*");
            let server = TestServer::with(if production { options.production() } else { options }).await?;
            server.pair().await?;
            let request = create(&json!({"repo": server.repository()?.text()})).bearer("DEV");
            let answer = server.send(&request).await?;
            if production {
                answer.refused("credential_invalid")?;
            } else {
                answer.success()?;
            }
            for (name, value) in [PROXY, ("Forwarded", "for=203.0.113.7"), ("X-Real-IP", "203.0.113.7")] {
                let answer = server.send(&request.clone().header(name, value)).await?;
                ensure!(answer.status == 401, "with {name} it was answered {}", answer.status);
            }
            // It opens sessions, and nothing in them.
            server.send(&Request::get("/api/tasks").bearer("DEV")).await?.refused("credential_invalid")?;
            for word in ["dev", "DEV ", "DEVELOPMENT"] {
                let answer = server.send(&request.clone().bearer(word)).await?;
                ensure!(word.trim() == "DEV" || answer.status == 401, "{word:?} was answered {}", answer.status);
            }
        }
    }

    async fn in_production_nobody_opens_one_without_a_credential(database) {
        let options = TestOptions::new(database).set("FLIGHTDECK_AGENT_WORKSPACES", "*").production();
        let server = TestServer::with(options).await?;
        let request = create(&json!({"repo": server.repository()?.text()}));
        server.send(&request).await?.refused("credential_missing")?;
        let revoked = server.pair().await?;
        revoked.machine.devices().revoke_device(&revoked.device_id).await?;
        server.send(&request.clone().bearer(&revoked.device_token)).await?.refused("device_revoked")?;
        ensure!(server.count("sessions").await? == 0, "there is a session");
    }

    /// `curl -d` calls every body a form. A page from elsewhere can send one without being asked; but not with this header.
    async fn a_body_that_curl_sends_is_read_with_a_token_only(database) {
        let server = TestServer::start(database).await?;
        server.pair().await?;
        let body = json!({"repo": server.repository()?.text()});
        let request = create(&body).header("Content-Type", FORM);
        server.send(&request).await?.refused("unsupported_media_type")?;
        let created = server.send(&request.clone().bearer("DEV")).await?.success()?;
        let session = Session::of(&created, &server.repository()?)?;
        let run = session.run("pwd").header("Content-Type", FORM);
        server.send(&run.clone().without("Authorization")).await?.refused("unsupported_media_type")?;
        server.send(&run).await?.success()?;
        let task = session.post("/api/tasks", &json!({"instruction": "test task"})).header("Content-Type", FORM);
        server.send(&task).await?.success()?;
        // What is a form is none the less no JSON, and other types stay refused.
        let form = Request::new("POST", "/api/tasks").bytes("instruction=test").header("Content-Type", FORM);
        server.send(&form.bearer(&session.token)).await?.refused("invalid_request")?;
        let plain = session.post("/api/tasks", &json!({"instruction": "x"})).header("Content-Type", "text/plain");
        server.send(&plain).await?.refused("unsupported_media_type")?;
    }

    /// A page from elsewhere must not use a session, even with its token; one that is named may.
    async fn pages_use_a_session_if_they_are_named(database) {
        let server = TestServer::with(TestOptions::new(database).set("CORS_ORIGINS", "https://screens.example")).await?;
        let session = Session::open(&server).await?;
        for request in [session.get("/api/tasks"), session.get("/api/git/diff"), session.run("pwd"), session.end()] {
            for origin in ["https://elsewhere.example", "null", "https://screens.example.evil.example"] {
                let answer = server.send(&request.clone().header("Origin", origin)).await?;
                answer.refused("origin_not_allowed").context(origin)?;
            }
        }
        let allowed = server.send(&session.get("/api/tasks").header("Origin", "https://screens.example")).await?;
        let told = allowed.headers.get("access-control-allow-origin").and_then(|value| value.to_str().ok());
        ensure!(told == Some("https://screens.example"), "the browser is told {told:?}");
        allowed.success()?;
        let asked = Request::new("OPTIONS", "/api/tasks")
            .header("Origin", "https://screens.example")
            .header("Access-Control-Request-Method", "POST")
            .header("Access-Control-Request-Headers", "authorization,content-type");
        let answer = asked.send(server.address()).await?;
        let header = |name: &str| {
            let value = answer.headers.get(name).and_then(|value| value.to_str().ok());
            value.unwrap_or_default().to_ascii_lowercase()
        };
        ensure!(answer.status < 300, "asking first was answered {}", answer.status);
        ensure!(header("access-control-allow-methods").contains("post"), "{:?}", answer.headers);
        ensure!(header("access-control-allow-headers").contains("authorization"), "{:?}", answer.headers);
    }

    async fn what_is_no_session_is_not_there(database) {
        let server = TestServer::start(database).await?;
        let session = Session::open(&server).await?;
        for id in [Uuid::nil(), Uuid::new_v4()] {
            server.send(&session.get(format!("/api/session/{id}"))).await?.refused("session_not_found")?;
        }
        for body in [json!({}), json!({"repo": ""}), json!({"repo": 1}), json!({"repo": null}), json!({"repo": "x".repeat(5_000)}),
            json!({"repo": "/a\u{0}b"}), json!({"repo": "/", "via": "pigeon"}), json!({"repo": "/", "label": "x".repeat(201)})]
        {
            let answer = server.send(&create(&body).bearer("DEV")).await?;
            answer.refused("invalid_request").with_context(|| body.to_string())?;
        }
    }
}
