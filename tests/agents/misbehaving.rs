//! Programs that say nonsense, end, are never ready, or don't stop.

use std::time::{Duration, Instant};

use anyhow::{Context, Error, Result, bail, ensure};
use flightdeck_server::service::agents::AgentError;
use flightdeck_server::service::agents::update::{Answer, Update};
use serde_json::{Value, json};
use sysinfo::{ProcessRefreshKind, ProcessesToUpdate, System};
use tokio::net::TcpListener;

use crate::scripted::{Scripted, agents, playing};
use crate::steps::{acp_asks, acp_begins, acp_ends, acp_text, claude_begins, claude_ends, claude_text, says};

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
    let mut claude = claude_begins();
    claude.push(says(&claude_text("half a")));
    let mut acp = acp_begins();
    acp.extend([says(&acp_text("half a")), acp_asks(0)]);
    let asked = [
        "session s",
        "text half a",
        "end of text",
        "status Running a command",
        r#"call 1 execute {"command":"ls"}"#,
        r#"asks 1 command execute `ls` {"command":"ls"}"#,
    ];
    for (kind, mut steps, expected) in [("claude-code", claude, &["text half a"][..]), ("acp", acp, &asked)] {
        steps.extend([json!({"words": "out of memory"}), json!({"exit": 3})]);
        let mut scripted = Scripted::by(kind, &steps).await?;
        scripted.agent.prompt("hi").await?;
        for expected in [expected, &[]] {
            let (told, error) = scripted.failure().await?;
            ensure!(told == expected, "{told:?}");
            let AgentError::Ended { how, last_words } = &error else { bail!("{error:?}") };
            ensure!(how == " (exit status: 3)" && last_words.contains("out of memory"), "{error}");
        }
        ensure!(matches!(scripted.agent.prompt("hi").await, Err(AgentError::Ended { .. })), "it takes prompts");
        scripted.agent.close().await;
    }
    Ok(())
}

/// What the program started holds its output open, so that has no end.
#[tokio::test]
async fn an_end_is_told_although_something_holds_the_output_open() -> Result<()> {
    let claude = (claude_begins(), claude_text("half a"));
    let acp = (acp_begins(), acp_text("half a"));
    for (kind, (mut steps, text)) in [("claude-code", claude), ("acp", acp)] {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let child = json!({"child": listener.local_addr()?.to_string()});
        steps.extend([child, says(&text), json!({"exit": 0})]);
        let mut scripted = Scripted::by(kind, &steps).await?;
        scripted.agent.prompt("hi").await?;
        let _child = listener.accept().await?;
        scripted.until("text half a").await?;
        let failure = tokio::time::timeout(Duration::from_secs(10), scripted.failure());
        let (_, error) = failure.await.context("it never ends")??;
        ensure!(matches!(error, AgentError::Ended { .. }), "{error}");
    }
    Ok(())
}

#[tokio::test]
async fn a_program_that_is_never_ready_is_given_up() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let script = folder.path().join("script.jsonl");
    std::fs::write(&script, "{\"words\": \"please log in\"}\n{\"pause\": true}\n")?;
    for kind in ["claude-code", "codex", "acp"] {
        let agents = agents(&playing(kind, &script), Duration::from_secs(1))?;
        let begin = Instant::now();
        let Err(error) = agents.start("scripted", folder.path().to_owned(), None).await else { bail!("it started") };
        let AgentError::NotReady { seconds: 1, last_words } = &error else { bail!("{error:?}") };
        ensure!(last_words.contains("please log in"), "{error}");
        ensure!(begin.elapsed() < Duration::from_secs(20), "it was waited for {:?}", begin.elapsed());
    }
    Ok(())
}

#[tokio::test]
async fn a_program_that_ends_before_it_is_ready() -> Result<()> {
    let steps = [json!({"words": "wrong version"}), json!({"exit": 2})];
    for (kind, resume) in [("claude-code", None), ("claude-code", Some("gone")), ("codex", None), ("acp", None)] {
        let Err(error) = Scripted::resumed(kind, &steps, resume).await else { bail!("it started") };
        let error = error.downcast().context("it fails otherwise")?;
        let AgentError::Ended { how, last_words } = &error else { bail!("{error:?}") };
        ensure!(how.contains('2') && last_words.contains("wrong version"), "{error}");
    }
    Ok(())
}

/// A hundred megabytes of text, and nobody hurries: the program waits, and not in our memory.
async fn waits_for_its_reader(kind: &str, begin: Vec<Value>, text: fn(&str) -> Value, end: Value) -> Result<()> {
    const PIECE: usize = 64 << 10;
    const PIECES: usize = 1_600;
    // It takes a megabyte or two; the tests beside it take the rest.
    const MOST: usize = 60 << 20;
    let mut steps = begin;
    steps.extend([json!({"dir": "<", "msg": text(&"x".repeat(PIECE)), "times": PIECES}), end]);
    let mut scripted = Scripted::by(kind, &steps).await?;
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
    scripted.agent.close().await;
    Ok(())
}

#[tokio::test]
async fn a_chatty_program_waits_for_its_reader() -> Result<()> {
    waits_for_its_reader("claude-code", claude_begins(), claude_text, claude_ends()).await
}

#[tokio::test]
async fn a_chatty_program_waits_for_its_reader_by_acp() -> Result<()> {
    waits_for_its_reader("acp", acp_begins(), acp_text, acp_ends("end_turn")).await
}

/// How much memory this process holds, in bytes.
fn memory() -> Result<usize> {
    let own = sysinfo::get_current_pid().map_err(Error::msg)?;
    let mut system = System::new();
    let what = ProcessRefreshKind::nothing().with_memory();
    system.refresh_processes_specifics(ProcessesToUpdate::Some(&[own]), false, what);
    Ok(system.process(own).context("this process runs")?.memory().try_into()?)
}
