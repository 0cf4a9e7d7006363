use super::process::CommandLine;
use super::{Agent, AgentError, Setup};

pub(super) async fn start(
    command: &CommandLine,
    _environment: &[&str],
    _setup: Setup,
) -> Result<Box<dyn Agent>, AgentError> {
    Err(AgentError::NotStarted {
        program: command.program().to_owned(),
        problem: "its adapter is not written".to_owned(),
    })
}
