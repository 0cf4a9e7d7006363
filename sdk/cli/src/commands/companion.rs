//! `flightdeck companion`: runs an agent that people can follow and talk to from elsewhere.

use std::process::ExitCode;

use anyhow::Result;

use super::Scene;
use crate::cli::Companion;

#[cfg(unix)]
pub(super) async fn run(scene: &Scene, companion: Companion) -> Result<ExitCode> {
    use crate::companion::{self, Options};
    use crate::config::CompanionToken;

    let effective = &scene.effective;
    let token = companion.token_file.map_or_else(|| effective.companion_token.clone(), CompanionToken::of_file);
    token.warn();
    let options = Options {
        client: effective.connect_anonymous()?,
        url: effective.url.0.clone(),
        token,
        name: companion.name,
        command: companion.command,
    };
    companion::run(&effective.places, options).await.map(ExitCode::from)
}

#[cfg(not(unix))]
pub(super) async fn run(_scene: &Scene, _companion: Companion) -> Result<ExitCode> {
    anyhow::bail!("a companion needs a pseudo-terminal as Unix has it; run it under WSL, on macOS or on Linux")
}
