//! Tokens of sessions that are not ones, and ones of other sessions.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use flightdeck_tests::server::COMPANION_TOKEN;
use flightdeck_tests::{Kind, Request, TestOptions, TestServer, for_each_database};
use hmac::{Hmac, Mac};
use serde_json::{Value, json};
use sha2::{Sha256, Sha384, Sha512};
use uuid::Uuid;

use super::Session;
use super::support::create;

const SECRET: &str = "the-key-of-sessions-0123456789abcdef0123456789";

fn production(database: Kind) -> TestOptions {
    TestOptions::new(database).set("FLIGHTDECK_AGENT_WORKSPACES", "*").production().set("JWT_SECRET", SECRET)
}

fn encode(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

fn part(token: &str, index: usize) -> Result<Value> {
    let part = token.split('.').nth(index).context("a token has three parts")?;
    Ok(serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part)?)?)
}

/// Signs as the algorithm says, or by SHA-256 if it is none of these.
fn sign(algorithm: &str, key: &[u8], signed: &str) -> String {
    macro_rules! mac {
        ($hash:ty) => {{
            let mut mac = Hmac::<$hash>::new_from_slice(key).expect("any key will do");
            mac.update(signed.as_bytes());
            URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())
        }};
    }
    match algorithm {
        "HS384" => mac!(Sha384),
        "HS512" => mac!(Sha512),
        _ => mac!(Sha256),
    }
}

fn forge(header: &Value, claims: &Value, key: &[u8]) -> String {
    let signed = format!("{}.{}", encode(header), encode(claims));
    let algorithm = header["alg"].as_str().unwrap_or_default();
    format!("{signed}.{}", sign(algorithm, key, &signed))
}

/// The claims with one of them changed, or taken away.
fn with(claims: &Value, name: &str, value: Value) -> Value {
    let mut claims = claims.clone();
    if value.is_null() {
        if let Some(claims) = claims.as_object_mut() {
            claims.remove(name);
        }
    } else {
        claims[name] = value;
    }
    claims
}

/// Every token that is none, by what is wrong with it.
fn forgeries(token: &str, audience_of_development: &Value) -> Result<Vec<(String, String)>> {
    let (header, claims) = (part(token, 0)?, part(token, 1)?);
    let parts: Vec<&str> = token.split('.').collect();
    let key = SECRET.as_bytes();
    let mut all = Vec::new();
    let mut add = |what: String, token: String| all.push((what, token));
    for algorithm in ["none", "None", "NONE", "nOnE", "", "null"] {
        let header = encode(&json!({"alg": algorithm, "typ": "JWT"}));
        add(format!("alg {algorithm:?} without a signature"), format!("{header}.{}.", parts[1]));
        add(format!("alg {algorithm:?} with its signature"), format!("{header}.{}.{}", parts[1], parts[2]));
    }
    // What the key signs, and calls otherwise.
    for algorithm in ["HS384", "HS512", "RS256", "ES256", "PS256", "EdDSA", "hs256", "HS-256"] {
        add(format!("alg {algorithm}"), forge(&json!({"alg": algorithm, "typ": "JWT"}), &claims, key));
    }
    add("no alg".to_owned(), forge(&json!({"typ": "JWT"}), &claims, key));
    add("alg that is a list".to_owned(), forge(&json!({"alg": ["HS256"]}), &claims, key));
    for (what, other) in [
        ("no key", ""),
        ("a NUL for a key", "\0"),
        ("another key", "another-key-0123456789abcdef0123456789"),
        ("the beginning of the key", &SECRET[..SECRET.len() - 1]),
        ("the server's other secret", flightdeck_tests::server::SERVER_SECRET),
        ("the example's key", "change_me"),
        ("a public key", "-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A\n-----END PUBLIC KEY-----\n"),
    ] {
        add(what.to_owned(), forge(&header, &claims, other.as_bytes()));
    }
    // Which key it is, the token does not say.
    for (name, value) in [
        ("kid", json!("/dev/null")),
        ("kid", json!("../../../../dev/null")),
        ("kid", json!("x' UNION SELECT '")),
        ("jwk", json!({"kty": "oct", "k": ""})),
        ("jku", json!("https://elsewhere.example/keys")),
        ("x5u", json!("https://elsewhere.example/keys")),
    ] {
        let mut header = header.clone();
        header[name] = value.clone();
        add(format!("{name} {value}"), forge(&header, &claims, b""));
    }
    let iat = claims["iat"].as_i64().context("a token says when it was made")?;
    for (name, value) in [
        ("exp", json!(iat - 1)),
        ("exp", json!(0)),
        ("exp", json!(-1)),
        ("exp", json!("never")),
        ("exp", Value::Null),
        ("iat", json!(iat + 86_400)),
        ("iss", json!("somebody")),
        ("iss", Value::Null),
        ("aud", json!("somebody")),
        ("aud", audience_of_development.clone()),
        ("aud", Value::Null),
        ("sub", json!(Uuid::new_v4())),
        ("sub", Value::Null),
        ("sid", Value::Null),
        ("sid", json!("*")),
        ("sid", json!(Uuid::new_v4())),
    ] {
        add(format!("{name} {value}"), forge(&header, &with(&claims, name, value), key));
    }
    add("another claim under its signature".to_owned(), {
        format!("{}.{}.{}", parts[0], encode(&with(&claims, "exp", json!(iat + 999_999_999))), parts[2])
    });
    for (what, token) in [
        ("two parts", format!("{}.{}", parts[0], parts[1])),
        ("four parts", format!("{token}.{}", parts[2])),
        ("dots", "..".to_owned()),
        ("no signature", format!("{}.{}.", parts[0], parts[1])),
        ("half a signature", token[..token.len() - 8].to_owned()),
        ("a longer signature", format!("{token}AAAA")),
        ("padding", format!("{token}=")),
        ("no base64", format!("{}.{}.%%%%", parts[0], parts[1])),
        ("claims that are no object", format!("{}.{}.{}", parts[0], URL_SAFE_NO_PAD.encode("[]"), parts[2])),
        ("the session's id", claims["sid"].as_str().unwrap_or_default().to_owned()),
        ("the word of development", "DEV".to_owned()),
        ("the companion's token", COMPANION_TOKEN.to_owned()),
        ("64 KiB", "x".repeat(64 * 1024)),
        ("64 KiB of claims", forge(&header, &with(&claims, "x", json!("x".repeat(48 * 1024))), key)),
    ] {
        add(what.to_owned(), token);
    }
    Ok(all)
}

for_each_database! {
    async fn what_is_no_token_opens_nothing(database) {
        let server = TestServer::with(production(database)).await?;
        let session = Session::open(&server).await?;
        let development = TestServer::with(TestOptions::new(database).set("JWT_SECRET", SECRET)).await?;
        let there = Session::open(&development).await?;
        let audience = part(&there.token, 1)?["aud"].clone();
        let mut forgeries = forgeries(&session.token, &audience)?;
        ensure!(forgeries.len() > 60, "only {} are tried", forgeries.len());
        forgeries.push(("a token of another server".to_owned(), there.token));
        let mut faults = Vec::new();
        for (what, token) in &forgeries {
            let answer = server.send(&session.get("/api/tasks").bearer(token)).await?;
            if answer.code() != "credential_invalid" {
                faults.push(format!("{what}: an operation answered {} {}", answer.status, answer.code()));
            }
            for request in [
                session.events().bearer(token),
                Request::socket(format!("/ws/events?sessionId={}&token={}", session.id, escaped(token))),
            ] {
                // A parameter of the query is as long as the document says, and no longer.
                if token.len() > 4_000 && request.target.len() > 4_000 {
                    continue;
                }
                if let Err(error) = server.try_open(&request).await?.refused("credential_invalid") {
                    faults.push(format!("{what}: {error:#}"));
                }
            }
        }
        ensure!(faults.is_empty(), "{}", faults.join("\n"));
        server.send(&session.get("/api/tasks")).await?.success().context("the right one")?;
        let (header, claims) = (part(&session.token, 0)?, part(&session.token, 1)?);
        let made = forge(&header, &claims, SECRET.as_bytes());
        server.send(&session.get("/api/tasks").bearer(&made)).await?.success().context("one that is made right")?;
    }

    /// Used every day, a session lasts; its token does not last for ever.
    async fn a_token_works_for_thirty_days(database) {
        let server = TestServer::with(production(database)).await?;
        let session = Session::open(&server).await?;
        for _ in 0..29 {
            server.advance(Duration::from_secs(86_000));
            server.send(&session.get("/api/tasks")).await?.success()?;
        }
        server.advance(Duration::from_secs(80_000));
        server.send(&session.get("/api/tasks")).await?.success()?;
        server.advance(Duration::from_secs(2 * 86_400));
        let answer = server.send(&session.get("/api/tasks")).await?;
        ensure!(matches!(answer.code().as_str(), "credential_invalid" | "session_not_found"), "{}", answer.json());
    }

    async fn a_token_opens_its_own_session_and_nothing_else(database) {
        let server = TestServer::with(production(database)).await?;
        let workspace = server.pair().await?;
        let repository = server.repository()?;
        let mine = Session::on(&server, &workspace, &repository).await?;
        // Of the same device, about the same repository.
        let other = Session::on(&server, &workspace, &repository).await?;
        let asking = mine.task(&server, "write asked.txt x").await?;
        let mut socket = mine.follow(&server).await?;
        let question = loop {
            let status = socket.until("status").await?;
            if let Some(question) = status["messageId"].as_str() {
                break question.to_owned();
            }
        };
        let ready = mine.ready(&server, "edit hello.txt hello").await?;
        let task = |path: &str| format!("/api/tasks/{ready}{path}");
        for request in [
            other.get(format!("/api/session/{}", mine.id)),
            Request::new("DELETE", format!("/api/session/{}", mine.id)).bearer(&other.token),
        ] {
            server.send(&request).await?.refused("session_not_found")?;
        }
        for request in [
            other.get(task("")),
            other.get(task("/patches")),
            other.apply(ready, &json!({})),
            other.revert(ready),
            other.cancel(ready),
            other.cancel(asking),
        ] {
            let target = request.target.clone();
            server.send(&request).await?.refused("task_not_found").context(target)?;
        }
        let list = server.send(&other.get("/api/tasks")).await?.success()?;
        ensure!(list["tasks"] == json!([]), "{list}");
        for request in [
            mine.events().bearer(&other.token),
            Request::socket(format!("/ws/events?sessionId={}&token={}", mine.id, other.token)),
        ] {
            server.try_open(&request).await?.refused("session_not_found")?;
        }
        let mut elsewhere = other.follow(&server).await?;
        for (message, code) in [
            (json!({"type": "user_message", "content": "edit x x", "taskId": ready}), "task_not_found"),
            (json!({"type": "confirmation", "messageId": question, "confirmed": true}), "approval_not_found"),
        ] {
            elsewhere.send(&message).await?;
            let error = elsewhere.until("error").await?;
            ensure!(error["code"] == code, "{message} was answered {error}");
        }
        let still = server.send(&mine.get(format!("/api/tasks/{asking}"))).await?.success()?;
        ensure!(still["status"] == "awaiting_approval", "{still}");
        ensure!(elsewhere.settle().await?.is_empty(), "the other session is told of tasks that are not its own");
        ensure!(repository.log()? == ["Begin"], "{:?}", repository.log()?);
    }

    async fn other_credentials_open_no_session_and_a_session_s_opens_nothing_else(database) {
        let server = TestServer::with(production(database)).await?;
        let workspace = server.pair().await?;
        let session = Session::on(&server, &workspace, &server.repository()?).await?;
        for token in [workspace.device_token.as_str(), COMPANION_TOKEN] {
            for request in [session.get("/api/tasks"), session.get("/api/git/diff"), session.run("pwd"), session.end()] {
                server.send(&request.bearer(token)).await?.refused("credential_invalid")?;
            }
            server.try_open(&session.events().bearer(token)).await?.refused("credential_invalid")?;
        }
        for request in [
            Request::get("/v1/runs"),
            Request::get("/v1/devices"),
            Request::get("/api/chats"),
            create(&json!({"repo": session.repository.text()})),
        ] {
            let target = request.target.clone();
            server.send(&request.bearer(&session.token)).await?.refused("credential_invalid").context(target)?;
        }
        for target in ["/ws", "/v1/stream"] {
            let opened = server.try_open(&Request::socket(target).bearer(&session.token)).await?;
            opened.refused("credential_invalid").context(target)?;
        }
    }

    /// Who is thrown out has no way back in by what they opened before.
    async fn a_revoked_device_s_sessions_are_over(database) {
        let server = TestServer::with(production(database)).await?;
        let workspace = server.pair().await?;
        let session = Session::on(&server, &workspace, &server.repository()?).await?;
        let mut socket = session.follow(&server).await?;
        workspace.machine.devices().revoke_device(&workspace.device_id).await?;
        let answer = server.send(&session.get("/api/tasks")).await?;
        ensure!((401..=404).contains(&answer.status), "answered {}: {}", answer.status, answer.json());
        server.hurry(socket.expect_close("credential_invalid")).await?;
    }
}

/// As it is in a query.
fn escaped(token: &str) -> String {
    url::form_urlencoded::byte_serialize(token.as_bytes()).collect()
}
