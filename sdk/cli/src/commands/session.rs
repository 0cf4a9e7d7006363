//! `flightdeck session`: opens a session on a repository, for a phone or a program.

use std::path::Path;

use anyhow::{Context as _, Result};
use flightdeck_sdk::types::{SessionCreate, SessionCreated, SessionVia};

use super::Scene;
use crate::cli::SessionArguments;
use crate::project;
use crate::term::{self, Colour};

pub(super) async fn run(scene: &Scene, arguments: SessionArguments) -> Result<()> {
    let repo = repository(scene, &arguments.repo)?;
    let via = arguments.via.unwrap_or(if arguments.qr { SessionVia::Mobile } else { SessionVia::Direct });
    let mut wanted = SessionCreate::new(repo.clone()).with_via(via);
    if let Some(label) = arguments.label {
        wanted = wanted.with_label(label);
    }
    let session = open(scene, &wanted).await?;
    if scene.json {
        return term::say_json(&session);
    }
    if arguments.qr {
        let code = term::qr_code(&serde_json::to_string(&session)?, arguments.light)?;
        term::say(&code)?;
        term::remark("Whoever scans this may run commands and agents in the repository.");
        let wide = code.lines().next().unwrap_or_default().chars().count();
        if term::width().is_some_and(|width| width < wide) {
            term::remark(&format!(
                "Note: the code is {wide} columns wide, which this terminal is not; widen it, and run this again."
            ));
        }
        if super::pair::is_loopback(&session.api_base) {
            term::remark(&format!(
                "Note: only this machine can reach {}. For a phone, let the server listen to the network (HOST=0.0.0.0), and \
                 set PUBLIC_BASE_URL or run this with `--url http://<address of this machine>:8787`.",
                term::line(&session.api_base),
            ));
        }
    }
    let id = scene.theme.paint(Colour::Strong, &session.session_id.to_string());
    let ends = term::until(session.expires_at, term::now());
    term::say(&format!(
        "Session {id}\n  repository  {}\n  server      {}\n  ends        {ends}, unless it is used",
        term::line(&repo),
        term::line(&session.api_base),
    ))?;
    if !arguments.qr {
        term::remark("Its token is shown with --json, and as a QR code with --qr.");
    }
    Ok(())
}

/// Opens a session as this machine's device, or, in development on the server's own machine, as nobody in particular.
pub(super) async fn open(scene: &Scene, wanted: &SessionCreate) -> Result<SessionCreated> {
    let client = scene.effective.connect_device().unwrap_or_else(|| scene.effective.connect_anonymous())?;
    Ok(client.cockpit().create_session(wanted).await?)
}

/// The repository that a person means. One that is not here may still be on the server's machine.
pub(super) fn repository(scene: &Scene, path: &Path) -> Result<String> {
    let path = scene.folder.join(path);
    let root = if path.exists() { project::root(&path) } else { path };
    root.to_str().map(str::to_owned).context("the repository's path is no UTF-8, which the server cannot be told")
}
