//! Agents as a test drives them. Mostly their program says what a script has it say.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use flightdeck_server::service::agents::process::Supervisor;
use flightdeck_server::service::agents::update::{Answer, Permission, Update};
use flightdeck_server::service::agents::{Added, Agent, AgentError, Agents, Options};
use flightdeck_tests::spec;
use serde_json::Value;
use tempfile::TempDir;

use crate::telling::Telling;

/// How long an agent may be silent, and how long it may take to be ready, on a machine that does something else besides.
const LONGEST: Duration = Duration::from_secs(60);

/// An agent, the folder where it works, and the questions that nobody has answered.
pub(crate) struct Scripted {
    pub(crate) agent: Box<dyn Agent>,
    pub(crate) asked: Vec<Permission>,
    pub(crate) folder: TempDir,
    telling: Telling,
}

impl Scripted {
    /// An agent of this kind, by a recorded session.
    pub(crate) async fn recorded(kind: &str, name: &str) -> Result<Self> {
        Self::taken_up(kind, name, None).await
    }

    /// The same, of a session that is taken up.
    pub(crate) async fn taken_up(kind: &str, name: &str, resume: Option<&str>) -> Result<Self> {
        let recording = spec::root().join(format!("server/tests/fixtures/{kind}/{name}.jsonl"));
        Self::start(tempfile::tempdir()?, &playing(kind, &recording), resume).await
    }

    /// An agent of this kind, by a script of these steps.
    pub(crate) async fn by(kind: &str, steps: &[Value]) -> Result<Self> {
        Self::resumed(kind, steps, None).await
    }

    pub(crate) async fn resumed(kind: &str, steps: &[Value], resume: Option<&str>) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let script = folder.path().join("script.jsonl");
        // Some are so long that a test of memory would see a second copy.
        let mut file = BufWriter::new(File::create(&script)?);
        for step in steps {
            writeln!(file, "{step}")?;
        }
        file.flush()?;
        Self::start(folder, &playing(kind, &script), resume).await
    }

    /// An agent by its command line, as an operator has it.
    pub(crate) async fn start(folder: TempDir, command: &str, resume: Option<&str>) -> Result<Self> {
        let agent = agents(command, LONGEST)?;
        let agent = agent.start("scripted", folder.path().to_owned(), resume.map(str::to_owned)).await?;
        Ok(Self { agent, asked: Vec::new(), folder, telling: Telling::default() })
    }

    /// What it tells next, as a line. A question waits in `asked`.
    pub(crate) async fn next(&mut self) -> Result<String> {
        let update = tokio::time::timeout(LONGEST, self.agent.next()).await.context("it is silent")??;
        let line = self.telling.shown(&update);
        if let Update::Permission(permission) = update {
            self.asked.push(permission);
        }
        Ok(line)
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

    /// Goes on until it fails.
    pub(crate) async fn failure(&mut self) -> Result<(Vec<String>, AgentError)> {
        let mut told = Vec::new();
        loop {
            match self.next().await {
                Ok(line) => told.push(line),
                Err(error) => return Ok((told, error.downcast()?)),
            }
        }
    }
}

/// The command line of an agent of this kind that plays a script.
pub(crate) fn playing(kind: &str, script: &Path) -> String {
    format!("{kind}:'{}' '{}'", env!("CARGO_BIN_EXE_scripted-agent"), script.display())
}

/// The server's agents, with one that is called `scripted`.
pub(crate) fn agents(command: &str, patience: Duration) -> Result<Agents> {
    let added = format!("scripted={command}");
    Ok(Agents::new(Options {
        default: "scripted".to_owned(),
        added: vec![added.parse::<Added>().map_err(anyhow::Error::msg)?],
        mock_script: None,
        supervisor: Supervisor::new(Vec::new(), None),
        patience,
    }))
}
