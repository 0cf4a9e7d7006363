//! Agents whose program says what a script has it say.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use flightdeck_server::service::agents::process::Supervisor;
use flightdeck_server::service::agents::update::{Answer, Outcome, Permission, TurnEnd, Update};
use flightdeck_server::service::agents::{Added, Agent, AgentError, Agents, Options};
use flightdeck_tests::spec;
use serde_json::{Value, json};
use tempfile::TempDir;

/// An agent, the folder where it works, and the questions that nobody has answered.
pub(crate) struct Scripted {
    pub(crate) agent: Box<dyn Agent>,
    pub(crate) asked: Vec<Permission>,
    _folder: TempDir,
}

/// The recording of a session with an agent of this kind.
pub(crate) fn recording(kind: &str, name: &str) -> PathBuf {
    spec::root().join(format!("server/tests/fixtures/{kind}/{name}.jsonl"))
}

impl Scripted {
    /// An agent of this kind, by a recorded session.
    pub(crate) async fn recorded(kind: &str, name: &str) -> Result<Self> {
        Self::start(tempfile::tempdir()?, kind, &recording(kind, name), None).await
    }

    /// An agent of this kind, by a script of these steps.
    pub(crate) async fn by(kind: &str, steps: &[Value]) -> Result<Self> {
        Self::resumed(kind, steps, None).await
    }

    pub(crate) async fn resumed(kind: &str, steps: &[Value], resume: Option<&str>) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let script = folder.path().join("script.jsonl");
        std::fs::write(&script, steps.iter().map(|step| format!("{step}\n")).collect::<String>())?;
        Self::start(folder, kind, &script, resume).await
    }

    async fn start(folder: TempDir, kind: &str, script: &Path, resume: Option<&str>) -> Result<Self> {
        let agent = agents(kind, script, Duration::from_secs(20))?;
        let agent = agent.start("scripted", folder.path().to_owned(), resume.map(str::to_owned)).await?;
        Ok(Self { agent, asked: Vec::new(), _folder: folder })
    }

    /// What it tells next, as a line. A question waits in `asked`.
    pub(crate) async fn next(&mut self) -> Result<String> {
        let update =
            tokio::time::timeout(Duration::from_secs(20), self.agent.next()).await.context("it is silent")??;
        Ok(match update {
            Update::Permission(permission) => {
                let said = format!("ask {}", permission.question.command);
                self.asked.push(permission);
                said
            }
            update => shown(update),
        })
    }

    /// Takes a turn, and answers all questions like this.
    pub(crate) async fn turn(&mut self, text: &str, answer: &Answer) -> Result<Vec<String>> {
        self.agent.prompt(text).await?;
        let mut told = Vec::new();
        loop {
            told.push(self.next().await?);
            for permission in self.asked.drain(..) {
                ensure!(permission.answer.send(answer.clone()).is_ok(), "the question does not wait");
            }
            if told.last().is_some_and(|told| told.starts_with("end:")) {
                return Ok(told);
            }
        }
    }

    /// Goes on until this is told.
    pub(crate) async fn until(&mut self, awaited: &str) -> Result<Vec<String>> {
        let mut told = Vec::new();
        while told.last().is_none_or(|told: &String| !told.starts_with(awaited)) {
            told.push(self.next().await.with_context(|| format!("awaiting `{awaited}` after {told:?}"))?);
        }
        Ok(told)
    }

    /// The error that comes sooner or later.
    pub(crate) async fn failure(&mut self) -> Result<AgentError> {
        loop {
            if let Err(error) = self.agent.next().await {
                return Ok(error);
            }
        }
    }
}

/// The server's agents, with one that is called `scripted`.
pub(crate) fn agents(kind: &str, script: &Path, patience: Duration) -> Result<Agents> {
    let added = format!("scripted={kind}:'{}' '{}'", env!("CARGO_BIN_EXE_scripted-agent"), script.display());
    Ok(Agents::new(Options {
        default: "scripted".to_owned(),
        added: vec![added.parse::<Added>().map_err(anyhow::Error::msg)?],
        mock_script: None,
        supervisor: Supervisor::new(Vec::new(), None),
        patience,
    }))
}

fn shown(update: Update) -> String {
    match update {
        Update::Session(session) => format!("session {session}"),
        Update::Text(text) => format!("text {text}"),
        Update::EndOfText => "end of text".to_owned(),
        Update::Status(status) => format!("status {status}"),
        Update::ToolCall(call) => format!("call {} {}", call.name, call.id),
        Update::ToolResult(result) => {
            format!("{} {} {}", if result.is_error { "failed" } else { "done" }, result.id, result.content)
        }
        Update::Patch(patch) => format!("patch {}\n{}", patch.path, patch.diff),
        Update::TurnEnd(TurnEnd { outcome, cost, usage }) => {
            let outcome = match outcome {
                Outcome::Finished => "finished".to_owned(),
                Outcome::Cancelled => "cancelled".to_owned(),
                Outcome::Failed(why) => format!("failed: {why}"),
            };
            let cost = cost.map(|cost| format!(" ${cost:.5}")).unwrap_or_default();
            let usage = usage.map(|usage| format!(" {}+{}", usage.input_tokens, usage.output_tokens));
            format!("end: {outcome}{cost}{}", usage.unwrap_or_default())
        }
        other => format!("{other:?}"),
    }
}

/// A line that the program says.
pub(crate) fn says(message: &Value) -> Value {
    json!({"dir": "<", "msg": message})
}

/// A line that the program awaits.
pub(crate) fn awaits(message: &Value) -> Value {
    json!({"dir": ">", "msg": message})
}

/// Claude Code's side of a beginning: it is ready, and takes the prompt `hi`.
pub(crate) fn claude_begins() -> Vec<Value> {
    let prompt = json!({"role": "user", "content": [{"type": "text", "text": "hi"}]});
    vec![
        awaits(&json!({"type": "control_request", "request_id": "r", "request": {"subtype": "initialize"}})),
        says(&json!({"type": "control_response", "response": {"subtype": "success", "request_id": "r"}})),
        awaits(&json!({"type": "user", "message": prompt, "parent_tool_use_id": null, "session_id": "", "uuid": "u"})),
    ]
}

/// A piece of text.
pub(crate) fn claude_text(text: &str) -> Value {
    let delta = json!({"type": "text_delta", "text": text});
    let event = json!({"type": "content_block_delta", "index": 0, "delta": delta});
    json!({"type": "stream_event", "event": event, "parent_tool_use_id": null})
}

/// It asks whether it may use a tool.
pub(crate) fn claude_asks(id: &str, command: &str) -> Value {
    let request = json!({"subtype": "can_use_tool", "tool_name": "Bash", "input": {"command": command}});
    says(&json!({"type": "control_request", "request_id": id, "request": request}))
}

/// The answer that it gets.
pub(crate) fn claude_answered(id: &str, verdict: &Value) -> Value {
    let response = json!({"subtype": "success", "request_id": id, "response": verdict});
    awaits(&json!({"type": "control_response", "response": response}))
}

/// The end of its turn.
pub(crate) fn claude_ends() -> Value {
    says(&json!({"type": "result", "subtype": "success", "is_error": false, "result": "done"}))
}
