//! Who is who: `auth`, and what is told of those who come and go.

use anyhow::{Result, ensure};
use flightdeck_tests::{Request, TestServer, for_each_database};
use serde_json::{Value, json};

use super::Client;

/// What the watcher hears of an agent next.
async fn presence(watcher: &mut Client) -> Result<(Value, Value)> {
    let event = watcher.event().await?;
    ensure!(event["channel"] == "global", "{event}");
    Ok((event["event"].clone(), event["data"].clone()))
}

for_each_database! {
    async fn an_agent_comes_and_goes(database) {
        let server = TestServer::start(database).await?;
        let mut watcher = Client::connect(&server, "").await?;
        let mut agent = Client::connect(&server, "").await?;
        agent.send(json!({"type": "auth", "agent_id": "backend", "session_id": "s-1", "id": "auth-1"})).await?;
        let ack = agent.socket.expect("ack").await?;
        ensure!(ack["id"] == "auth-1" && ack["success"] == true, "{ack}");
        let data = json!({"agent_id": "backend", "client_id": agent.client_id, "session_id": "s-1"});
        ensure!(presence(&mut watcher).await? == (json!("agent.connected"), data.clone()), "it came");
        // It hears of itself, too: it is on global.
        ensure!(presence(&mut agent).await? == (json!("agent.connected"), data.clone()), "it came");
        watcher.publish("agents/backend", "system.info", json!("to you")).await?;
        agent.expect("agents/backend", [json!("to you")]).await?;
        watcher.publish("sessions/s-1", "system.info", json!("to the session")).await?;
        agent.expect("sessions/s-1", [json!("to the session")]).await?;
        // To say it again changes nothing, and tells nobody.
        agent.ok(json!({"type": "auth", "agent_id": "backend", "session_id": "s-1"})).await?;
        watcher.expect_nothing().await?;
        agent.socket.close().await?;
        ensure!(presence(&mut watcher).await? == (json!("agent.disconnected"), data), "it went");
    }

    /// What the query says is believed as far as `auth` is: here, on this machine, and only together with it.
    async fn the_query_names_the_session(database) {
        let server = TestServer::start(database).await?;
        let mut watcher = Client::connect(&server, "").await?;
        let silent = Client::connect(&server, "?agent_id=silent&session_id=s-0").await?;
        silent.socket.close().await?;
        let mut agent = Client::connect(&server, "?agent_id=backend&session_id=s-1").await?;
        agent.ok(json!({"type": "auth", "agent_id": "backend"})).await?;
        let data = json!({"agent_id": "backend", "client_id": agent.client_id, "session_id": "s-1"});
        ensure!(presence(&mut watcher).await? == (json!("agent.connected"), data), "only who says so has come");
        watcher.publish("sessions/s-1", "system.info", json!(1)).await?;
        ensure!(presence(&mut agent).await?.0 == "agent.connected", "it came");
        agent.expect("sessions/s-1", [json!(1)]).await?;
        let mut nobody = Client::agent(&server, "nobody").await?;
        let none = json!({"agent_id": "nobody", "client_id": nobody.client_id, "session_id": null});
        ensure!(presence(&mut nobody).await?.1 == none, "it has no session");
    }

    async fn who_says_nothing_true_is_told_a_code(database) {
        let server = TestServer::start(database).await?;
        let mut client = Client::connect(&server, "?agent_id=backend").await?;
        for (message, code, error) in [
            (json!({"type": "auth"}), "4003", "Missing token or agent_id"),
            (json!({"type": "auth", "agent_id": "", "token": ""}), "4003", "Missing token or agent_id"),
            (json!({"type": "auth", "agent_id": null}), "4003", "Missing token or agent_id"),
            (json!({"type": "auth", "token": "made.up"}), "4001", "Invalid or expired token"),
            (json!({"type": "auth", "agent_id": "a", "token": "made.up"}), "4001", "Invalid or expired token"),
            (json!({"type": "auth", "agent_id": "a/b"}), "INVALID_CHANNEL", "Invalid channel format: agents/a/b"),
            (
                json!({"type": "auth", "agent_id": "a", "session_id": "s s"}),
                "INVALID_CHANNEL",
                "Invalid channel format: sessions/s s",
            ),
        ] {
            client.send(message.clone()).await?;
            let fault = client.socket.expect("error").await?;
            ensure!(fault["code"] == code && fault["error"] == error, "{message} was answered {fault}");
            // Who asked for an answer gets that, too.
            let mut asking = message;
            asking["id"] = "1".into();
            client.send(asking).await?;
            ensure!(client.socket.expect("error").await? == fault, "the code comes first");
            let ack = client.socket.expect("ack").await?;
            ensure!(ack["success"] == false && ack["error"] == error, "{ack}");
        }
        client.expect_nothing().await?;
    }

    async fn a_token_proves_an_agent(database) {
        let server = TestServer::start(database).await?;
        let mint = Request::post("/api/auth/token", &json!({"agent_id": "backend", "session_id": "s-9"}));
        let minted = server.send(&mint).await?.success()?;
        let mut client = Client::connect(&server, "").await?;
        client.ok(json!({"type": "auth", "token": minted["token"], "agent_id": "somebody-else"})).await?;
        let data = json!({"agent_id": "backend", "client_id": client.client_id, "session_id": "s-9"});
        ensure!(presence(&mut client).await?.1 == data, "the token counts, not what is said beside it");
        client.subscribe("agents/backend").await?;
        client.publish("sessions/s-9", "system.info", json!(1)).await?;
        client.expect("sessions/s-9", [json!(1)]).await?;
    }

    /// What the query says lets a client read an agent's channel only until it says that it is another one.
    async fn an_agent_s_channel_is_not_passed_on(database) {
        let server = TestServer::start(database).await?;
        let mut publisher = Client::connect(&server, "").await?;
        publisher.unsubscribe("global").await?;
        let mut client = Client::connect(&server, "?agent_id=one").await?;
        client.subscribe("agents/one").await?;
        client.unsubscribe("global").await?;
        publisher.publish("agents/one", "system.info", json!(1)).await?;
        client.expect("agents/one", [json!(1)]).await?;
        client.ok(json!({"type": "auth", "agent_id": "other"})).await?;
        client.unsubscribe("global").await?;
        client.events.clear();
        publisher.publish("agents/one", "message.new", json!(2)).await?;
        client.expect_nothing().await?;
        client.socket.close().await?;
        let mut back = Client::connect(&server, "").await?;
        back.unsubscribe("global").await?;
        back.ok(json!({"type": "auth", "agent_id": "other"})).await?;
        back.unsubscribe("global").await?;
        back.events.retain(|event| event["channel"] != "global");
        back.expect_nothing().await?;
    }

    async fn a_client_can_become_another_agent(database) {
        let server = TestServer::start(database).await?;
        let mut watcher = Client::connect(&server, "").await?;
        let mut client = Client::agent(&server, "one").await?;
        client.subscribe("topics/kept").await?;
        client.ok(json!({"type": "auth", "agent_id": "other"})).await?;
        let heard = [presence(&mut watcher).await?, presence(&mut watcher).await?, presence(&mut watcher).await?];
        let heard = heard.map(|(event, data)| (event, data["agent_id"].clone()));
        let wanted = [("agent.connected", "one"), ("agent.connected", "other"), ("agent.disconnected", "one")];
        ensure!(heard == wanted.map(|(event, agent)| (json!(event), json!(agent))), "{heard:?}");
        for _ in 0..3 {
            presence(&mut client).await?;
        }
        watcher.publish("agents/one", "system.info", json!(1)).await?;
        watcher.publish("agents/other", "system.info", json!(2)).await?;
        client.expect("agents/other", [json!(2)]).await?;
        watcher.publish("topics/kept", "system.info", json!(3)).await?;
        client.expect("topics/kept", [json!(3)]).await?;
        let private = "Not authorized to subscribe to this agent channel";
        client.refused(json!({"type": "subscribe", "channel": "agents/one"}), private).await?;
    }
}
