//! `flightdeck unpair`: forgets the project's pairing, or revokes the device that this machine is.

use anyhow::Result;
use flightdeck_sdk::Error;
use serde_json::json;

use super::Scene;
use crate::cli::Unpair;
use crate::config::Credentials;
use crate::exit::{Exit, Failure};
use crate::term;

pub(super) async fn run(scene: &Scene, unpair: &Unpair) -> Result<()> {
    if unpair.device { device(scene).await } else { project(scene) }
}

fn project(scene: &Scene) -> Result<()> {
    let Some((root, _)) = &scene.effective.project else {
        return Err(Failure::new(Exit::NotPaired, "this project is not paired; there is nothing to forget").into());
    };
    let removed = Credentials::change(&scene.effective.places, |credentials| credentials.remove_project(root))?;
    let workspace_id = removed.map(|credential| credential.workspace_id);
    if scene.json {
        return term::say_json(&json!({"project": root, "workspace_id": workspace_id}));
    }
    term::say(&format!(
        "{} is not paired any more. Its past stays on the server.",
        term::line(&root.to_string_lossy())
    ))?;
    term::say("The hooks now do nothing here; `flightdeck uninstall claude-code` removes them.")
}

async fn device(scene: &Scene) -> Result<()> {
    let effective = &scene.effective;
    let (Some(client), Some(device_id)) = (effective.connect_device(), effective.device_id) else {
        let message = format!("this machine is no device of {}; there is nothing to revoke", effective.url.0);
        return Err(Failure::new(Exit::NotPaired, message).into());
    };
    match client?.devices().revoke_device(&device_id).await {
        // Revoked from elsewhere already, or the server has been set up anew.
        Err(Error::Api(refusal)) if matches!(refusal.status, 401 | 404) => {}
        result => result?,
    }
    Credentials::change(&effective.places, |credentials| credentials.remove_device(&effective.url.0))?;
    if scene.json {
        return term::say_json(&json!({"device_id": device_id}));
    }
    term::say("This machine is revoked as a device, and its credential is deleted.")
}
