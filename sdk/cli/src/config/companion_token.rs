//! The token that the companion's surface asks for. All clients of a server share it, so it is not something that pairing
//! gives: it comes from a file or from the environment.

use std::fs;
#[cfg(unix)]
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use flightdeck_sdk::Secret;

use super::effective::{Source, text};
use super::{CompanionConfig, Places};
#[cfg(unix)]
use crate::term;

/// The variables, the first of which counts. The second is what the server reads.
const VARIABLES: [&str; 2] = ["FLIGHTDECK_COMPANION_TOKEN", "COMPANION_TOKEN"];

/// Where the token comes from.
#[derive(Debug, Clone, Default)]
pub(crate) enum CompanionToken {
    /// There is none; a server in development on the same machine asks for none.
    #[default]
    None,
    Value(Secret, Source),
    File(PathBuf, Source),
}

impl CompanionToken {
    /// Of the environment, else of `config.toml`.
    pub(super) fn find(places: &Places, file: &CompanionConfig) -> Self {
        let variable = |name: &'static str| Some(Self::Value(Secret::from(text(name)?), Source::Variable(name)));
        VARIABLES.into_iter().find_map(variable).unwrap_or_else(|| match &file.token_file {
            Some(path) => Self::File(places.config_folder().join(path), Source::File),
            None => Self::None,
        })
    }

    /// Of a file that the command line names.
    #[cfg(unix)]
    pub(crate) fn of_file(path: PathBuf) -> Self {
        Self::File(path, Source::Flag("--token-file"))
    }

    pub(crate) fn source(&self) -> Option<&Source> {
        match self {
            Self::None => None,
            Self::Value(_, source) | Self::File(_, source) => Some(source),
        }
    }

    /// The token as it is now: a file may be changed at any time.
    ///
    /// # Errors
    /// The file cannot be read, or holds nothing.
    pub(crate) fn read(&self) -> Result<Option<Secret>> {
        match self {
            Self::None => Ok(None),
            Self::Value(token, _) => Ok(Some(token.clone())),
            Self::File(path, source) => {
                let token = fs::read_to_string(path).with_context(|| {
                    format!("could not read the companion token in {} (from: {source})", path.display())
                })?;
                if token.trim().is_empty() {
                    bail!("{} holds no companion token (from: {source}); write it there", path.display());
                }
                Ok(Some(token.trim().into()))
            }
        }
    }

    /// Says it if others on this machine can read the file. It may be mounted, and not for this program to refuse.
    #[cfg(unix)]
    pub(crate) fn warn(&self) {
        if let Self::File(path, _) = self
            && fs::metadata(path).is_ok_and(|metadata| metadata.mode() & 0o077 != 0)
        {
            let text = format!("others on this machine can read the token in {}; run: chmod 600 '{0}'", path.display());
            term::remark(&term::line(&format!("flightdeck: {text}")));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[cfg(unix)]
    #[test]
    fn a_file_is_read_whenever_the_token_is_needed() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("token");
        let token = CompanionToken::of_file(path.clone());
        assert!(format!("{:#}", token.read().expect_err("is missing")).contains("--token-file"));
        for value in ["one", "two"] {
            fs::write(&path, format!(" {value}\n")).expect("writes");
            assert_eq!(token.read().expect("reads").expect("is there").expose(), value);
        }
        fs::write(&path, "\n").expect("writes");
        assert!(token.read().is_err());
        assert!(!format!("{:?}", CompanionToken::Value("shh".into(), Source::Default)).contains("shh"));
    }

    #[test]
    fn a_relative_path_begins_at_the_config_folder() {
        let places = Places::below(Path::new("/u"));
        let file = CompanionConfig { token_file: Some("token".into()) };
        let CompanionToken::File(path, _) = CompanionToken::find(&places, &file) else { panic!("it is of a file") };
        assert_eq!(path, places.config_folder().join("token"));
    }
}
