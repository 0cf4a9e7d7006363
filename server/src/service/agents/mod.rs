//! Agents that this server runs itself.
//!
//! An agent is known by its name. What it speaks is an adapter's matter (`mock`, `acp`, `claude_code`, `codex`); above them,
//! every agent is an [`Agent`] that takes prompts and tells [`update::Update`]s. What a chat or a task makes of that does not
//! belong here.

mod acp;
mod agent;
mod changes;
mod claude_code;
mod clip;
mod codex;
mod dialogue;
mod known;
mod mock;
pub mod process;
mod recent;
pub mod update;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::programs;
use process::Supervisor;

pub use agent::{Agent, AgentError, Setup};
pub use clip::clipped;
pub use known::{Added, Definition, Kind, all};

/// The agents of this server. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Agents(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    definitions: BTreeMap<String, Definition>,
    default: String,
    supervisor: Supervisor,
    patience: Duration,
}

/// How agents are run.
#[derive(Debug)]
pub struct Options {
    /// The agent that is meant when none is named.
    pub default: String,
    pub added: Vec<Added>,
    /// What the `mock` does; its own script if there is none.
    pub mock_script: Option<PathBuf>,
    pub supervisor: Supervisor,
    /// How long an agent may take to be ready.
    pub patience: Duration,
}

/// An agent, and whether it can be run here.
#[derive(Debug, Clone)]
pub struct Listed<'a> {
    pub definition: &'a Definition,
    pub is_default: bool,
    /// Why it can't be.
    pub problem: Option<String>,
}

impl Agents {
    #[must_use]
    pub fn new(options: Options) -> Self {
        let Options { default, added, mock_script, supervisor, patience } = options;
        Self(Arc::new(Parts { definitions: all(mock_script, added), default, supervisor, patience }))
    }

    /// The name of an agent that there is: the default one's if none is given.
    #[must_use]
    pub fn name(&self, name: Option<&str>) -> Option<&str> {
        let name = name.unwrap_or(&self.0.default);
        self.0.definitions.get(name).map(|definition| definition.name.as_str())
    }

    /// All of them, by name. Looks at the disk.
    #[must_use]
    pub fn list(&self) -> Vec<Listed<'_>> {
        let listed = self.0.definitions.values().map(|definition| Listed {
            definition,
            is_default: definition.name == self.0.default,
            problem: definition.kind.command().and_then(|command| missing(command.program())),
        });
        listed.collect()
    }

    /// Starts an agent in `cwd`, and takes up its session `resume` if it can.
    ///
    /// # Errors
    /// If there is no such agent, or it does not start.
    pub async fn start(&self, name: &str, cwd: PathBuf, resume: Option<String>) -> Result<Box<dyn Agent>, AgentError> {
        let Parts { definitions, supervisor, patience, .. } = &*self.0;
        let definition = definitions.get(name).ok_or_else(|| {
            AgentError::Refused(format!("This server has no agent `{name}` any more; FLIGHTDECK_AGENTS adds it."))
        })?;
        let setup = Setup { cwd, resume, supervisor: supervisor.clone(), patience: *patience };
        match &definition.kind {
            Kind::Mock { script } => mock::start(script.as_deref(), setup).await,
            Kind::Acp { command } => acp::start(command, definition.environment, setup).await,
            Kind::ClaudeCode { command } => claude_code::start(command, definition.environment, setup).await,
            Kind::Codex { command } => codex::start(command, definition.environment, setup).await,
        }
    }
}

/// Why a program can't be run, if it can't.
fn missing(program: &str) -> Option<String> {
    let found = if program.contains('/') {
        programs::is_program(Path::new(program))
    } else {
        programs::find(OsStr::new(program), std::env::var_os("PATH").as_deref()).is_some()
    };
    (!found).then(|| format!("There is no program `{program}` on the server's machine; install it there."))
}
