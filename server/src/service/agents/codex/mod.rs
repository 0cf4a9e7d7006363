//! Codex by its app server: JSON-RPC in lines, without the field that says so.

mod items;
#[cfg(test)]
mod tests;
mod translate;
mod wire;

use super::dialogue::Talker;
use super::process::CommandLine;
use super::{Agent, AgentError, Setup};
use translate::Translator;

pub(super) async fn start(
    command: &CommandLine,
    environment: &[&str],
    setup: Setup,
) -> Result<Box<dyn Agent>, AgentError> {
    let command = command.clone().with(["app-server"]);
    let translator = Translator::new(setup.cwd.clone(), setup.resume.clone());
    Ok(Box::new(Talker::start(translator, &command, environment, &setup).await?))
}
