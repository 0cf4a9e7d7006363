//! Sessions with Claude Code, as they were recorded.

use anyhow::{Result, ensure};
use flightdeck_server::service::agents::update::Answer;
use serde_json::json;

use crate::scripted::Scripted;
use crate::steps::{awaits, claude_answered, claude_asks, claude_begins, claude_ends, claude_text, says};

const FIRST: &str = "lab [[sh echo one > made.txt]] [[say first answer]]";

/// What every turn of the recordings costs.
const END: &str = "end: Finished $0.00028000000000000003 20 + 10 tokens";

fn allow() -> Answer {
    Answer::Allow { note: Some("there is no place for this".to_owned()) }
}

#[tokio::test]
async fn a_command_that_is_allowed() -> Result<()> {
    let mut scripted = Scripted::recorded("claude-code", "allow").await?;
    let told = scripted.turn(FIRST, &allow()).await?;
    let expected = [
        "session 9ce5fb95-cbde-4b2f-ad9a-528bac54bea0",
        "status Thinking",
        "status Running a command",
        r#"call 1 Bash {"command":"echo one > made.txt","description":"lab command"}"#,
        r#"asks 1 command Bash `echo one > made.txt` {"command":"echo one > made.txt","description":"lab command"}"#,
        "done 1 (Bash completed with no output)",
        "status Thinking",
        "text first answer",
        "end of text",
        END,
    ];
    ensure!(told == expected, "{told:#?}");
    scripted.agent.close().await;
    Ok(())
}

#[tokio::test]
async fn a_command_that_is_denied() -> Result<()> {
    let mut scripted = Scripted::recorded("claude-code", "deny").await?;
    let told = scripted.turn(FIRST, &Answer::Deny { note: Some("phone denied".to_owned()) }).await?;
    let expected = [
        r#"asks 1 command Bash `echo one > made.txt` {"command":"echo one > made.txt","description":"lab command"}"#,
        "failed 1 phone denied",
        "status Thinking",
        "text first answer",
        "end of text",
        END,
    ];
    ensure!(told[4..] == expected, "{told:#?}");
    Ok(())
}

#[tokio::test]
async fn two_turns() -> Result<()> {
    let mut scripted = Scripted::recorded("claude-code", "two_turns").await?;
    let first = scripted.turn(FIRST, &allow()).await?;
    let second = scripted.turn("lab [[sh echo two >> made.txt]] [[say second answer]]", &allow()).await?;
    ensure!(first.last().is_some_and(|end| end == END), "{first:#?}");
    let expected = [
        "status Thinking",
        "status Running a command",
        r#"call 2 Bash {"command":"echo two >> made.txt","description":"lab command"}"#,
        "done 2 (Bash completed with no output)",
        "status Thinking",
        "text second answer",
        "end of text",
        END,
    ];
    ensure!(second == expected, "{second:#?}");
    Ok(())
}

#[tokio::test]
async fn a_turn_that_is_interrupted() -> Result<()> {
    let mut scripted = Scripted::recorded("claude-code", "interrupt").await?;
    scripted.agent.prompt("lab [[sleep 8]] [[say never]]").await?;
    scripted.until("status Thinking").await?;
    scripted.agent.cancel().await;
    let told = scripted.until("end:").await?;
    ensure!(told == ["end: Cancelled $0 0 + 0 tokens"], "{told:?}");
    Ok(())
}

/// Two questions wait; the second is answered first, and the program withdraws the first.
#[tokio::test]
async fn several_questions_wait_at_once() -> Result<()> {
    let mut steps = claude_begins();
    steps.extend([
        claude_asks("q1", "one"),
        claude_asks("q2", "two"),
        claude_answered("q2", &json!({"behavior": "allow", "updatedInput": {"command": "two"}})),
        says(&json!({"type": "control_cancel_request", "request_id": "q1"})),
        says(&claude_text("on")),
        claude_ends(),
    ]);
    let mut scripted = Scripted::by("claude-code", &steps).await?;
    scripted.agent.prompt("hi").await?;
    scripted.until("asks 0 command Bash `two`").await?;
    let (second, first) = (scripted.asked.remove(1), scripted.asked.remove(0));
    ensure!(second.answer.send(allow()).is_ok(), "the second question does not wait");
    ensure!(scripted.until("text on").await? == ["text on"], "something else is told");
    ensure!(first.answer.is_closed(), "the first question waits on");
    Ok(())
}

/// A question whose answer nobody will give is denied, and the turn goes on.
#[tokio::test]
async fn a_question_that_nobody_answers() -> Result<()> {
    let mut steps = claude_begins();
    let undecided = json!({"behavior": "deny", "message": "Nobody decided about this.", "interrupt": false});
    steps.extend([claude_asks("q", "one"), claude_answered("q", &undecided), claude_ends()]);
    let mut scripted = Scripted::by("claude-code", &steps).await?;
    scripted.agent.prompt("hi").await?;
    scripted.until("asks 0 command Bash `one`").await?;
    scripted.asked.clear();
    scripted.until("end: Finished").await?;
    Ok(())
}

#[tokio::test]
async fn a_question_of_an_unknown_kind_gets_an_error() -> Result<()> {
    let mut steps = claude_begins();
    let error = json!({"subtype": "error", "request_id": "q", "error": "This client does not know `elicitation`."});
    steps.extend([
        says(&json!({"type": "control_request", "request_id": "q", "request": {"subtype": "elicitation"}})),
        awaits(&json!({"type": "control_response", "response": error})),
        claude_ends(),
    ]);
    let mut scripted = Scripted::by("claude-code", &steps).await?;
    let told = scripted.turn("hi", &allow()).await?;
    ensure!(told == ["end: Finished"], "{told:?}");
    Ok(())
}
