//! The companion: agents that register, get messages and send some.
//!
//! `operations` is about HTTP, `socket` about frames, `presence` about who is there, `resume` about what a client that
//! comes back gets.

mod operations;
mod presence;
mod resume;
mod socket;

use anyhow::{Context, Result, ensure};
use flightdeck_tests::{RawSocket, Request, TestServer};
use serde_json::{Value, json};
use uuid::Uuid;

/// Makes an agent known, and gives its id.
async fn register(server: &TestServer, name: &str) -> Result<Uuid> {
    let answer = server.send(&Request::post("/agents/register", &json!({"name": name}))).await?.success()?;
    Ok(answer["agent_id"].as_str().context("an agent has an id")?.parse()?)
}

/// The request that says something to an agent.
fn message(agent: Uuid, content: &str) -> Request {
    Request::post("/messages", &json!({"agent_id": agent, "content": content}))
}

/// Says something to an agent; gives the event's place.
async fn say(server: &TestServer, agent: Uuid, content: &str) -> Result<u64> {
    let answer = server.send(&message(agent, content)).await?.success()?;
    answer["seq"].as_u64().context("a message has a place")
}

/// The messages of an agent after a place.
async fn messages(server: &TestServer, agent: Uuid, since: u64) -> Result<Vec<Value>> {
    let target = format!("/messages?agent_id={agent}&since_seq={since}&limit=200");
    let mut answer = server.send(&Request::get(target)).await?.success()?;
    events_in(answer["events"].take())
}

/// The request that opens a socket.
fn socket(agent: Uuid, role: &str) -> Request {
    Request::socket(format!("/realtime?agent_id={agent}&role={role}"))
}

/// Opens a socket, and takes its greeting.
async fn open(server: &TestServer, agent: Uuid, role: &str) -> Result<RawSocket> {
    let mut opened = server.open(&socket(agent, role)).await?;
    opened.expect("hello").await?;
    Ok(opened)
}

async fn subscribe(socket: &mut RawSocket, since: u64) -> Result<()> {
    socket.send(&json!({"type": "subscribe", "since_seq": since})).await
}

/// Reads events until the one with this place; those of a page, and new ones.
async fn read_to(socket: &mut RawSocket, last: u64) -> Result<Vec<Value>> {
    let mut events: Vec<Value> = Vec::new();
    while events.last().is_none_or(|event| event["seq"].as_u64() < Some(last)) {
        match socket.recv().await? {
            ("event", mut message) => events.push(message["event"].take()),
            ("events", mut message) => {
                let page = events_in(message["events"].take())?;
                ensure!(page.len() <= 200, "{} events in one frame", page.len());
                events.extend(page);
            }
            ("command", _) => {}
            (_, message) => anyhow::bail!("an event should come, not {message}"),
        }
    }
    Ok(events)
}

/// Subscribes, and reads to the event with this place. What comes before the answer is passed over: the answer has it, too.
async fn resume(socket: &mut RawSocket, since: u64, last: u64) -> Result<Vec<Value>> {
    subscribe(socket, since).await?;
    let mut events = events_in(socket.until("events").await?["events"].take())?;
    if places(&events).last().is_none_or(|place| *place < last) {
        events.extend(read_to(socket, last).await?);
    }
    Ok(events)
}

fn events_in(list: Value) -> Result<Vec<Value>> {
    match list {
        Value::Array(events) => Ok(events),
        other => anyhow::bail!("{other} is no list"),
    }
}

fn places(events: &[Value]) -> Vec<u64> {
    events.iter().filter_map(|event| event["seq"].as_u64()).collect()
}

/// What each event says: its status, or its content.
fn said(events: &[Value]) -> Vec<&str> {
    let payloads = events.iter().map(|event| &event["payload"]);
    payloads.map(|payload| payload["status"].as_str().or(payload["content"].as_str()).unwrap_or_default()).collect()
}
