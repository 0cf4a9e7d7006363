//! Claude Code in its headless mode: JSON lines both ways, and a control protocol beside them.

#[cfg(test)]
mod tests;
mod tools;
mod translate;
mod wire;

use super::dialogue::Talker;
use super::process::CommandLine;
use super::{Agent, AgentError, Setup};
use translate::Translator;

/// What makes the program speak in lines, ask us, and ask about whatever its user has not allowed already.
const ARGUMENTS: [&str; 11] = [
    "-p",
    "--input-format",
    "stream-json",
    "--output-format",
    "stream-json",
    "--verbose",
    "--include-partial-messages",
    "--permission-prompt-tool",
    "stdio",
    // The only name of this mode that old and new versions take.
    "--permission-mode",
    "default",
];

pub(super) async fn start(
    command: &CommandLine,
    environment: &[&str],
    setup: Setup,
) -> Result<Box<dyn Agent>, AgentError> {
    let command = command.clone().with(ARGUMENTS);
    let new = || Translator::new(setup.cwd.clone());
    if let Some(session) = setup.resume.as_deref() {
        let resumed = command.clone().with(["--resume", session]);
        match Talker::start(new(), &resumed, environment, &setup).await {
            Ok(talker) => return Ok(Box::new(talker)),
            // It ends at once if it does not have the session any more.
            Err(error @ AgentError::Ended { .. }) => {
                tracing::info!(%error, "a session can't be taken up; another one begins");
            }
            Err(error) => return Err(error),
        }
    }
    Ok(Box::new(Talker::start(new(), &command, environment, &setup).await?))
}
