//! Programs that say nonsense, end, are never ready, or don't stop.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use flightdeck_server::service::agents::AgentError;
use flightdeck_server::service::agents::update::{Answer, Update};
use serde_json::json;
use tokio::net::TcpListener;

use crate::scripted::{Scripted, agents, playing};
use crate::steps::{claude_begins, claude_ends, claude_text, says};

#[tokio::test]
async fn nonsense_is_passed_over() -> Result<()> {
    let mut steps = vec![json!({"raw": "Welcome!"}), json!({"raw": "{\"type\":\"assistant\""})];
    steps.extend(claude_begins());
    steps.extend([
        json!({"raw": "\u{1b}[31mwarning\u{1b}[0m: \u{0}"}),
        json!({"raw": "[1, 2"}),
        json!({"raw": "{\"type\":\"stream_event\",\"event\":7}"}),
        says(&claude_text("on")),
        claude_ends(),
    ]);
    let mut scripted = Scripted::by("claude-code", &steps).await?;
    let told = scripted.turn("hi", &Answer::Withdrawn).await?;
    ensure!(told == ["text on", "end of text", "end: Finished"], "{told:?}");
    Ok(())
}

#[tokio::test]
async fn an_end_in_the_middle_is_told_with_the_last_words() -> Result<()> {
    let mut steps = claude_begins();
    steps.extend([says(&claude_text("half a")), json!({"words": "out of memory"}), json!({"exit": 3})]);
    let mut scripted = Scripted::by("claude-code", &steps).await?;
    scripted.agent.prompt("hi").await?;
    ensure!(scripted.next().await? == "text half a", "its text is lost");
    for _ in 0..2 {
        let error = scripted.failure().await?;
        let AgentError::Ended { how, last_words } = &error else { anyhow::bail!("{error:?}") };
        ensure!(how.contains('3') && last_words.contains("out of memory"), "{error}");
    }
    ensure!(matches!(scripted.agent.prompt("hi").await, Err(AgentError::Ended { .. })), "it takes prompts");
    Ok(())
}

/// What the program started holds its output open, so that has no end.
#[tokio::test]
async fn an_end_is_told_although_something_holds_the_output_open() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let mut steps = claude_begins();
    let child = json!({"child": listener.local_addr()?.to_string()});
    steps.extend([child, says(&claude_text("half a")), json!({"exit": 0})]);
    let mut scripted = Scripted::by("claude-code", &steps).await?;
    scripted.agent.prompt("hi").await?;
    let _child = listener.accept().await?;
    ensure!(scripted.next().await? == "text half a", "its text is lost");
    let error = tokio::time::timeout(Duration::from_secs(10), scripted.failure()).await.context("it never ends")??;
    ensure!(matches!(error, AgentError::Ended { .. }), "{error}");
    Ok(())
}

#[tokio::test]
async fn a_program_that_is_never_ready_is_given_up() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let script = folder.path().join("script.jsonl");
    std::fs::write(&script, "{\"words\": \"please log in\"}\n{\"pause\": true}\n")?;
    for kind in ["claude-code", "codex"] {
        let agents = agents(&playing(kind, &script), Duration::from_secs(1))?;
        let Err(error) = agents.start("scripted", folder.path().to_owned(), None).await else {
            anyhow::bail!("it started")
        };
        let AgentError::NotReady { seconds: 1, last_words } = &error else { anyhow::bail!("{error:?}") };
        ensure!(last_words.contains("please log in"), "{error}");
    }
    Ok(())
}

#[tokio::test]
async fn a_program_that_ends_before_it_is_ready() -> Result<()> {
    let steps = [json!({"words": "wrong version"}), json!({"exit": 2})];
    for (kind, resume) in [("claude-code", None), ("claude-code", Some("gone")), ("codex", None)] {
        let Err(error) = Scripted::resumed(kind, &steps, resume).await else { anyhow::bail!("it started") };
        ensure!(error.to_string().contains("wrong version"), "{error}");
    }
    Ok(())
}

/// How much memory this process holds.
#[cfg(target_os = "linux")]
fn memory() -> Result<usize> {
    let pages = std::fs::read_to_string("/proc/self/statm")?;
    let resident = pages.split_whitespace().nth(1).context("it has more numbers")?;
    Ok(resident.parse::<usize>()? * 4096)
}

/// A hundred megabytes of text, and nobody hurries: the program waits, and not in our memory.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_chatty_program_waits_for_its_reader() -> Result<()> {
    const PIECE: usize = 10_000;
    const PIECES: usize = 10_000;
    // It takes half a megabyte; the tests beside it take the rest.
    const MOST: usize = 64 << 20;
    let mut steps = claude_begins();
    steps.push(json!({"dir": "<", "msg": claude_text(&"x".repeat(PIECE)), "times": PIECES}));
    steps.push(claude_ends());
    let mut scripted = Scripted::by("claude-code", &steps).await?;
    let before = memory()?;
    scripted.agent.prompt("hi").await?;
    let mut read = 0;
    loop {
        match scripted.agent.next().await? {
            Update::Text(text) => read += text.len(),
            Update::TurnEnd(_) => break,
            _ => {}
        }
        // Time enough for the program to say all of it, if somebody took it.
        if read == PIECE {
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
        let grown = memory()?.saturating_sub(before);
        ensure!(grown < MOST, "the process grew by {grown} bytes after {read} were read");
    }
    ensure!(read == PIECE * PIECES, "{read} bytes were read");
    Ok(())
}
