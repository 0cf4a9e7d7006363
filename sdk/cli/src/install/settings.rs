//! Claude Code's settings files: where they are, how one is replaced, and what it was before we came.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::merge::without_hooks;
use crate::config::{Places, read_private, replace_keeping_mode, write_private};
use crate::project;

/// Whose settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Scope {
    /// Yours, in every project: ~/.claude/settings.json
    User,
    /// Everybody's in this project: .claude/settings.json
    Project,
    /// Yours in this project: .claude/settings.local.json
    Local,
}

impl Scope {
    /// The settings file for somebody who works in `folder`.
    pub(crate) fn file(self, folder: &Path) -> Result<PathBuf> {
        Ok(match self {
            Self::User => match std::env::var_os("CLAUDE_CONFIG_DIR").filter(|folder| !folder.is_empty()) {
                Some(folder) => PathBuf::from(folder).join("settings.json"),
                None => {
                    let home = std::env::home_dir().context("there is no home folder; set CLAUDE_CONFIG_DIR")?;
                    home.join(".claude/settings.json")
                }
            },
            Self::Project => project::root(folder).join(".claude/settings.json"),
            Self::Local => project::root(folder).join(".claude/settings.local.json"),
        })
    }
}

/// A settings file as it is now.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) path: PathBuf,
    /// `None`: it does not exist.
    pub(crate) text: Option<String>,
}

/// What an installation found, kept where only the user can read it: settings may hold keys. It serves as the
/// backup, and to restore exactly what was there.
#[derive(Debug, Serialize, Deserialize)]
struct Receipt {
    path: PathBuf,
    before: Option<String>,
    after: String,
}

impl Settings {
    pub(crate) fn read(path: PathBuf) -> Result<Self> {
        let text = match fs::read_to_string(&path) {
            Ok(text) => Some(text),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(error).with_context(|| format!("could not read {}", path.display())),
        };
        Ok(Self { path, text })
    }

    /// What the file was before our hooks, or would be without them. `None`: it was not there.
    pub(crate) fn without_ours(&self, places: &Places) -> Result<Option<String>> {
        let Some(text) = &self.text else { return Ok(None) };
        if let Some(receipt) = self.receipt(places)
            && receipt.after == digest(text)
        {
            return Ok(receipt.before);
        }
        without_hooks(text).map(Some).with_context(|| self.unusable())
    }

    /// Replaces the file by one with our hooks, and keeps what it was.
    pub(crate) fn install(&self, places: &Places, new: &str) -> Result<()> {
        let receipt = Receipt { path: self.path.clone(), before: self.without_ours(places)?, after: digest(new) };
        write_private(&self.receipt_file(places), &serde_json::to_vec_pretty(&receipt)?)?;
        replace_keeping_mode(&self.path, new.as_bytes())
    }

    /// Puts back what was there.
    pub(crate) fn restore(&self, places: &Places, old: Option<&str>) -> Result<()> {
        match old {
            Some(old) => replace_keeping_mode(&self.path, old.as_bytes())?,
            None => fs::remove_file(&self.path).with_context(|| format!("could not remove {}", self.path.display()))?,
        }
        let _there_was_none = fs::remove_file(self.receipt_file(places));
        Ok(())
    }

    /// Where the file's former content is kept.
    pub(crate) fn receipt_file(&self, places: &Places) -> PathBuf {
        let path = std::path::absolute(&self.path).unwrap_or_else(|_| self.path.clone());
        let name = hex::encode(Sha256::digest(path.as_os_str().as_encoded_bytes()));
        places.receipts_folder().join(format!("{}.json", name.get(..16).unwrap_or(&name)))
    }

    pub(crate) fn unusable(&self) -> String {
        format!("{} was left as it is", self.path.display())
    }

    fn receipt(&self, places: &Places) -> Option<Receipt> {
        let text = read_private(&self.receipt_file(places)).ok()??;
        serde_json::from_str(&text).ok()
    }
}

fn digest(text: &str) -> String {
    hex::encode(Sha256::digest(text))
}

#[cfg(test)]
mod tests {
    use super::super::hooks::Plan;
    use super::super::merge::with_hooks;
    use super::*;
    use crate::config::{Gate, WhenUnreachable};

    fn install(settings: &Settings, places: &Places, timeout: u64) {
        let program = Path::new("/usr/bin/flightdeck");
        let plan = Plan::new(program, Gate::PermissionRequest, WhenUnreachable::Ask, timeout).expect("a plain path");
        let base = settings.without_ours(places).expect("reads");
        let new = with_hooks(base.as_deref().unwrap_or_default(), &plan).expect("merges");
        settings.install(places, &new).expect("installs");
    }

    fn uninstall(path: &Path, places: &Places) {
        let settings = Settings::read(path.to_owned()).expect("reads");
        let old = settings.without_ours(places).expect("reads");
        settings.restore(places, old.as_deref()).expect("restores");
    }

    #[test]
    fn even_what_is_empty_comes_back_as_it_was() {
        for before in ["", " \n", "{ }", "{\n}", "{\"hooks\": {}}", "{\"hooks\": {\"Stop\": [ ]}}"] {
            let folder = tempfile::tempdir().expect("a temporary folder");
            let places = Places::below(folder.path());
            let path = folder.path().join(".claude/settings.json");
            fs::create_dir_all(path.parent().expect("has a folder")).expect("creates");
            fs::write(&path, before).expect("writes");
            for timeout in [60, 86_400] {
                install(&Settings::read(path.clone()).expect("reads"), &places, timeout);
            }
            uninstall(&path, &places);
            assert_eq!(fs::read_to_string(&path).expect("reads"), before);
        }
    }

    #[test]
    fn a_file_that_was_not_there_is_gone_again() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let places = Places::below(folder.path());
        let path = folder.path().join(".claude/settings.json");
        install(&Settings::read(path.clone()).expect("reads"), &places, 60);
        assert!(path.exists());
        uninstall(&path, &places);
        assert!(!path.exists());
    }

    #[test]
    fn what_the_user_changed_since_stays_changed() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let places = Places::below(folder.path());
        let path = folder.path().join("settings.json");
        fs::write(&path, "{\n  \"model\": \"opus\"\n}\n").expect("writes");
        install(&Settings::read(path.clone()).expect("reads"), &places, 60);
        let text = fs::read_to_string(&path).expect("reads").replace("opus", "sonnet");
        fs::write(&path, text).expect("writes");
        uninstall(&path, &places);
        assert_eq!(fs::read_to_string(&path).expect("reads"), "{\n  \"model\": \"sonnet\"\n}\n");
    }
}
