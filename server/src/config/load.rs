//! Reading the settings from their places.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{CommandFactory, FromArgMatches};

use super::Config;
use super::check::{self, Refused};

/// Reads flags, environment and file, and checks what they say together.
///
/// # Errors
/// For a wrong value, with the setting's name, the value and the fix; and for `--help` and `--version`, whose text the
/// error prints.
pub fn load(arguments: impl IntoIterator<Item = OsString>) -> Result<Config, Refused> {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    // Once for the file's place, which flags and environment may give; once more with what the file says.
    let first = parse(Config::command(), &arguments)?;
    let config = match file(&first)? {
        Some((path, settings)) => parse(with_file(&path, &settings)?, &arguments)?,
        None => first,
    };
    let mut config = config;
    // An empty line in an environment file means that there is none.
    for secret in [
        &mut config.hmac_secret,
        &mut config.companion_token,
        &mut config.ws_auth_secret,
        &mut config.seal_key,
        &mut config.database_url,
    ] {
        if secret.as_ref().is_some_and(|secret| secret.expose().trim().is_empty()) {
            *secret = None;
        }
    }
    check::check(&config)?;
    Ok(config)
}

pub(super) fn defaults() -> Config {
    let command = Config::command().mut_args(|argument| argument.env(None::<&str>));
    parse(command, &[OsString::from("flightdeck-server")])
        .unwrap_or_else(|error| unreachable!("the defaults are valid: {error}"))
}

fn parse(command: clap::Command, arguments: &[OsString]) -> Result<Config, Refused> {
    let matches = command.try_get_matches_from(arguments).map_err(Refused::Arguments)?;
    Config::from_arg_matches(&matches).map_err(Refused::Arguments)
}

fn file(config: &Config) -> Result<Option<(PathBuf, toml::Table)>, Refused> {
    let (path, must_exist) = match &config.config {
        Some(path) => (path.clone(), true),
        None => (config.data_dir.join("flightdeck.toml"), false),
    };
    match std::fs::read_to_string(&path) {
        Ok(text) => match text.parse() {
            Ok(settings) => Ok(Some((path, settings))),
            Err(error) => Err(Refused::file(&path, &format!("it is not valid TOML: {error}"))),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !must_exist => Ok(None),
        Err(error) => Err(Refused::file(&path, &format!("it can't be read: {error}"))),
    }
}

/// The command with the file's settings as its defaults, so that flags and environment win over them.
fn with_file(path: &std::path::Path, settings: &toml::Table) -> Result<clap::Command, Refused> {
    let mut command = Config::command();
    for (name, value) in settings {
        let known = command.get_arguments().any(|argument| argument.get_id() == name.as_str());
        if !known || name == "config" {
            return Err(Refused::file(path, &format!("`{name}` is not a setting; --help lists them all")));
        }
        let texts: Vec<String> = match value {
            toml::Value::String(text) => vec![text.clone()],
            toml::Value::Array(items) if items.iter().all(toml::Value::is_str) => {
                items.iter().filter_map(|item| item.as_str().map(str::to_owned)).collect()
            }
            toml::Value::Integer(_) | toml::Value::Boolean(_) => vec![value.to_string()],
            _ => return Err(Refused::file(path, &format!("`{name}` must be text, a number or a list of text"))),
        };
        command = command.mut_arg(name, |argument| argument.default_values(texts));
    }
    Ok(command)
}
