//! Tokens and numbers.

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use flightdeck_tests::raw::Signer;
use flightdeck_tests::server::{COMPANION_TOKEN, SERVER_SECRET};
use flightdeck_tests::{Request, TestOptions, TestServer, for_each_database};
use serde_json::{Value, json};
use uuid::Uuid;

use super::Client;

fn mint(body: &Value) -> Request {
    Request::post("/api/auth/token", body)
}

async fn stats(server: &TestServer, path: &str) -> Result<Value> {
    server.send(&Request::get(path)).await?.success()
}

for_each_database! {
    async fn a_token_says_whom_it_proves(database) {
        let server = TestServer::start(database).await?;
        for (body, session) in [
            (json!({"agent_id": "backend"}), Value::Null),
            (json!({"agent_id": "backend", "session_id": null}), Value::Null),
            (json!({"agent_id": "backend", "session_id": "s-1"}), json!("s-1")),
        ] {
            let minted = server.send(&mint(&body)).await?.success()?;
            let (now, until) = (server.now(), server.now() + 3_600_000);
            ensure!(minted["agent_id"] == "backend" && minted["session_id"] == session, "{minted}");
            ensure!(minted["issued_at"] == now && minted["expires_at"] == until, "{minted}");
            ensure!(minted["expires_in"] == 3_600, "{minted}");
            let token = minted["token"].as_str().context("a token is a text")?;
            let (payload, signature) = token.split_once('.').context("it has two parts")?;
            let payload: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload)?)?;
            ensure!(payload["agent_id"] == "backend" && payload["expires_at"] == until, "{payload}");
            ensure!(payload["issued_at"] == now && payload["session_id"] == session, "{payload}");
            ensure!(signature.len() == 64 && signature.bytes().all(|byte| byte.is_ascii_hexdigit()), "{token}");
        }
        for body in [
            json!({}),
            json!({"agent_id": ""}),
            json!({"agent_id": "a/b"}),
            json!({"agent_id": "a".repeat(65)}),
            json!({"agent_id": "a", "session_id": ""}),
            json!({"agent_id": "a", "session_id": "s s"}),
        ] {
            server.send(&mint(&body)).await?.refused("invalid_request").context(body)?;
        }
    }

    async fn in_production_the_operator_mints(database) {
        let server = TestServer::with(TestOptions::new(database).production()).await?;
        let body = json!({"agent_id": "backend"});
        server.send(&mint(&body)).await?.refused("credential_missing")?;
        server.send(&mint(&body).bearer("made-up")).await?.refused("credential_invalid")?;
        server.send(&mint(&body).bearer(COMPANION_TOKEN)).await?.success()?;
        let signer = Signer { workspace_id: Uuid::nil(), secret: SERVER_SECRET.to_owned(), now: server.now() };
        let signed = mint(&body).sign(&signer).without("X-Workspace-Id");
        server.send(&signed).await?.success()?;
        server.send(&signed).await?.refused("nonce_reused")?;
        let wrong = Signer { secret: "another".to_owned(), ..signer };
        server.send(&mint(&body).sign(&wrong).without("X-Workspace-Id")).await?.refused("signature_invalid")?;
        // A machine's key opens its workspace, and nothing beside it.
        let workspace = server.pair().await?;
        let signed = mint(&body).sign(&workspace.signer(&server));
        server.send(&signed).await?.refused("signature_invalid")?;
    }

    async fn the_numbers_are_those_of_the_clients(database) {
        let server = TestServer::start(database).await?;
        let nothing =
            json!({"connectedClients": 0, "activeChannels": 0, "channelStats": {}, "pendingDeliveries": 0});
        ensure!(stats(&server, "/stats").await? == nothing, "nobody is there");
        let mut one = Client::agent(&server, "backend").await?;
        let mut other = Client::connect(&server, "").await?;
        one.subscribe("topics/x").await?;
        other.subscribe("topics/x").await?;
        one.unsubscribe("global").await?;
        one.events.clear();
        one.publish("topics/x", "task.created", json!(1)).await?;
        while other.event().await?["channel"] != "topics/x" {}
        one.expect("topics/x", [json!(1)]).await.context("it follows, too")?;
        let wanted = json!({
            "connectedClients": 2,
            "activeChannels": 3,
            "channelStats": {"agents/backend": 1, "global": 1, "topics/x": 2},
            "pendingDeliveries": 2,
        });
        let seen = stats(&server, "/stats").await?;
        ensure!(seen == wanted, "{seen}");
        let mut health = stats(&server, "/health").await?;
        for (name, value) in wanted.as_object().into_iter().flatten() {
            ensure!(health[name] == *value, "{health}");
            health.as_object_mut().context("it is an object")?.remove(name);
        }
        ensure!(health["ok"] == true && health["status"] == "healthy" && health["type"] == "websocket", "{health}");
        ensure!(health["port"] == 0 && health["timestamp"] == server.now(), "{health}");
        one.socket.close().await?;
        other.socket.close().await?;
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while stats(&server, "/stats").await? != nothing {
            ensure!(std::time::Instant::now() < deadline, "{}", stats(&server, "/stats").await?);
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    }

    async fn in_production_channels_are_not_named_to_everybody(database) {
        let server = TestServer::with(TestOptions::new(database).production()).await?;
        let token = server.send(&mint(&json!({"agent_id": "backend"})).bearer(COMPANION_TOKEN)).await?.success()?;
        let mut agent = Client::connect(&server, "").await?;
        agent.ok(json!({"type": "auth", "token": token["token"]})).await?;
        let workspace = server.pair().await?;
        for path in ["/stats", "/health"] {
            let seen = stats(&server, path).await?;
            ensure!(seen["channelStats"] == json!({}) && seen["activeChannels"] == 2, "{seen}");
            for request in [
                Request::get(path).bearer(COMPANION_TOKEN),
                Request::get(path).sign(&workspace.signer(&server)),
            ] {
                let seen = server.send(&request).await?.success()?;
                ensure!(seen["channelStats"] == json!({"agents/backend": 1, "global": 1}), "{seen}");
            }
            server.send(&Request::get(path).bearer("made-up")).await?.refused("credential_invalid")?;
        }
    }
}
