//! In production a token proves who a client is, and who is nobody hears nothing.

use std::time::Duration;

use anyhow::{Result, ensure};
use flightdeck_tests::server::COMPANION_TOKEN;
use flightdeck_tests::{Request, TestOptions, TestServer, for_each_database};
use serde_json::{Value, json};

use super::{Client, pass};

const NEEDED: &str = "Token required in production mode";

async fn token(server: &TestServer, agent_id: &str) -> Result<Value> {
    let mint = Request::post("/api/auth/token", &json!({"agent_id": agent_id})).bearer(COMPANION_TOKEN);
    Ok(server.send(&mint).await?.success()?["token"].clone())
}

async fn agent(server: &TestServer, agent_id: &str) -> Result<Client> {
    let mut client = Client::connect(server, "").await?;
    client.ok(json!({"type": "auth", "token": token(server, agent_id).await?})).await?;
    let came = client.event().await?;
    ensure!(came["event"] == "agent.connected" && came["data"]["agent_id"] == agent_id, "{came}");
    Ok(client)
}

/// Fails unless the client may do nothing.
async fn is_nobody(client: &mut Client) -> Result<()> {
    for channel in ["global", "metrics", "topics/x", "sessions/s", "agents/backend"] {
        client.refused(json!({"type": "subscribe", "channel": channel}), NEEDED).await?;
        let publish = json!({"type": "publish", "channel": channel, "event": "system.info", "data": 1});
        client.refused(publish, NEEDED).await?;
    }
    for message in [
        json!({"type": "subscribe", "channel": "global"}),
        json!({"type": "publish", "channel": "global", "event": "system.info", "data": 1}),
        json!({"type": "auth", "agent_id": "backend"}),
    ] {
        client.send(message.clone()).await?;
        let fault = client.socket.expect("error").await?;
        ensure!(fault["code"] == "4002" && fault["error"] == NEEDED, "{message} was answered {fault}");
    }
    Ok(())
}

for_each_database! {
    async fn who_is_nobody_hears_nothing_and_says_nothing(database) {
        let server = TestServer::with(TestOptions::new(database).production()).await?;
        let mut nobody = Client::connect(&server, "?agent_id=backend&session_id=s-1").await?;
        is_nobody(&mut nobody).await?;
        let mut known = agent(&server, "backend").await?;
        known.publish("global", "task.created", json!(1)).await?;
        known.expect("global", [json!(1)]).await?;
        nobody.send(json!({"type": "ping"})).await?;
        nobody.socket.expect("pong").await?;
        let stats = server.send(&Request::get("/stats").bearer(COMPANION_TOKEN)).await?.success()?;
        ensure!(stats["channelStats"]["global"] == 1 && stats["connectedClients"] == 2, "{stats}");
        // It begins on global when it has proven itself.
        nobody.ok(json!({"type": "auth", "token": token(&server, "frontend").await?})).await?;
        known.publish("global", "system.info", json!(2)).await?;
        let came = nobody.event().await?;
        ensure!(came["data"]["agent_id"] == "frontend", "{came}");
        nobody.expect("global", [json!(2)]).await?;
        nobody.publish("agents/backend", "message.new", json!(3)).await?;
        let private = "Not authorized to subscribe to this agent channel";
        nobody.refused(json!({"type": "subscribe", "channel": "agents/backend"}), private).await?;
    }

    /// Somebody on another machine is treated so in development, too.
    async fn development_trusts_this_machine_only(database) {
        let server = TestServer::start(database).await?;
        let request = Request::socket("/hub").header("X-Forwarded-For", "203.0.113.7");
        let mut nobody = Client::greeted(server.open(&request).await?).await?;
        is_nobody(&mut nobody).await?;
        let mint = Request::post("/api/auth/token", &json!({"agent_id": "backend"}));
        server.send(&mint.clone().header("X-Forwarded-For", "203.0.113.7")).await?.refused("credential_missing")?;
        let token = server.send(&mint).await?.success()?["token"].clone();
        nobody.ok(json!({"type": "auth", "token": token})).await?;
        nobody.subscribe("topics/x").await?;
    }

    /// Ten seconds are enough to say who one is; whatever else is said does not count.
    async fn who_stays_nobody_is_sent_away(database) {
        let server = TestServer::with(TestOptions::new(database).production()).await?;
        let mut nobody = Client::connect(&server, "?agent_id=backend").await?;
        let mut known = agent(&server, "backend").await?;
        server.advance(Duration::from_millis(9_999));
        is_nobody(&mut nobody).await?;
        server.advance(Duration::from_millis(1));
        nobody.socket.expect_close("unauthenticated").await?;
        server.advance(Duration::from_secs(10));
        known.expect_nothing().await?;
    }

    /// So it is in development with those who are elsewhere, and not with those who are here.
    async fn who_is_elsewhere_has_ten_seconds(database) {
        let server = TestServer::start(database).await?;
        let request = Request::socket("/hub").header("X-Forwarded-For", "203.0.113.7");
        let mut nobody = Client::greeted(server.open(&request).await?).await?;
        let mut here = Client::connect(&server, "").await?;
        server.advance(Duration::from_secs(10));
        nobody.socket.expect_close("unauthenticated").await?;
        here.expect_nothing().await?;
    }

    async fn a_token_works_for_an_hour(database) {
        let server = TestServer::with(TestOptions::new(database).production()).await?;
        let old = token(&server, "backend").await?;
        let mut client = agent(&server, "backend").await?;
        let mut renewed = agent(&server, "frontend").await?;
        pass(&server, Duration::from_secs(3_599), &mut [&mut client, &mut renewed]).await?;
        client.publish("topics/x", "system.info", json!(1)).await?;
        renewed.ok(json!({"type": "auth", "token": token(&server, "frontend").await?})).await?;
        server.advance(Duration::from_secs(1));
        client.socket.expect_close("credential_expired").await?;
        let mut late = Client::connect(&server, "").await?;
        late.send(json!({"type": "auth", "token": old})).await?;
        let fault = late.socket.expect("error").await?;
        ensure!(fault["code"] == "4001" && fault["error"] == "Invalid or expired token", "{fault}");
        renewed.publish("topics/x", "system.info", json!(2)).await?;
        pass(&server, Duration::from_secs(3_598), &mut [&mut renewed]).await?;
        renewed.publish("topics/x", "system.info", json!(3)).await?;
        server.advance(Duration::from_secs(1));
        renewed.socket.expect_close("credential_expired").await?;
    }
}
