//! Who may open which socket: no credential, a wrong one, one that was revoked and one that has expired, in development and in
//! production, on this machine and through a proxy.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use flightdeck_tests::server::COMPANION_TOKEN;
use flightdeck_tests::{Opened, Request, TestOptions, TestServer, for_each_database};
use serde_json::{Value, json};

use super::{development, register};

/// What makes a client one of another machine.
const PROXY: (&str, &str) = ("X-Forwarded-For", "203.0.113.7");

/// A token for the hub, good for an hour.
async fn hub_token(server: &TestServer) -> Result<String> {
    let request = Request::post("/api/auth/token", &json!({"agent_id": "ada"})).bearer(COMPANION_TOKEN);
    let minted = server.send(&request).await?.success()?;
    Ok(minted["token"].as_str().context("there is a token")?.to_owned())
}

/// Whether the greeting of `/v1/stream` says that the connection carries a credential.
async fn is_authenticated(opened: Opened) -> Result<bool> {
    let hello = opened.socket()?.expect("hello").await?;
    hello["authenticated"].as_bool().context("the greeting says it")
}

fn stream() -> Request {
    Request::socket("/v1/stream")
}

fn production(options: TestOptions) -> TestOptions {
    options.production()
}

for_each_database! {
    async fn the_stream_opens_with_a_credential_or_none_and_not_with_a_wrong_one(database) {
        for options in [development(database), production(development(database))] {
            let server = TestServer::with(options).await?;
            let workspace = server.pair().await?;
            for token in [workspace.device_token.clone(), COMPANION_TOKEN.to_owned(), hub_token(&server).await?] {
                let opened = server.try_open(&stream().bearer(&token)).await?;
                ensure!(is_authenticated(opened).await?, "the credential is not seen");
            }
            // It may still come, in a message.
            let opened = server.try_open(&stream().header(PROXY.0, PROXY.1)).await?;
            ensure!(!is_authenticated(opened).await?, "there is no credential");
            for token in ["made-up", "DEV", "null", "undefined", "a.b", "e30.00"] {
                server.try_open(&stream().bearer(token)).await?.refused("credential_invalid").context(token)?;
            }
        }
    }

    async fn the_stream_refuses_what_was_revoked_or_has_expired(database) {
        for options in [development(database), production(development(database))] {
            let server = TestServer::with(options).await?;
            let workspace = server.pair().await?;
            let token = hub_token(&server).await?;
            workspace.machine.devices().revoke_device(&workspace.device_id).await?;
            let revoked = server.try_open(&stream().bearer(&workspace.device_token)).await?;
            revoked.refused("device_revoked")?;
            server.advance(Duration::from_secs(3_599));
            ensure!(is_authenticated(server.try_open(&stream().bearer(&token)).await?).await?, "an hour is not over");
            server.advance(Duration::from_secs(2));
            server.try_open(&stream().bearer(&token)).await?.refused("credential_invalid")?;
        }
    }

    async fn the_companion_wants_its_token_from_other_machines(database) {
        for options in [development(database), production(development(database))] {
            let server = TestServer::with(options).await?;
            let agent_id = register(&server).await?;
            let plain = Request::socket(format!("/realtime?agent_id={agent_id}&role=ios")).header(PROXY.0, PROXY.1);
            let with_token = |token: &str| {
                Request::socket(format!("/realtime?agent_id={agent_id}&role=ios&token={token}")).header(PROXY.0, PROXY.1)
            };
            for right in [plain.clone().bearer(COMPANION_TOKEN), with_token(COMPANION_TOKEN)] {
                server.open(&right).await?.expect("hello").await?;
            }
            server.try_open(&plain).await?.refused("credential_missing")?;
            let mut almost = COMPANION_TOKEN.to_owned();
            almost.pop();
            for wrong in ["made-up", &almost, &format!("{COMPANION_TOKEN}x"), &COMPANION_TOKEN.to_uppercase()] {
                for request in [plain.clone().bearer(wrong), with_token(wrong)] {
                    let target = request.target.clone();
                    server.try_open(&request).await?.refused("credential_invalid").context(target)?;
                }
            }
        }
    }

    /// Without a token that is set, only this machine is let in, and in production nobody.
    async fn a_companion_without_a_token_is_for_this_machine_only(database) {
        let server = TestServer::with(development(database).unset("COMPANION_TOKEN")).await?;
        let registration = json!({"name": "mac-mini-1"});
        let agent = server.send(&Request::post("/agents/register", &registration)).await?.success()?;
        let agent_id = agent["agent_id"].as_str().context("an agent has an id")?;
        let request = Request::socket(format!("/realtime?agent_id={agent_id}&role=pc"));
        server.open(&request).await?.expect("hello").await?;
        server.try_open(&request.header(PROXY.0, PROXY.1)).await?.refused("credential_missing")?;

        let server = TestServer::with(production(development(database)).unset("COMPANION_TOKEN")).await?;
        server.try_open(&Request::socket("/realtime?agent_id=00000000-0000-4000-8000-000000000000&role=pc")).await?
            .refused("credential_missing")?;
    }

    /// Whoever may chat runs programs: on this machine, and only in development, that takes no credential.
    async fn a_chat_wants_a_device_from_other_machines(database) {
        for options in [development(database), production(development(database))] {
            let server = TestServer::with(options).await?;
            let workspace = server.pair().await?;
            let with_token = |token: &str| Request::socket(format!("/ws?token={token}"));
            let plain = Request::socket("/ws").header(PROXY.0, PROXY.1);
            for right in [plain.clone().bearer(&workspace.device_token), with_token(&workspace.device_token)] {
                server.open(&right).await?.expect("connected").await?;
            }
            server.try_open(&plain).await?.refused("credential_missing")?;
            for wrong in [plain.clone().bearer("made-up"), with_token("made-up"), plain.bearer(COMPANION_TOKEN)] {
                let target = wrong.target.clone();
                server.try_open(&wrong).await?.refused("credential_invalid").context(target)?;
            }
            workspace.machine.devices().revoke_device(&workspace.device_id).await?;
            server.try_open(&with_token(&workspace.device_token)).await?.refused("device_revoked")?;
        }
    }

    /// Whether the agent exists is nobody's business who has no credential.
    async fn the_companion_tells_strangers_nothing_about_agents(database) {
        let server = TestServer::with(production(development(database))).await?;
        let agent_id = register(&server).await?;
        let mut answers = Vec::new();
        for id in [agent_id, uuid::Uuid::new_v4()] {
            let request = Request::socket(format!("/realtime?agent_id={id}&role=ios")).bearer("made-up");
            let answer = server.try_open(&request).await?.refused("credential_invalid")?;
            answers.push(crate::support::without_request_id(answer));
        }
        ensure!(answers[0] == answers[1], "the answers differ: {answers:?}");
    }

    /// The hub lets everybody connect, and tells only those who prove who they are.
    async fn the_hub_says_nothing_before_it_knows_who_listens_in_production(database) {
        let server = TestServer::with(production(development(database))).await?;
        let mut stranger = server.open(&Request::socket("/hub?agent_id=ada")).await?;
        stranger.expect("connected").await?;
        let mut known = server.open(&Request::socket("/hub?agent_id=bob")).await?;
        known.expect("connected").await?;
        known.send(&json!({"type": "auth", "token": hub_token(&server).await?, "id": "1"})).await?;
        known.until("ack").await?;
        let publish = json!({
            "type": "publish", "channel": "global", "event": "system.info", "data": {"text": "x"}, "id": "2",
        });
        known.send(&publish).await?;
        let said = |messages: &[Value]| messages.iter().any(|message| message["event"] == "system.info");
        loop {
            let (_, message) = known.recv().await?;
            if said(&[message]) {
                break;
            }
        }
        ensure!(!said(&stranger.settle().await?), "a stranger heard it");
    }
}
