//! Sessions with Codex, as they were recorded.

use anyhow::{Result, ensure};
use flightdeck_server::service::agents::update::Answer;
use serde_json::json;

use crate::scripted::Scripted;
use crate::steps::{awaits, says};

const PROMPT: &str = "lab [[sh echo x > made.txt]] [[say all done]]";

fn allow() -> Answer {
    Answer::Allow { note: None }
}

#[tokio::test]
async fn a_command_that_is_allowed() -> Result<()> {
    let mut scripted = Scripted::recorded("codex", "accept").await?;
    let told = scripted.turn(PROMPT, &allow()).await?;
    let expected = [
        "session 01a1f8d1-7c2a-7623-a4c3-03f5c04075d5",
        "status Thinking",
        "status Running a command",
        r#"call 1 Bash {"command":"/bin/bash -lc 'echo x > made.txt'","cwd":"/home/dev/project"}"#,
        r#"asks 1 command Bash `/bin/bash -lc 'echo x > made.txt'` {"command":"/bin/bash -lc 'echo x > made.txt'","kind":"command","environmentId":"local","cwd":"/home/dev/project","commandActions":[{"type":"unknown","command":"echo x > made.txt"}]}"#,
        "done 1 ",
        "text all done",
        "end of text",
        "end: Finished 20 + 10 tokens",
    ];
    ensure!(told == expected, "{told:#?}");
    scripted.agent.close().await;
    Ok(())
}

#[tokio::test]
async fn a_command_that_is_denied() -> Result<()> {
    let mut scripted = Scripted::recorded("codex", "decline").await?;
    let told = scripted.turn(PROMPT, &Answer::Deny { note: Some("no".to_owned()) }).await?;
    let expected = ["failed 1 declined", "text all done", "end of text", "end: Finished 20 + 10 tokens"];
    ensure!(told[5..] == expected, "{told:#?}");
    Ok(())
}

#[tokio::test]
async fn a_turn_that_is_cancelled_while_it_asks() -> Result<()> {
    let mut scripted = Scripted::recorded("codex", "cancel").await?;
    scripted.agent.prompt(PROMPT).await?;
    scripted.until("asks ").await?;
    scripted.agent.cancel().await;
    let told = scripted.until("end:").await?;
    ensure!(told == ["failed 1 declined", "end: Cancelled 10 + 5 tokens"], "{told:?}");
    ensure!(scripted.asked[0].answer.is_closed(), "the question waits on");
    Ok(())
}

#[tokio::test]
async fn a_turn_that_is_interrupted() -> Result<()> {
    let mut scripted = Scripted::recorded("codex", "interrupt").await?;
    scripted.agent.prompt("lab [[sleep 6]] [[say never]]").await?;
    scripted.until("status Thinking").await?;
    scripted.agent.cancel().await;
    let told = scripted.until("end:").await?;
    ensure!(told == ["end: Cancelled"], "{told:?}");
    Ok(())
}

#[tokio::test]
async fn a_change_of_a_file() -> Result<()> {
    let mut scripted = Scripted::recorded("codex", "patch").await?;
    let prompt = "lab [[sh apply_patch <<'EOF'\n*** Begin Patch\n*** Add File: a.txt\n+hi\n*** End Patch\nEOF\n]] \
                  [[say patched]]";
    let told = scripted.turn(prompt, &allow()).await?;
    let expected = [
        "status Thinking",
        "status Changing files",
        r#"call 1 apply_patch {"changes":[{"path":"/home/dev/project/a.txt","kind":{"type":"add"},"diff":"hi\n"}]}"#,
        // It works in another folder now.
        r#"asks 1 edit apply_patch `Change /home/dev/project/a.txt` {"changes":[{"path":"/home/dev/project/a.txt","kind":{"type":"add"},"diff":"hi\n"}]}"#,
        "patch /home/dev/project/a.txt\n--- /dev/null\n+++ b/home/dev/project/a.txt\n@@ -0,0 +1 @@\n+hi\n",
        "done 1 completed",
        "text patched",
        "end of text",
        "end: Finished 20 + 10 tokens",
    ];
    ensure!(told[1..] == expected, "{told:#?}");
    Ok(())
}

/// The program's beginning, with what it is asked for.
fn begins(thread: &serde_json::Value) -> Vec<serde_json::Value> {
    let capabilities = json!({"experimentalApi": false, "requestAttestation": false});
    vec![
        awaits(&json!({"method": "initialize", "id": 1, "params": {"clientInfo": {}, "capabilities": capabilities}})),
        says(&json!({"id": 1, "result": {}})),
        awaits(&json!({"method": "initialized"})),
        awaits(thread),
    ]
}

#[tokio::test]
async fn a_session_is_taken_up_or_else_begun() -> Result<()> {
    let resume = json!({"threadId": "old", "cwd": "", "approvalPolicy": "untrusted", "sandbox": "workspace-write"});
    let resume = json!({"method": "thread/resume", "id": 2, "params": resume});
    let begin = json!({"cwd": "", "approvalPolicy": "untrusted", "sandbox": "workspace-write"});

    let mut steps = begins(&resume);
    steps.push(says(&json!({"id": 2, "result": {"thread": {"id": "old"}}})));
    let mut scripted = Scripted::resumed("codex", &steps, Some("old")).await?;
    ensure!(scripted.next().await? == "session old", "another session");

    let mut steps = begins(&resume);
    steps.extend([
        says(&json!({"id": 2, "error": {"code": -32600, "message": "no such thread"}})),
        awaits(&json!({"method": "thread/start", "id": 3, "params": begin})),
        says(&json!({"id": 3, "result": {"thread": {"id": "new"}}})),
    ]);
    let mut scripted = Scripted::resumed("codex", &steps, Some("old")).await?;
    ensure!(scripted.next().await? == "session new", "another session");
    Ok(())
}

#[tokio::test]
async fn a_program_that_refuses() -> Result<()> {
    let begin = json!({"cwd": "", "approvalPolicy": "untrusted", "sandbox": "workspace-write"});
    let mut steps = begins(&json!({"method": "thread/start", "id": 2, "params": begin}));
    steps.push(says(&json!({"id": 2, "error": {"code": -1, "message": "Log in first."}})));
    let Err(error) = Scripted::by("codex", &steps).await else { anyhow::bail!("it started") };
    ensure!(error.to_string() == "Log in first.", "{error}");
    Ok(())
}
