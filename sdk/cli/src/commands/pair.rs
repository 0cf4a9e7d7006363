//! `flightdeck pair`: this machine starts a pairing, a device completes it, both show the same code.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use flightdeck_sdk::types::{
    PairingCompleted, PairingCompletion, PairingResult, PairingStart, PairingStarted, PairingStatus, Platform,
};
use flightdeck_sdk::{Client, WaitOptions};
use serde_json::{Value, json};
use uuid::Uuid;

use super::Scene;
use crate::cli::{Pair, PairCommand};
use crate::config::{Credentials, DeviceCredential, ProjectCredential, connect_paired, connect_signed, machine_id};
use crate::exit::{Exit, Failure};
use crate::project;
use crate::term::{self, Colour};

pub(super) async fn run(scene: &Scene, pair: Pair) -> Result<()> {
    match pair.command {
        Some(PairCommand::Complete { token, name }) => complete(scene, &token, name).await,
        None => start(scene, pair).await,
    }
}

async fn start(scene: &Scene, pair: Pair) -> Result<()> {
    let effective = &scene.effective;
    let root = root(scene, &pair)?;
    let name = pair.name.unwrap_or_else(|| project::display_name(&root));
    let machine_id = machine_id(&effective.places)?;
    let fingerprint = project::fingerprint(&root, &machine_id);
    let body = PairingStart::new(machine_id, fingerprint, name.clone());
    // Signed, it adds a device to the workspace; unsigned, it leads to a new one.
    let client = match (pair.add_device, &pair.as_device) {
        (true, Some(_)) => connect_signed(effective)?,
        // `--url` then says how the other device reaches the server.
        (true, None) => connect_paired(effective)?,
        (false, _) => effective.connect_anonymous()?,
    };
    let started = client.pairing().start_pairing(&body).await?;

    let result = match pair.as_device {
        Some(device) => {
            let device = device_name(Some(device));
            let completed = complete_here(scene, &started.pair_token, device.clone()).await?;
            if completed.match_code != started.match_code {
                bail!(
                    "the server gave two different codes for one pairing; somebody may be in between, so nothing was stored"
                );
            }
            store_device(scene, &effective.url.0, &completed, &device)?;
            wait(&client, &started).await?
        }
        None => {
            show(scene, &started, pair.light)?;
            tokio::select! {
                result = wait(&client, &started) => result?,
                _ = tokio::signal::ctrl_c() => {
                    return Err(Failure::new(Exit::Interrupted, "stopped waiting; the pairing token ends by itself").into());
                }
            }
        }
    };
    finish(scene, &root, &name, &result, pair.add_device)
}

/// The project's root, if it may be paired.
fn root(scene: &Scene, pair: &Pair) -> Result<PathBuf> {
    match (&scene.effective.project, pair.add_device) {
        (Some((root, _)), true) => Ok(root.clone()),
        // The environment may hold the workspace instead.
        (None, true) if scene.effective.workspace.is_some() => Ok(project::root(&scene.folder)),
        (None, true) => Err(Failure::new(
            Exit::NotPaired,
            "this project is not paired yet, so there is no workspace to add a device to; run `flightdeck pair`",
        )
        .into()),
        (Some((root, credential)), false) if !pair.replace && *root == project::root(&scene.folder) => {
            Err(Failure::usage(format!(
                "this project is paired with {} already, as {:?}; add a device with --add-device, or pair anew with \
                 --replace",
                credential.url, credential.display_name,
            )))
        }
        _ => Ok(project::root(&scene.folder)),
    }
}

async fn wait(client: &Client, started: &PairingStarted) -> Result<PairingResult> {
    let left = started.expires_at.since(term::now()).max(Duration::from_secs(5));
    let options = WaitOptions::default().until(left);
    Ok(client.wait_for_pairing(started.poll_token.as_str(), options).await?)
}

fn show(scene: &Scene, started: &PairingStarted, light: bool) -> Result<()> {
    let url = &scene.effective.url.0;
    // Never a URL that holds the token: cameras, browsers and messengers would open it, keep it and log it.
    let payload = json!({"v": 1, "url": url, "pair_token": started.pair_token}).to_string();
    if scene.json {
        return term::say_json_line(&json!({
            "event": "started",
            "url": url,
            "pair_token": started.pair_token,
            "match_code": started.match_code,
            "expires_at": started.expires_at,
            "payload": payload,
        }));
    }
    if term::width().is_some() {
        term::say(&term::qr_code(&payload, light)?)?;
    }
    let strong = |text: &str| scene.theme.paint(Colour::Strong, &term::line(text));
    term::say(&format!(
        "Scan this with Flightdeck on your phone, or type there\n  server  {}\n  token   {}",
        strong(url),
        strong(&started.pair_token)
    ))?;
    term::say(&format!("\nBoth screens must show the code  {}", strong(&started.match_code)))?;
    let minutes = started.expires_at.since(term::now()).as_secs().div_ceil(60);
    term::say(&scene.theme.paint(Colour::Quiet, &format!("Waiting for the device, for at most {minutes} minutes …")))?;
    if is_loopback(url) {
        term::remark(&format!(
            "Note: only this machine can reach {url}. For a phone, let the server listen to the network (HOST=0.0.0.0) \
             and run `flightdeck pair --url http://<address of this machine>:8787`; or use `flightdeck pair --self`."
        ));
    }
    Ok(())
}

/// Whether only this machine reaches an address.
pub(super) fn is_loopback(url: &str) -> bool {
    ["//127.", "//localhost", "//[::1]"].iter().any(|host| url.contains(host))
}

fn finish(scene: &Scene, root: &Path, name: &str, result: &PairingResult, added: bool) -> Result<()> {
    match &result.status {
        PairingStatus::Completed => {}
        PairingStatus::Pending | PairingStatus::Expired => {
            bail!("no device came before the pairing token expired; run `flightdeck pair` again")
        }
        other => bail!("the server answered with {:?}, which this flightdeck does not know; update it", other.as_str()),
    }
    let workspace_id = result.workspace_id.context("the server's answer has no workspace; update it")?;
    if let Some(secret) = &result.bridge_secret {
        let credential = ProjectCredential {
            url: scene.effective.url.0.clone(),
            workspace_id,
            bridge_secret: secret.as_str().into(),
            display_name: name.to_owned(),
        };
        Credentials::change(&scene.effective.places, |credentials| credentials.set_project(root, credential))?;
    } else if !added {
        bail!("the server's answer has no secret for this machine; run `flightdeck pair` again");
    }
    let device = result.device_name.as_deref().unwrap_or("a device");
    if scene.json {
        return term::say_json_line(&json!({
            "event": "completed",
            "workspace_id": workspace_id,
            "project": root,
            "device_id": result.device_id,
            "device_name": result.device_name,
        }));
    }
    let tick = scene.theme.paint(Colour::Good, "✓");
    term::say(&format!("{tick} {} is paired with {}", term::line(&root.to_string_lossy()), term::line(device)))?;
    if !added {
        term::say("  Next: flightdeck install claude-code")?;
    }
    Ok(())
}

/// `flightdeck pair complete`.
async fn complete(scene: &Scene, token: &str, name: Option<String>) -> Result<()> {
    let (url, token) = scanned(token)?;
    let name = device_name(name);
    let completed = match &url {
        Some(url) if *url != scene.effective.url.0 => {
            bail!(
                "that code is for {url}, but the server here is {}; run it again with --url {url}",
                scene.effective.url.0
            )
        }
        _ => complete_here(scene, &token, name.clone()).await?,
    };
    store_device(scene, &scene.effective.url.0, &completed, &name)?;
    if scene.json {
        return term::say_json_line(&json!({
            "event": "completed",
            "workspace_id": completed.workspace_id,
            "device_id": completed.device_id,
            "match_code": completed.match_code,
            "display_name": completed.display_name,
        }));
    }
    let strong = |text: &str| scene.theme.paint(Colour::Strong, &term::line(text));
    term::say(&format!("Both screens must show the code  {}", strong(&completed.match_code)))?;
    let tick = scene.theme.paint(Colour::Good, "✓");
    term::say(&format!("{tick} This machine now decides for {}", strong(&completed.display_name)))?;
    term::say("  If the codes differ, run `flightdeck unpair --device` at once. Next: flightdeck approvals")
}

/// The token as it was typed, or as the QR code has it.
fn scanned(text: &str) -> Result<(Option<String>, String)> {
    let text = text.trim();
    if !text.starts_with('{') {
        return Ok((None, text.to_owned()));
    }
    let payload: Value =
        serde_json::from_str(text).context("the text of the QR code is damaged; type the token instead")?;
    let field = |name: &str| payload.get(name).and_then(Value::as_str).map(str::to_owned);
    let token = field("pair_token").context("that QR code holds no pairing token")?;
    Ok((field("url"), token))
}

/// Completes a pairing as this machine. A device that it is already gains the workspace and keeps its identity.
async fn complete_here(scene: &Scene, token: &str, name: String) -> Result<PairingCompleted> {
    let client = match scene.effective.connect_device() {
        Some(client) => client?,
        None => scene.effective.connect_anonymous()?,
    };
    let body = PairingCompletion::new(token, Platform::Cli, "").with_device_name(name);
    Ok(client.pairing().complete_pairing(&body).await?)
}

fn store_device(scene: &Scene, url: &str, completed: &PairingCompleted, name: &str) -> Result<()> {
    let device = DeviceCredential {
        device_id: completed.device_id,
        device_token: completed.device_token.as_str().into(),
        name: name.to_owned(),
    };
    Credentials::change(&scene.effective.places, |credentials| credentials.set_device(url, device))
}

fn device_name(given: Option<String>) -> String {
    given
        .filter(|name| !name.trim().is_empty())
        .or_else(project::host_name)
        .unwrap_or_else(|| format!("terminal {}", Uuid::new_v4().simple().to_string().get(..4).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_may_be_typed_or_scanned() {
        assert_eq!(scanned(" K7Q2 ").expect("is a token"), (None, "K7Q2".into()));
        let payload = r#"{"v":1,"url":"http://h:1","pair_token":"K7Q2"}"#;
        assert_eq!(scanned(payload).expect("is a payload"), (Some("http://h:1".into()), "K7Q2".into()));
        assert!(scanned("{}").is_err() && scanned("{oops").is_err());
    }

    #[test]
    fn only_this_machine_reaches_loopback() {
        assert!(
            is_loopback("http://127.0.0.1:8787") && is_loopback("http://[::1]:1") && is_loopback("http://localhost")
        );
        assert!(!is_loopback("http://192.168.1.20:8787"));
    }
}
