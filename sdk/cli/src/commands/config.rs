//! `flightdeck config`: which values count here, and where each comes from. Secrets are never shown.

use anyhow::Result;
use serde_json::{Map, json};

use super::Scene;
use crate::term::{self, Colour};

pub(super) fn run(scene: &Scene) -> Result<()> {
    let effective = &scene.effective;
    let hook = &effective.hook;
    let from_file = |set: bool| if set { "config.toml" } else { "default" }.to_owned();
    let mut values = vec![("url", effective.url.0.clone(), effective.url.1.to_string())];
    if let Some((workspace, source)) = &effective.workspace {
        values.push(("workspace_id", workspace.workspace_id.to_string(), source.to_string()));
        values.push(("bridge_secret", "(set, not shown)".to_owned(), source.to_string()));
    } else {
        let why = match effective.paired_elsewhere() {
            Some(url) => format!("(this project is paired with {url})"),
            None => "(this folder is not paired)".to_owned(),
        };
        values.push(("workspace_id", why, String::new()));
    }
    match &effective.device {
        Some((_, source)) => {
            let id = effective
                .device_id
                .map_or_else(|| "(set, not shown)".to_owned(), |id| format!("(of device {id}, not shown)"));
            values.push(("device_token", id, source.to_string()));
        }
        None => values.push(("device_token", "(this machine is no device of that server)".to_owned(), String::new())),
    }
    match effective.companion_token.source() {
        Some(source) => values.push(("companion_token", "(set, not shown)".to_owned(), source.to_string())),
        None => values.push(("companion_token", "(none)".to_owned(), String::new())),
    }
    values.extend([
        ("hook.gate", effective.gate.0.to_string(), effective.gate.1.to_string()),
        ("hook.when_unreachable", effective.when_unreachable.0.to_string(), effective.when_unreachable.1.to_string()),
        ("hook.timeout_seconds", hook.timeout().as_secs().to_string(), from_file(hook.timeout_seconds.is_some())),
        ("hook.patience_seconds", hook.patience().as_secs().to_string(), from_file(hook.patience_seconds.is_some())),
        ("hook.never_ask", hook.never_ask_list().join(" "), from_file(hook.never_ask.is_some())),
        ("hook.delivery", effective.delivery.0.to_string(), effective.delivery.1.to_string()),
    ]);
    let places = [
        ("config", effective.places.config_file()),
        ("credentials", effective.places.credentials_file()),
        ("state", effective.places.state_folder().to_owned()),
        ("log", effective.places.hook_log()),
    ];
    if scene.json {
        let values: Map<_, _> = values
            .iter()
            .map(|(name, value, source)| ((*name).to_owned(), json!({"value": value, "source": source})))
            .collect();
        let places: Map<_, _> = places.iter().map(|(name, path)| ((*name).to_owned(), json!(path))).collect();
        return term::say_json(&json!({"values": values, "files": places}));
    }
    for (name, value, source) in values {
        let source = if source.is_empty() { source } else { format!("  ({})", term::line(&source)) };
        let source = scene.theme.paint(Colour::Quiet, &source);
        term::say(&format!("{name:<22} {}{source}", term::line(&value)))?;
    }
    term::say("")?;
    for (name, path) in places {
        term::say(&format!("{name:<22} {}", term::line(&path.to_string_lossy())))?;
    }
    Ok(())
}
