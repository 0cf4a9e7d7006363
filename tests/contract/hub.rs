//! The hub: channels, and who hears what on them.
//!
//! `channels` and `publishing` are about what every client can do, `agents` about who is who, `gone` about agents whose server
//! is, `tracked` about what is sent until it is acknowledged, `remembered` about who comes back, `life` about what Flightdeck
//! tells by itself, `foreign` about publishers that speak to the database, `forgotten` about channels that nobody uses,
//! `operations` and `port` about HTTP.

mod agents;
mod channels;
mod foreign;
mod forgotten;
mod gone;
mod life;
mod operations;
mod port;
mod production;
mod publishing;
mod remembered;
mod tracked;

use std::collections::VecDeque;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use flightdeck_tests::socket::document as sockets;
use flightdeck_tests::{Kind, RawSocket, Request, ServerProcess, TestServer};
use serde_json::{Value, json};

/// A client. Events that come while it waits for an answer are kept for when they are asked for.
struct Client {
    socket: RawSocket,
    events: VecDeque<Value>,
    client_id: String,
    asked: u32,
}

impl Client {
    /// Opens a socket, and takes its greeting.
    async fn connect(server: &TestServer, query: &str) -> Result<Self> {
        Self::greeted(server.open(&Request::socket(format!("/hub{query}"))).await?).await
    }

    async fn greeted(mut socket: RawSocket) -> Result<Self> {
        let greeting = socket.expect("connected").await?;
        let client_id = greeting["client_id"].as_str().context("a client has an id")?.to_owned();
        ensure!(client_id.starts_with("ws_"), "{greeting}");
        Ok(Self { socket, events: VecDeque::new(), client_id, asked: 0 })
    }

    /// Connects to a server that is a program of its own.
    async fn of(process: &ServerProcess, database: Kind) -> Result<Self> {
        let hub = sockets::find("/hub").context("there is a socket at this path")?;
        let opened = RawSocket::open(process.address(), &Request::socket("/hub"), hub, database).await?;
        Self::greeted(opened.socket()?).await
    }

    /// Connects as an agent.
    async fn agent(server: &TestServer, agent_id: &str) -> Result<Self> {
        let mut client = Self::connect(server, "").await?;
        client.ok(json!({"type": "auth", "agent_id": agent_id})).await?;
        Ok(client)
    }

    async fn send(&mut self, message: Value) -> Result<()> {
        self.socket.send(&message).await
    }

    /// Says something that is answered, and gives the `ack`.
    async fn ask(&mut self, mut message: Value) -> Result<Value> {
        self.asked += 1;
        let id = format!("ask-{}", self.asked);
        message["id"] = id.as_str().into();
        self.send(message).await?;
        loop {
            match self.socket.recv().await? {
                ("event", event) => self.events.push_back(event),
                ("ack", ack) => {
                    ensure!(ack["id"] == id && ack["timestamp"].is_u64(), "{ack}");
                    return Ok(ack);
                }
                ("ping", _) => {}
                (_, other) => anyhow::bail!("an `ack` should come, not {other}"),
            }
        }
    }

    /// Says something that succeeds.
    async fn ok(&mut self, message: Value) -> Result<()> {
        let shown = message.to_string();
        let ack = self.ask(message).await?;
        ensure!(ack["success"] == true && ack.get("error").is_none(), "{shown} was answered {ack}");
        Ok(())
    }

    /// Says something that is refused with these words.
    async fn refused(&mut self, message: Value, error: &str) -> Result<()> {
        let shown = message.to_string();
        let ack = self.ask(message).await?;
        ensure!(ack["success"] == false && ack["error"] == error, "{shown} was answered {ack} instead of {error:?}");
        Ok(())
    }

    async fn subscribe(&mut self, channel: &str) -> Result<()> {
        self.ok(json!({"type": "subscribe", "channel": channel})).await
    }

    async fn subscribe_since(&mut self, channel: &str, seq: u64) -> Result<()> {
        self.ok(json!({"type": "subscribe", "channel": channel, "since_seq": seq})).await
    }

    async fn unsubscribe(&mut self, channel: &str) -> Result<()> {
        self.ok(json!({"type": "unsubscribe", "channel": channel})).await
    }

    async fn publish(&mut self, channel: &str, event: &str, data: Value) -> Result<()> {
        self.ok(json!({"type": "publish", "channel": channel, "event": event, "data": data})).await
    }

    /// Says that it has an event.
    async fn acknowledge(&mut self, event: &Value) -> Result<()> {
        self.send(json!({"type": "ack", "message_id": event["id"]})).await
    }

    /// The next event. Nothing else may come before it, but heartbeats.
    async fn event(&mut self) -> Result<Value> {
        if let Some(event) = self.events.pop_front() {
            return Ok(event);
        }
        loop {
            match self.socket.recv().await.context("waiting for an event")? {
                ("event", event) => return Ok(event),
                ("ping", _) => {}
                (_, other) => anyhow::bail!("an event should come, not {other}"),
            }
        }
    }

    /// The next events, which must have these data.
    async fn expect(&mut self, channel: &str, data: impl IntoIterator<Item = Value>) -> Result<Vec<Value>> {
        let mut events = Vec::new();
        for data in data {
            let event = self.event().await?;
            ensure!(
                event["channel"] == channel && event["data"] == data,
                "{event} came instead of {data} on {channel}"
            );
            events.push(event);
        }
        Ok(events)
    }

    /// Fails if something waits to be told. A client's own mark comes after whatever was there before.
    async fn expect_nothing(&mut self) -> Result<()> {
        let mark = json!({"mark": self.asked});
        self.subscribe("topics/mark").await?;
        self.publish("topics/mark", "system.info", mark.clone()).await?;
        self.expect("topics/mark", [mark]).await.context("nothing should have come")?;
        self.unsubscribe("topics/mark").await
    }
}

/// Lets time pass, in which these clients give signs of life.
async fn pass(server: &TestServer, time: Duration, clients: &mut [&mut Client]) -> Result<()> {
    const STEP: Duration = Duration::from_secs(25);
    let mut left = time;
    while !left.is_zero() {
        let step = left.min(STEP);
        left -= step;
        server.advance(step);
        for client in clients.iter_mut() {
            client.ok(json!({"type": "unsubscribe", "channel": "topics/sign-of-life"})).await?;
        }
    }
    Ok(())
}

fn seqs(events: &[Value]) -> Vec<u64> {
    events.iter().filter_map(|event| event["seq"].as_u64()).collect()
}
