//! Turns that are cancelled: what waits is answered, and what the turn started is ended.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};

use crate::scripted::Scripted;
use crate::steps::{
    acp_asks, acp_begins, acp_ends, acp_text, awaits, claude_answered, claude_asks, claude_begins, says,
};

fn interrupt() -> Value {
    awaits(&json!({"type": "control_request", "request_id": "i", "request": {"subtype": "interrupt"}}))
}

fn aborted() -> Value {
    let reason = "aborted_tools";
    says(&json!({"type": "result", "subtype": "error_during_execution", "is_error": true, "terminal_reason": reason}))
}

/// Completes when the process on the other end is gone.
async fn gone(mut connection: TcpStream) -> Result<()> {
    let mut room = [0];
    let read = tokio::time::timeout(Duration::from_secs(10), connection.read(&mut room)).await;
    // A reset is an end, too.
    ensure!(read.context("a process of the turn is still there")?.unwrap_or(0) == 0, "it speaks");
    Ok(())
}

#[tokio::test]
async fn a_question_that_waits_is_answered_and_closed() -> Result<()> {
    let mut steps = claude_begins();
    let denied = json!({"behavior": "deny", "message": "Nobody decided about this.", "interrupt": true});
    steps.extend([claude_asks("q1", "one"), claude_answered("q1", &denied), interrupt()]);
    // It had asked once more before it heard.
    steps.extend([claude_asks("q2", "two"), claude_answered("q2", &denied), aborted()]);
    let mut scripted = Scripted::by("claude-code", &steps).await?;
    scripted.agent.prompt("hi").await?;
    scripted.until("asks 0 command Bash `one`").await?;
    scripted.agent.cancel().await;
    let told = scripted.until("end:").await?;
    ensure!(told == ["end: Cancelled"], "{told:?}");
    ensure!(scripted.asked[0].answer.is_closed(), "the question waits on");
    Ok(())
}

/// The agent does not hear, and what it started goes on: within a second that is over, and the agent is still there.
#[tokio::test]
async fn what_the_turn_started_is_ended_although_the_agent_does_not_hear() -> Result<()> {
    for (kind, mut steps) in [("claude-code", claude_begins()), ("acp", acp_begins())] {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        steps.push(json!({"child": listener.local_addr()?.to_string()}));
        steps.push(json!({"pause": true}));
        let mut scripted = Scripted::by(kind, &steps).await?;
        if kind == "acp" {
            // The others tell theirs in a turn.
            scripted.until("session s").await?;
        }
        scripted.agent.prompt("hi").await?;
        let (child, _) = listener.accept().await?;
        let begin = Instant::now();
        scripted.agent.cancel().await;
        tokio::select! {
            gone = gone(child) => gone?,
            told = scripted.next() => anyhow::bail!("{told:?} is told"),
        }
        let took = begin.elapsed();
        ensure!(took >= Duration::from_millis(500) && took < Duration::from_secs(3), "it took {took:?}");
        ensure!(tokio::time::timeout(Duration::from_millis(100), scripted.agent.next()).await.is_err(), "it ended");
    }
    Ok(())
}

/// The turn ends at once and leaves something running, which goes with it. What was there before the turn stays.
#[tokio::test]
async fn what_a_cancelled_turn_left_goes_with_it() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let child = json!({"child": listener.local_addr()?.to_string()});
    let mut steps = claude_begins();
    steps.insert(0, child.clone());
    steps.extend([child, interrupt(), aborted()]);
    let mut scripted = Scripted::by("claude-code", &steps).await?;
    let (mut serves, _) = listener.accept().await?;
    scripted.agent.prompt("hi").await?;
    let (child, _) = listener.accept().await?;
    scripted.agent.cancel().await;
    scripted.until("end: Cancelled").await?;
    gone(child).await?;
    let read = tokio::time::timeout(Duration::from_millis(100), serves.read(&mut [0])).await;
    ensure!(read.is_err(), "what serves all turns was ended");
    scripted.agent.close().await;
    gone(serves).await
}

/// Whoever asks after a cancel is told that nobody answers, and no person sees it. And what the turn left goes with it.
#[tokio::test]
async fn a_cancelled_turn_of_acp_asks_nobody_and_leaves_nothing() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let cancelled = json!({"outcome": {"outcome": "cancelled"}});
    let mut steps = acp_begins();
    steps.extend([
        json!({"child": listener.local_addr()?.to_string()}),
        says(&acp_text("working")),
        awaits(&json!({"jsonrpc": "2.0", "method": "session/cancel", "params": {"sessionId": "s"}})),
        acp_asks(5),
        awaits(&json!({"jsonrpc": "2.0", "id": 5, "result": cancelled})),
        acp_ends("cancelled"),
    ]);
    let mut scripted = Scripted::by("acp", &steps).await?;
    scripted.agent.prompt("hi").await?;
    let told = scripted.until("text working").await?;
    ensure!(told == ["session s", "text working"], "{told:?}");
    let (child, _) = listener.accept().await?;
    let begin = Instant::now();
    scripted.agent.cancel().await;
    let told = scripted.until("end:").await?;
    ensure!(told == ["end of text", "end: Cancelled"], "{told:?}");
    gone(child).await?;
    ensure!(begin.elapsed() < Duration::from_secs(5), "the cancel took {:?}", begin.elapsed());
    scripted.agent.close().await;
    Ok(())
}

/// Whoever closes an agent may not have the time to see it through.
#[tokio::test]
async fn closing_that_is_broken_off_leaves_nothing_all_the_same() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let mut steps = claude_begins();
    steps.push(json!({"child": listener.local_addr()?.to_string()}));
    // It does not end by itself when its input does.
    steps.push(json!({"pause": true}));
    let mut scripted = Scripted::by("claude-code", &steps).await?;
    scripted.agent.prompt("hi").await?;
    let (child, _) = listener.accept().await?;
    let closing = tokio::time::timeout(Duration::from_millis(100), scripted.agent.close());
    ensure!(closing.await.is_err(), "it is closed already");
    gone(child).await
}
