//! `/ws/events`: nothing is missed, whatever happens to the connection or the server, and nothing comes twice.

use anyhow::{Context, Result, ensure};
use flightdeck_tests::{RawSocket, Request, TestOptions, TestServer, for_each_database};
use serde_json::{Value, json};

use super::Session;

/// Asks for what happened after a position, and gives it up to `synced`.
async fn history(socket: &mut RawSocket, since: u64) -> Result<Vec<Value>> {
    socket.send(&json!({"type": "subscribe", "since_seq": since})).await?;
    let mut events = Vec::new();
    loop {
        let (name, message) = socket.recv().await?;
        match name {
            "synced" => {
                let last = events.last().map_or(Some(since), |event: &Value| event["seq"].as_u64());
                ensure!(message["seq"].as_u64() == last, "{message} after {events:?}");
                return Ok(events);
            }
            _ => events.push(message),
        }
    }
}

fn seqs(events: &[Value]) -> Vec<u64> {
    events.iter().filter_map(|event| event["seq"].as_u64()).collect()
}

for_each_database! {
    async fn what_happened_is_told_from_any_position_across_a_restart(database) {
        let mut server = TestServer::start(database).await?;
        let session = Session::open(&server).await?;
        let task = session.ready(&server, "edit hello.txt hello").await?;
        server.send(&session.apply(task, &json!({}))).await?.success()?;
        let mut socket = session.listen(&server).await?;
        let before = history(&mut socket, 0).await?;
        let all = seqs(&before);
        ensure!(all.len() >= 5 && all.iter().copied().eq(1..=all.len() as u64), "{before:?}");
        server.restart().await?;
        for since in [0, 1, 3, all.len() as u64] {
            let mut socket = session.listen(&server).await?;
            let after = history(&mut socket, since).await?;
            let skipped = usize::try_from(since)?;
            ensure!(after == before[skipped..], "since {since}: {after:?} instead of {:?}", &before[skipped..]);
        }
        // What comes now follows what was there.
        let mut socket = session.listen(&server).await?;
        history(&mut socket, all.len() as u64).await?;
        server.send(&session.revert(task)).await?.success()?;
        let next = socket.until("status").await?;
        ensure!(next["seq"] == all.len() as u64 + 1 && next["phase"] == "ready", "{next}");
    }

    async fn who_does_not_subscribe_is_told_what_is_live(database) {
        let server = TestServer::start(database).await?;
        let session = Session::open(&server).await?;
        let first = session.ready(&server, "edit one.txt 1").await?;
        let mut socket = session.listen(&server).await?;
        let second = session.task(&server, "edit two.txt 2").await?;
        loop {
            let (_, message) = socket.recv().await?;
            ensure!(message["taskId"] != first.to_string(), "{message} happened before");
            if message["taskId"] == second.to_string() && message["phase"] == "ready" {
                break;
            }
        }
    }

    async fn all_that_listen_are_told_the_same(database) {
        let server = TestServer::start(database).await?;
        let session = Session::open(&server).await?;
        let mut sockets = [session.follow(&server).await?, session.follow(&server).await?, session.follow(&server).await?];
        session.task(&server, "edit hello.txt hello").await?;
        let mut told = Vec::new();
        for socket in &mut sockets {
            let mut events = Vec::new();
            loop {
                let (_, message) = socket.recv().await?;
                let ready = message["phase"] == "ready";
                let patch = message["type"] == "patch";
                if message.get("seq").is_some() {
                    events.push(message);
                }
                let has = |what: &str, value: &str| events.iter().any(|event: &Value| event[what] == value);
                if (ready || patch) && has("phase", "ready") && has("type", "patch") {
                    break;
                }
            }
            told.push(events);
        }
        ensure!(told[0] == told[1] && told[1] == told[2], "{told:?}");
    }

    async fn a_position_that_is_not_there_is_a_gap(database) {
        let server = TestServer::start(database).await?;
        let session = Session::open(&server).await?;
        session.ready(&server, "edit hello.txt hello").await?;
        let mut socket = session.listen(&server).await?;
        socket.send(&json!({"type": "subscribe", "since_seq": 1_000_000})).await?;
        let gap = socket.until("gap").await?;
        ensure!(gap["since_seq"] == 1_000_000 && gap["next_seq"].as_u64().is_some_and(|next| next < 1_000), "{gap}");
        is_served(&mut socket).await?;
    }

    /// What was trimmed away can't be told; that it was can.
    async fn what_is_not_kept_any_more_is_a_gap(database) {
        let options = TestOptions::new(database).set("FLIGHTDECK_RETENTION", "sessions=0/3");
        let server = TestServer::with(options).await?;
        let session = Session::open(&server).await?;
        for number in 0..3 {
            session.ready(&server, &format!("edit {number}.txt x")).await?;
        }
        let gap = server
            .hurry(async {
                loop {
                    let mut socket = session.listen(&server).await?;
                    socket.send(&json!({"type": "subscribe", "since_seq": 0})).await?;
                    let (name, message) = socket.recv().await?;
                    if name == "gap" {
                        return anyhow::Ok(message);
                    }
                }
            });
        let gap = tokio::time::timeout(std::time::Duration::from_secs(30), gap).await.context("nothing is trimmed")??;
        ensure!(gap["since_seq"] == 0 && gap["next_seq"].as_u64().is_some_and(|next| next > 1), "{gap}");
    }

    /// The original's clients put the token into the address: they can't set headers.
    async fn the_token_may_be_in_the_address(database) {
        let server = TestServer::start(database).await?;
        let session = Session::open(&server).await?;
        let plain = format!("/ws/events?sessionId={}", session.id);
        let mut socket = server.open(&Request::socket(format!("{plain}&token={}", session.token))).await?;
        is_served(&mut socket).await?;
        server.try_open(&Request::socket(&plain)).await?.refused("credential_missing")?;
        let empty = server.try_open(&Request::socket(format!("{plain}&token="))).await?;
        empty.refused("credential_invalid")?;
        server.try_open(&Request::socket(format!("{plain}&token=DEV"))).await?.refused("credential_invalid")?;
        let both = Request::socket(format!("{plain}&token=made-up")).bearer(&session.token);
        // Whichever of two goes first, one that is wrong never opens more than the right one would.
        drop(server.try_open(&both).await?);
        server.send(&session.end()).await?.success()?;
        let gone = server.try_open(&Request::socket(format!("{plain}&token={}", session.token))).await?;
        gone.refused("session_not_found")?;
    }
}

async fn is_served(socket: &mut RawSocket) -> Result<()> {
    socket.send(&json!({"type": "ping"})).await?;
    socket.until("pong").await?;
    Ok(())
}
