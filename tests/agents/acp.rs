//! Recorded sessions of real agents, by the Agent Client Protocol.
//!
//! The client's first line is compared in part: ours says there, too, that nobody can log in by its terminal, for so the
//! protocol's library has it. Everything else is compared whole.

use anyhow::{Result, ensure};
use flightdeck_server::service::agents::update::Answer;

use crate::scripted::Scripted;

/// What was said in the recordings.
const PROMPT: &str = "lab [[sh echo x > made.txt]] [[say all done]]";

/// How Claude asks whether it may do that.
const CLAUDE_ASKS: [&str; 3] = [
    "status Running a command",
    r#"call 1 Bash {"command":"echo x > made.txt","description":"lab command"}"#,
    r#"asks 1 command Bash `echo x > made.txt` {"command":"echo x > made.txt","description":"lab command"}"#,
];

/// And Gemini, which asks about a call of which it has not told.
const GEMINI_ASKS: [&str; 3] = [
    "status Running a command",
    "call 1 execute {}",
    r#"asks 1 command execute `echo x > made.txt` {"title":"echo x > made.txt","content":"[current working directory /home/dev/project] (lab command)"}"#,
];

const DONE: [&str; 2] = ["text all done", "end of text"];

/// Plays a recording, whose first turn begins with `prompt`, and compares what is told.
async fn plays(name: &str, resume: Option<&str>, prompt: &str, answer: &Answer, expected: &[&str]) -> Result<()> {
    let mut scripted = Scripted::taken_up("acp", name, resume).await?;
    let told = scripted.turn(prompt, answer).await?;
    scripted.agent.close().await;
    ensure!(told == expected, "{told:#?}");
    Ok(())
}

fn allow() -> Answer {
    Answer::Allow { note: None }
}

fn deny() -> Answer {
    Answer::Deny { note: Some("no".to_owned()) }
}

#[tokio::test]
async fn claude_is_allowed() -> Result<()> {
    let expected = [
        &["session 17cca191-3ac6-41c2-a30b-65be8a69ecc9"][..],
        &CLAUDE_ASKS,
        &["done 1 (Bash completed with no output)"][..],
        &DONE,
        &["end: Finished $0.00042 20 + 10 tokens"][..],
    ]
    .concat();
    plays("claude_allow", None, PROMPT, &allow(), &expected).await
}

#[tokio::test]
async fn claude_is_denied() -> Result<()> {
    let expected = [
        &["session 720f43aa-a5d4-44ec-b5ac-82c56e8f7573"][..],
        &CLAUDE_ASKS,
        &["failed 1 ```\nUser refused permission to run tool\n```"][..],
        &DONE,
        &["end: Finished $0.00042 20 + 10 tokens"][..],
    ]
    .concat();
    plays("claude_reject", None, PROMPT, &deny(), &expected).await
}

#[tokio::test]
async fn claude_is_cancelled_while_it_asks() -> Result<()> {
    let mut scripted = Scripted::recorded("acp", "claude_cancel").await?;
    scripted.agent.prompt(PROMPT).await?;
    let asked = scripted.until("asks ").await?;
    scripted.agent.cancel().await;
    let told = scripted.until("end:").await?;
    ensure!(scripted.asked[0].answer.is_closed(), "somebody still waits for the answer");
    scripted.agent.close().await;
    let expected = [&["session e9c07889-af21-4a56-b5b4-97963143e945"][..], &CLAUDE_ASKS].concat();
    ensure!(asked == expected, "{asked:#?}");
    let refused = "The user doesn't want to proceed with this tool use. The tool use was rejected (eg. if it was a file \
                   edit, the new_string was NOT written to the file). STOP what you are doing and wait for the user to \
                   tell you how to proceed.";
    let expected = [&*format!("failed 1 ```\n{refused}\n```"), "end: Cancelled $0.00028000000000000003 10 + 5 tokens"];
    ensure!(told == expected, "{told:#?}");
    Ok(())
}

/// What a session's history repeats is not told again.
#[tokio::test]
async fn claude_loads_its_session() -> Result<()> {
    let session = "cc17f644-257a-40e3-87f0-29dfb124ee56";
    let expected = [
        &["session cc17f644-257a-40e3-87f0-29dfb124ee56"][..],
        &CLAUDE_ASKS,
        &["done 1 (Bash completed with no output)"][..],
        &DONE,
        &["end: Finished $0.00042 20 + 10 tokens"][..],
    ]
    .concat();
    plays("claude_load", Some(session), PROMPT, &allow(), &expected).await
}

#[tokio::test]
async fn gemini_is_allowed() -> Result<()> {
    let expected = [
        &["session 73e1c8ba-d100-4d5d-84da-052aaa220d5a"][..],
        &GEMINI_ASKS,
        &["done 1 "][..],
        &DONE,
        &["end: Finished"][..],
    ]
    .concat();
    plays("gemini_acp_allow", None, PROMPT, &allow(), &expected).await
}

#[tokio::test]
async fn gemini_is_denied() -> Result<()> {
    let expected =
        [&["session 2385a510-db0c-40fd-a2b1-b576e1387bcc"][..], &GEMINI_ASKS, &DONE, &["end: Finished"][..]].concat();
    plays("gemini_acp_reject", None, PROMPT, &deny(), &expected).await
}

#[tokio::test]
async fn opencode_is_allowed() -> Result<()> {
    let expected = [
        &[
            "session ses_e0728d2a4ffe0FEwSZAqKjTnka",
            "status Running a command",
            r#"call 1 execute {"command":"echo x > made.txt","description":"lab command","cwd":"/home/dev/project"}"#,
            r#"asks 1 command execute `echo x > made.txt` {"command":"echo x > made.txt"}"#,
            "done 1 (no output)",
        ][..],
        &DONE,
        &["end: Finished $0 10 + 5 tokens"][..],
    ]
    .concat();
    plays("opencode_allow", None, PROMPT, &allow(), &expected).await
}

#[tokio::test]
async fn codex_is_allowed() -> Result<()> {
    let prompt = r#"lab [[call exec_command {"cmd":"echo x > made.txt","sandbox_permissions":"require_escalated","justification":"need it"}]] [[say all done]]"#;
    let expected = [&["session 01a1f8d8-61df-7ac2-8b38-c08180221fa3", "text Warning: Model metadata for `gpt-5.1` not found. Defaulting to fallback metadata; this can degrade performance and cause issues.\n\n", "end of text", "status Running a command", r#"call 1 execute {"command":"echo x > made.txt","cwd":"/home/dev/project"}"#, r#"asks 1 command execute `echo x > made.txt` {"command":"echo x > made.txt","cwd":"/home/dev/project"}"#, "done 1 "][..], &DONE, &["end: Finished 20 + 10 tokens"][..]].concat();
    plays("codexacp_allow", None, prompt, &allow(), &expected).await
}
