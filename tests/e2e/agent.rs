//! An agent that is run as the server runs it, and what it tells, a line for each update.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use flightdeck_server::service::agents::process::Supervisor;
use flightdeck_server::service::agents::update::{Answer, Permission, Question, Update};
use flightdeck_server::service::agents::{Agent, AgentError, Agents, Options};
use serde_json::Value;

/// How long an agent may take to be ready, on a machine that does something else besides.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// How long everything else may take.
const LONGEST: Duration = Duration::from_secs(60);

/// Starts an agent, named as an operator names it: `acp:command line`.
pub(crate) async fn start(
    agent: &str,
    cwd: &Path,
    resume: Option<&str>,
    patience: Duration,
) -> Result<Box<dyn Agent>, AgentError> {
    let added = vec![format!("tested={agent}").parse().map_err(AgentError::Refused)?];
    let supervisor = Supervisor::new(Vec::new(), None);
    let options = Options { default: "tested".to_owned(), added, mock_script: None, supervisor, patience };
    Agents::new(options).start("tested", cwd.to_owned(), resume.map(str::to_owned)).await
}

/// The next update, which must come.
pub(crate) async fn next(agent: &mut dyn Agent) -> Result<Update> {
    let next = tokio::time::timeout(LONGEST, agent.next());
    Ok(next.await.context("the agent tells nothing for a long time")??)
}

/// What an agent tells until its turn ends, answering what it asks.
pub(crate) async fn turn(
    agent: &mut dyn Agent,
    prompt: &str,
    answer: impl Fn(&Question) -> Answer,
) -> Result<Vec<String>> {
    agent.prompt(prompt).await?;
    rest(agent, Telling::default(), answer).await
}

/// As [`turn`], of a turn that has begun and of which `telling` knows what was told.
pub(crate) async fn rest(
    agent: &mut dyn Agent,
    mut telling: Telling,
    answer: impl Fn(&Question) -> Answer,
) -> Result<Vec<String>> {
    loop {
        let update = next(agent).await?;
        telling.add(&update);
        match update {
            Update::TurnEnd(_) => return Ok(telling.lines),
            Update::Permission(Permission { question, answer: sender }) => {
                // The agent may have withdrawn it.
                let _ = sender.send(answer(&question));
            }
            _ => {}
        }
    }
}

/// What was told. Agents invent ids of calls, so these are numbered.
#[derive(Default)]
pub(crate) struct Telling {
    pub(crate) lines: Vec<String>,
    calls: Vec<String>,
}

impl Telling {
    pub(crate) fn add(&mut self, update: &Update) {
        let line = match update {
            Update::Session(id) => format!("session {id}"),
            Update::Text(text) => format!("text {text}"),
            Update::EndOfText => "end of text".to_owned(),
            Update::Thought(text) => format!("thought {text}"),
            Update::Plan(steps) => steps.iter().fold("plan".to_owned(), |mut line, step| {
                let _ = write!(line, " [{:?} {}]", step.progress, step.content);
                line
            }),
            Update::Status(status) => format!("status {status}"),
            Update::ToolCall(call) => {
                format!("call {} {} {}", self.number(&call.id), call.name, Value::from(call.input.0.clone()))
            }
            Update::ToolResult(result) => {
                let how = if result.is_error { "failed" } else { "done" };
                format!("{how} {} {}", self.number(&result.id), result.content)
            }
            Update::Patch(patch) => format!("patch {} {}", patch.path, patch.diff),
            Update::Permission(Permission { question, .. }) => {
                let call = question.tool_use_id.as_deref().map_or(0, |id| self.number(id));
                let Question { kind, tool_name, command, input, .. } = question;
                format!("asks {call} {kind} {tool_name} `{command}` {}", Value::from(input.0.clone()))
            }
            Update::TurnEnd(end) => {
                let cost = end.cost.map_or_else(String::new, |cost| format!(" ${cost}"));
                let usage = end.usage.map(|usage| format!(" {} + {} tokens", usage.input_tokens, usage.output_tokens));
                format!("end {:?}{cost}{}", end.outcome, usage.unwrap_or_default())
            }
        };
        self.lines.push(line);
    }

    fn number(&mut self, id: &str) -> usize {
        let at = self.calls.iter().position(|call| call == id).unwrap_or_else(|| {
            self.calls.push(id.to_owned());
            self.calls.len() - 1
        });
        at + 1
    }
}
