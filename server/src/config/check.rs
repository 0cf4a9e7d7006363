//! What settings must fulfil together.

use std::fmt;
use std::path::Path;

use super::{Config, Environment};
use crate::service::agents;

/// Why the server does not start.
#[derive(Debug)]
pub enum Refused {
    /// A flag or variable is wrong, or help was asked for.
    Arguments(clap::Error),
    /// A file, or settings together, are wrong.
    Settings(String),
}

impl Refused {
    pub(super) fn file(path: &Path, problem: &str) -> Self {
        Self::Settings(format!("{}: {problem}", path.display()))
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Arguments(error) => error.fmt(formatter),
            Self::Settings(problem) => formatter.write_str(problem),
        }
    }
}

impl std::error::Error for Refused {}

/// Secrets that stand in examples, and so are none.
const PLACEHOLDERS: [&str; 7] =
    ["change_me", "changeme", "your-hmac-secret-for-signing", "dcm-dev-secret-change-me", "secret", "password", "dev"];

pub(super) fn check(config: &Config) -> Result<(), Refused> {
    let refuse = |problem: String| Err(Refused::Settings(problem));
    let database = config.database();
    if !["sqlite:", "postgres:", "postgresql:"].iter().any(|scheme| database.starts_with(scheme)) {
        return refuse(
            "DATABASE_URL must start with sqlite: or postgres: (its value is not shown, it may hold a password)".into(),
        );
    }
    if !config.uses_sqlite() && url::Url::parse(&database).is_err() {
        return refuse(
            "DATABASE_URL is not a URL; in its password, write %23 for #, %2F for / and %3F for ? (its value is not shown)"
                .into(),
        );
    }
    for origin in &config.cors_origins {
        let valid = url::Url::parse(origin)
            .is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.origin().ascii_serialization() == *origin);
        if !valid {
            return refuse(format!(
                "CORS_ORIGINS: `{origin}` is not an origin; write it as `https://example.org`, without a path"
            ));
        }
    }
    if let Some(url) = &config.public_base_url
        && !matches!(url.scheme(), "http" | "https")
    {
        return refuse(format!("PUBLIC_BASE_URL: `{url}` must start with http:// or https://"));
    }
    if let Some(key) = &config.seal_key
        && hex::decode(key.expose()).map_or(0, |key| key.len()) != 32
    {
        return refuse("FLIGHTDECK_SEAL_KEY must be 64 hexadecimal digits; `openssl rand -hex 32` makes them".into());
    }
    for (name, seconds) in [
        ("FLIGHTDECK_HEAD_TIMEOUT_SECONDS", config.head_timeout_seconds),
        ("FLIGHTDECK_BODY_TIMEOUT_SECONDS", config.body_timeout_seconds),
        ("FLIGHTDECK_APPROVAL_TTL_SECONDS", config.approval_ttl_seconds),
        ("FLIGHTDECK_AGENT_START_SECONDS", config.agent_start_seconds),
        ("FLIGHTDECK_AGENT_IDLE_SECONDS", config.agent_idle_seconds),
        ("FLIGHTDECK_AGENT_SILENCE_SECONDS", config.agent_silence_seconds),
        ("FLIGHTDECK_CHAT_QUEUE", config.chat_queue),
        ("FLIGHTDECK_MAX_AGENTS", config.max_agents as u64),
        ("FLIGHTDECK_MAX_CONNECTIONS", config.max_connections as u64),
        ("FLIGHTDECK_MAX_SOCKETS", config.max_sockets as u64),
        ("SESSION_TTL_SECONDS", config.session_ttl_seconds),
        ("FLIGHTDECK_COMMAND_SECONDS", config.command_seconds),
        ("FLIGHTDECK_SESSION_TASKS", config.session_tasks),
    ] {
        if seconds == 0 || seconds > 31_536_000 {
            return refuse(format!("{name} is {seconds}; it must be from 1 to 31536000"));
        }
    }
    if let Some(path) = config.repo_allowlist.iter().find(|path| !path.is_absolute()) {
        return refuse(format!("REPO_ALLOWLIST: `{}` is not an absolute path", path.display()));
    }
    if let Some(url) = &config.relay_url
        && !matches!(url.scheme(), "http" | "https")
    {
        return refuse(format!("FLIGHTDECK_RELAY_URL: `{url}` must start with http:// or https://"));
    }
    let agents = agents::all(config.mock_script.clone(), config.agents.clone());
    if !agents.contains_key(&config.agent) {
        let names: Vec<&str> = agents.keys().map(String::as_str).collect();
        let names = names.join(", ");
        return refuse(format!("FLIGHTDECK_AGENT: there is no agent `{}`; there are {names}", config.agent));
    }
    if let Some(secret) = &config.hmac_secret
        && !config.host.is_loopback()
        && secret.expose().trim().len() < 32
    {
        return refuse(format!(
            "HMAC_SECRET is shorter than 32 characters, and HOST {} is seen by other machines; `openssl rand -hex 32` makes \
             a good one",
            config.host
        ));
    }
    if config.environment == Environment::Production {
        production(config)?;
    }
    Ok(())
}

fn production(config: &Config) -> Result<(), Refused> {
    let Some(secret) = &config.hmac_secret else {
        return Err(Refused::Settings(
            "HMAC_SECRET is not set; in production it must be (`openssl rand -hex 32` makes one)".into(),
        ));
    };
    let companion = config.companion_token.as_ref();
    let hub = config.ws_auth_secret.as_ref();
    let sessions = config.jwt_secret.as_ref();
    for (name, secret) in [
        ("HMAC_SECRET", Some(secret)),
        ("COMPANION_TOKEN", companion),
        ("WS_AUTH_SECRET", hub),
        ("JWT_SECRET", sessions),
    ] {
        let Some(text) = secret.map(|secret| secret.expose().trim()) else { continue };
        if text.len() < 32 || PLACEHOLDERS.iter().any(|placeholder| text.eq_ignore_ascii_case(placeholder)) {
            return Err(Refused::Settings(format!(
                "{name} is a placeholder, or shorter than 32 characters; `openssl rand -hex 32` makes a good one"
            )));
        }
    }
    if !config.uses_sqlite() && config.seal_key.is_none() {
        return Err(Refused::Settings(
            "FLIGHTDECK_SEAL_KEY is not set; with PostgreSQL in production it must be, so that every server opens the \
             same seals (`openssl rand -hex 32` makes one)"
                .into(),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    fn problem(change: impl FnOnce(&mut Config)) -> String {
        let mut config = Config::default();
        change(&mut config);
        check(&config).expect_err("it is refused").to_string()
    }

    #[test]
    fn the_defaults_pass() {
        check(&Config::default()).expect("they do");
    }

    #[test]
    fn production_wants_its_secrets() {
        let missing = problem(|config| config.environment = Environment::Production);
        assert!(missing.starts_with("HMAC_SECRET is not set"), "{missing}");
        for placeholder in ["change_me", "hunter2", "your-hmac-secret-for-signing"] {
            let weak = problem(|config| {
                config.environment = Environment::Production;
                config.hmac_secret = Some(Secret::new(placeholder));
            });
            assert!(weak.starts_with("HMAC_SECRET is a placeholder"), "{weak}");
            assert!(!weak.contains(placeholder), "the value stays hidden");
        }
    }

    #[test]
    fn a_wrong_value_is_named_with_its_fix() {
        let origin = problem(|config| config.cors_origins = vec!["https://example.org/app".into()]);
        assert!(origin.contains("`https://example.org/app`") && origin.contains("without a path"), "{origin}");
        let database = problem(|config| config.database_url = Some(Secret::new("mysql://root:pw@db/x")));
        assert!(database.contains("DATABASE_URL") && !database.contains("pw"), "{database}");
    }
}
