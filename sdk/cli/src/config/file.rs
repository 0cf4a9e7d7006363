//! `config.toml`: what the user decides. Read only; the CLI never writes it.

use std::fmt;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// The whole file. Everything is optional.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConfigFile {
    /// Where the server is.
    pub(crate) url: Option<String>,
    #[serde(default)]
    pub(crate) hook: HookConfig,
    #[serde(default)]
    pub(crate) companion: CompanionConfig,
}

/// How `flightdeck companion` proves itself.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CompanionConfig {
    /// The file that holds the token. A relative path begins at the folder of `config.toml`.
    pub(crate) token_file: Option<PathBuf>,
}

/// How the hook runner behaves.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HookConfig {
    /// Which of the agent's events asks for an approval.
    pub(crate) gate: Option<Gate>,
    /// What to answer when the server gives no verdict.
    pub(crate) when_unreachable: Option<WhenUnreachable>,
    /// How long the agent waits for the hook, in seconds, where the installed command does not say.
    pub(crate) timeout_seconds: Option<u64>,
    /// How long the server may be away, in seconds, before `when_unreachable` applies.
    pub(crate) patience_seconds: Option<u64>,
    /// Tools that `gate = "pre-tool-use"` never asks about.
    pub(crate) never_ask: Option<Vec<String>>,
    /// Who sends the events.
    pub(crate) delivery: Option<Delivery>,
}

/// Which of the agent's events asks for an approval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Gate {
    /// When the agent itself would ask: the phone and the terminal race, the first answer counts.
    #[default]
    PermissionRequest,
    /// Before every tool call: only a person in Flightdeck may allow it.
    PreToolUse,
    /// Never: Flightdeck only watches.
    None,
}

/// What to answer when the server gives no verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum WhenUnreachable {
    /// Leave the question to the agent's own dialog.
    #[default]
    Ask,
    /// Refuse.
    Deny,
    /// Let it pass.
    Allow,
}

/// Who sends the events that the hook observes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Delivery {
    /// A process of its own, so that the agent never waits for the network.
    #[default]
    Background,
    /// The hook itself, for at most a second; for containers that end with the agent.
    Inline,
}

/// How long Claude Code waits for a hook that has no timeout of its own.
const AGENTS_DEFAULT_TIMEOUT: Duration = Duration::from_secs(600);
const DEFAULT_PATIENCE: Duration = Duration::from_secs(30);

/// Tools that only read, or only talk to the person at the terminal.
const NEVER_ASK: [&str; 8] =
    ["AskUserQuestion", "Glob", "Grep", "LS", "NotebookRead", "Read", "TodoWrite", "ToolSearch"];

impl ConfigFile {
    /// Reads the file. One that does not exist is empty.
    ///
    /// # Errors
    /// It is not TOML, or holds a key or value that is unknown; the message shows the place.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(error).with_context(|| format!("could not read {}", path.display())),
        };
        toml::from_str(&text).with_context(|| format!("{} has a mistake; correct it and try again", path.display()))
    }
}

impl HookConfig {
    pub(crate) fn timeout(&self) -> Duration {
        self.timeout_seconds.map_or(AGENTS_DEFAULT_TIMEOUT, Duration::from_secs)
    }

    pub(crate) fn patience(&self) -> Duration {
        self.patience_seconds.map_or(DEFAULT_PATIENCE, Duration::from_secs)
    }

    /// Whether `gate = "pre-tool-use"` lets this tool pass without a question.
    pub(crate) fn never_asks(&self, tool: &str) -> bool {
        match &self.never_ask {
            Some(tools) => tools.iter().any(|known| known == tool),
            None => NEVER_ASK.contains(&tool),
        }
    }

    /// The tools of [`never_asks`](Self::never_asks), to be shown.
    pub(crate) fn never_ask_list(&self) -> Vec<String> {
        self.never_ask.clone().unwrap_or_else(|| NEVER_ASK.map(str::to_owned).to_vec())
    }
}

macro_rules! shown_as_in_the_file {
    ($($kind:ty),+) => {
        $(impl fmt::Display for $kind {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                let value = self.to_possible_value();
                formatter.write_str(value.as_ref().map_or("", |value| value.get_name()))
            }
        })+
    };
}
shown_as_in_the_file!(Gate, WhenUnreachable, Delivery);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_read() {
        let file: ConfigFile = toml::from_str(
            "url = 'https://deck.example'\n[hook]\ngate = 'pre-tool-use'\nwhen_unreachable = 'deny'\n\
             timeout_seconds = 60\npatience_seconds = 5\nnever_ask = ['Read']\ndelivery = 'inline'\n",
        )
        .expect("is valid");
        assert_eq!(file.url.as_deref(), Some("https://deck.example"));
        assert_eq!(file.hook.gate, Some(Gate::PreToolUse));
        assert_eq!(file.hook.when_unreachable, Some(WhenUnreachable::Deny));
        assert_eq!((file.hook.timeout(), file.hook.patience()), (Duration::from_secs(60), Duration::from_secs(5)));
        assert!(file.hook.never_asks("Read") && !file.hook.never_asks("Grep"));
        assert_eq!(file.hook.delivery, Some(Delivery::Inline));
    }

    #[test]
    fn a_misspelt_key_is_shown_with_its_place() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("config.toml");
        std::fs::write(&path, "[hook]\nwhen_unreachble = 'deny'\n").expect("writes");
        let message = format!("{:#}", ConfigFile::read(&path).expect_err("refuses"));
        assert!(message.contains("when_unreachble") && message.contains("config.toml"), "{message}");
    }

    #[test]
    fn names_are_those_of_the_file() {
        assert_eq!(Gate::PermissionRequest.to_string(), "permission-request");
        assert_eq!(WhenUnreachable::Ask.to_string(), "ask");
        assert_eq!(Delivery::Background.to_string(), "background");
    }
}
