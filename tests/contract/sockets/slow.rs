//! Clients that read more slowly than events come. They are cut off, and lose nothing by it; others don't notice.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use flightdeck_sdk::generated::sockets::stream::{StreamClientMessage, StreamProtocol, StreamServerMessage};
use flightdeck_sdk::runtime::{ReconnectPolicy, Update};
use flightdeck_sdk::types::{BridgeEvent, StreamSubscribe};
use flightdeck_tests::socket::document;
use flightdeck_tests::socket::frame::{Frame, PONG};
use flightdeck_tests::{Kind, PairedWorkspace, Request, TestServer, for_each_database};
use serde_json::json;
use uuid::Uuid;

use super::development;
use crate::cockpit::Session;
use crate::support::happened;

/// As large as an event may be, nearly: a few fill what the operating systems keep for a connection that nobody reads.
const LARGE: usize = 900 * 1024;
/// More than is kept for a client as it usually is.
const MANY: i64 = 28;
/// More than is kept for one that keeps hardly anything itself.
pub(super) const SOME: i64 = 6;

/// Reports large events of one run.
pub(super) async fn report(server: &TestServer, workspace: &PairedWorkspace, run_id: Uuid, count: i64) -> Result<()> {
    for number in 0..count {
        let payload = json!({"number": number, "output": "x".repeat(LARGE)});
        let payload = payload.as_object().cloned().context("it is an object")?;
        let event: BridgeEvent = happened(server, workspace, run_id, "TOOL_USED").with_payload(payload);
        workspace.machine.bridge().submit_event(&event).await?;
    }
    Ok(())
}

/// As much as `SOME` large events, in messages that a socket takes: how many, and a text for each.
fn as_much(socket: &str) -> (usize, String) {
    let around = 1_000;
    let size = LARGE.min(document::socket(socket).limits.max_message_bytes - around);
    (usize::try_from(SOME).expect("it is not negative") * LARGE / size, "x".repeat(size))
}

/// The places of the events that an update brings.
fn seqs(update: Update<StreamProtocol>) -> Vec<i64> {
    let events = match update {
        Update::Message(StreamServerMessage::Event(live)) => vec![live.event],
        Update::Message(StreamServerMessage::Events(page)) => page.events,
        _ => Vec::new(),
    };
    events.into_iter().map(|event| i64::try_from(event.seq).expect("a log is not that long")).collect()
}

/// Lets the server's time pass until it has cut somebody off.
async fn somebody_is_cut_off(server: &TestServer) -> Result<()> {
    let cut_off = async {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let request = Request::get("/metrics").header("Connection", "close");
            let answer = server.send(&request).await?;
            let metrics = String::from_utf8_lossy(&answer.body).into_owned();
            if metrics.lines().any(|line| line.contains("slow_reader") && !line.ends_with(" 0")) {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "nobody is cut off:\n{metrics}");
        }
    };
    server.hurry(cut_off).await
}

for_each_database! {
    async fn who_reads_nothing_is_cut_off_and_goes_on_where_it_was(database) {
        let server = TestServer::with(development(database)).await?;
        let workspace = server.pair().await?;
        let run_id = Uuid::new_v4();
        let stream = format!("runs/{run_id}");
        workspace.machine.bridge().submit_event(&happened(&server, &workspace, run_id, "RUN_STARTED")).await?;

        let at_once = ReconnectPolicy::default().waits(Duration::ZERO, Duration::ZERO);
        let mut socket = workspace.device.sockets().stream().reconnect(at_once).connect();
        let subscribe = StreamSubscribe::new(stream.clone()).with_since_seq(0);
        socket.send(StreamClientMessage::Subscribe(subscribe)).await?;
        // From the first event on, nobody takes anything.
        let mut last = 0;
        while last == 0 {
            last = seqs(socket.next().await.context("the session goes on")?).last().copied().unwrap_or(0);
        }
        report(&server, &workspace, run_id, MANY).await?;
        somebody_is_cut_off(&server).await?;

        let mut disconnected = false;
        let mut resumed = false;
        while last < MANY + 1 {
            let update = tokio::time::timeout(Duration::from_secs(20), socket.next()).await;
            let update = update.context("no more events come")?.context("the session goes on")?;
            match &update {
                Update::Disconnected { .. } => disconnected = true,
                Update::Connected { resumed: true } => resumed = true,
                Update::Resync { .. } | Update::Closed { .. } => bail!("{update:?}"),
                _ => {}
            }
            for seq in seqs(update) {
                ensure!(seq == last + 1, "event {seq} came after event {last}");
                last = seq;
            }
        }
        ensure!(disconnected && resumed, "it was never cut off");
    }

    async fn who_reads_nothing_is_told_why(database) {
        let cut_off = |name| async move { cut_off(database, name).await.with_context(|| name.to_owned()) };
        tokio::try_join!(cut_off("stream"), cut_off("companion"), cut_off("hub"), cut_off("chats"))?;
        tokio::try_join!(cut_off("cockpit"), cut_off("terminal"))?;
    }
}

/// Has a client that reads nothing cut off, by what others say on the same socket.
async fn cut_off(database: Kind, name: &str) -> Result<()> {
    let server = TestServer::with(development(database).set("CMD_ALLOWLIST", "sh loud.sh")).await?;
    let mut slow;
    match name {
        "stream" => {
            let workspace = server.pair().await?;
            let run_id = Uuid::new_v4();
            workspace.machine.bridge().submit_event(&happened(&server, &workspace, run_id, "RUN_STARTED")).await?;
            slow = server.open_narrow(&Request::socket("/v1/stream").bearer(&workspace.device_token)).await?;
            slow.expect("hello").await?;
            slow.send(&json!({"type": "subscribe", "stream": format!("runs/{run_id}")})).await?;
            slow.until("synced").await?;
            report(&server, &workspace, run_id, SOME).await?;
        }
        "companion" => {
            let agent_id = super::register(&server).await?;
            let opens = |role| {
                let request = Request::socket(format!("/realtime?agent_id={agent_id}&role={role}"));
                request.bearer(flightdeck_tests::server::COMPANION_TOKEN)
            };
            slow = server.open_narrow(&opens("ios")).await?;
            slow.expect("hello").await?;
            let mut talking = server.open(&opens("pc")).await?;
            let (count, text) = as_much(name);
            for _ in 0..count {
                talking.send(&json!({"type": "event", "event": {"payload": {"content": text}}})).await?;
                talking.until("event").await?;
            }
        }
        "cockpit" => {
            let session = Session::open(&server).await?;
            slow = server.open_narrow(&session.events()).await?;
            slow.expect("synced").await?;
            session.ready(&server, "edit hello.txt hello").await?;
            let mut talking = session.follow(&server).await?;
            // What the agent says repeats what it is told.
            let said = json!({"type": "user_message", "content": "x".repeat(90_000)});
            for _ in 0..80 {
                talking.send(&said).await?;
                while talking.until("status").await?["phase"] != "ready" {}
            }
        }
        "terminal" => {
            let session = Session::open(&server).await?;
            session.repository.write("loud.sh", "yes 'as fast as it goes' | head -c 20000000\n")?;
            slow = server.open_narrow(&session.terminal()).await?;
            slow.expect("resize").await?;
            // Somebody who reads is not kept waiting.
            let mut reading = server.open(&session.terminal()).await?;
            server.send(&session.run("sh loud.sh")).await?.success()?;
            reading.until("exit").await?;
        }
        "chats" => {
            let workspace = server.pair().await?;
            let id = crate::chats::chat(&workspace).await?;
            slow = server.open_narrow(&Request::socket("/ws").bearer(&workspace.device_token)).await?;
            slow.send(&json!({"type": "subscribe", "chatId": id})).await?;
            slow.until("synced").await?;
            // A message is shorter than a frame may be.
            let text = "x".repeat(250_000);
            for _ in 0..40 {
                let message = flightdeck_sdk::types::ChatMessageSend::new(text.clone());
                workspace.device.chats().send_chat_message(&id, &message).await?;
            }
        }
        _ => {
            slow = server.open_narrow(&Request::socket("/hub")).await?;
            slow.expect("connected").await?;
            let mut talking = server.open(&Request::socket("/hub")).await?;
            let (count, text) = as_much(name);
            let publish =
                json!({"type": "publish", "channel": "global", "event": "system.info", "data": text, "id": "p"});
            for _ in 0..count {
                talking.send(&publish).await?;
                talking.until("ack").await?;
            }
        }
    }
    // Somebody who gives signs of life, and so is not silent: where output waits for its reader, that is what differs.
    let alive = async {
        while slow.send_frame(&Frame::new(PONG, "")).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        cut_off = somebody_is_cut_off(&server) => cut_off?,
        () = alive => {}
    }
    slow.expect_close("slow_reader").await
}
