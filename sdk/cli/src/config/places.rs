//! The folders and files of the CLI. Nothing is read or created here.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// Where things are.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    config: PathBuf,
    state: PathBuf,
}

impl Places {
    /// From the environment: `FLIGHTDECK_CONFIG_DIR` and `FLIGHTDECK_STATE_DIR`, else the XDG folders.
    pub(crate) fn find() -> Result<Self> {
        Self::from_variables(|name| std::env::var_os(name), std::env::home_dir().as_deref())
    }

    /// The same with the environment from elsewhere.
    pub(crate) fn from_variables(variable: impl Fn(&str) -> Option<OsString>, home: Option<&Path>) -> Result<Self> {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let place = |own: &str, xdg: &str, below_home: &str| {
            set(own)
                // The XDG specification says that a relative path is to be ignored.
                .or_else(|| set(xdg).filter(|path| path.is_absolute()).map(|path| path.join("flightdeck")))
                .or_else(|| home.map(|home| home.join(below_home).join("flightdeck")))
                .with_context(|| format!("there is no home folder to keep files in; set {own} to a folder"))
        };
        Ok(Self {
            config: place("FLIGHTDECK_CONFIG_DIR", "XDG_CONFIG_HOME", ".config")?,
            state: place("FLIGHTDECK_STATE_DIR", "XDG_STATE_HOME", ".local/state")?,
        })
    }

    /// Both folders below one; for tests.
    #[cfg(test)]
    pub(crate) fn below(folder: &Path) -> Self {
        Self { config: folder.join("config"), state: folder.join("state") }
    }

    pub(crate) fn config_folder(&self) -> &Path {
        &self.config
    }

    pub(crate) fn state_folder(&self) -> &Path {
        &self.state
    }

    pub(crate) fn config_file(&self) -> PathBuf {
        self.config.join("config.toml")
    }

    pub(crate) fn credentials_file(&self) -> PathBuf {
        self.config.join("credentials.json")
    }

    pub(crate) fn machine_file(&self) -> PathBuf {
        self.config.join("machine-id")
    }

    /// One state file and one outbox for each session of an agent.
    pub(crate) fn sessions_folder(&self) -> PathBuf {
        self.state.join("sessions")
    }

    /// How far the conversations of companions are.
    #[cfg(unix)]
    pub(crate) fn companions_folder(&self) -> PathBuf {
        self.state.join("companions")
    }

    /// What `install` found before it changed a settings file.
    pub(crate) fn receipts_folder(&self) -> PathBuf {
        self.state.join("installs")
    }

    pub(crate) fn hook_log(&self) -> PathBuf {
        self.state.join("hook.log")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(variables: &[(&str, &str)]) -> Places {
        let lookup = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into());
        Places::from_variables(lookup, Some(Path::new("/home/u"))).expect("there is a home folder")
    }

    #[test]
    fn own_variables_win_over_xdg_and_home() {
        assert_eq!(places(&[]).config_folder(), Path::new("/home/u/.config/flightdeck"));
        assert_eq!(places(&[]).state_folder(), Path::new("/home/u/.local/state/flightdeck"));
        assert_eq!(places(&[("XDG_CONFIG_HOME", "/x")]).config_folder(), Path::new("/x/flightdeck"));
        let both = [("XDG_CONFIG_HOME", "/x"), ("FLIGHTDECK_CONFIG_DIR", "/own")];
        assert_eq!(places(&both).config_folder(), Path::new("/own"));
    }

    #[test]
    fn empty_and_relative_values_do_not_count() {
        let odd = [("XDG_CONFIG_HOME", "relative"), ("FLIGHTDECK_STATE_DIR", "")];
        assert_eq!(places(&odd).config_folder(), Path::new("/home/u/.config/flightdeck"));
        assert_eq!(places(&odd).state_folder(), Path::new("/home/u/.local/state/flightdeck"));
    }
}
