//! Keeping web pages of others out.
//!
//! A server on loopback is within reach of every page that the user's browser shows. So a request that says which page
//! it comes from must name an allowed one, and in development the host it asks for must be this machine: a page that
//! had its own name resolve to 127.0.0.1 would otherwise pass as local.

use flightdeck_api::generated::errors::ErrorCode;
use flightdeck_api::support::ApiError;
use poem::http::{HeaderMap, HeaderValue, header};
use url::Url;

use crate::config::{Config, Environment};

/// The hub's dashboard, as its project starts it on a developer's machine.
const DASHBOARD: [&str; 2] = ["http://localhost:3848", "http://127.0.0.1:3848"];

/// Which origins and hosts are ours.
#[derive(Debug, Clone)]
pub struct Origins {
    /// As in `https://example.org:8443`.
    allowed: Vec<String>,
    /// Present in development.
    public_host: Option<Option<String>>,
}

impl Origins {
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let public = config.public_base_url.as_ref();
        let mut allowed = config.cors_origins.clone();
        allowed.extend(public.map(|url| url.origin().ascii_serialization()));
        let development = config.environment == Environment::Development;
        let public_host = development.then(|| public.and_then(|url| url.host_str().map(str::to_owned)));
        Self { allowed, public_host }
    }

    /// Those of the hub's own port: in development, its dashboard's are among them.
    #[must_use]
    pub fn of_hub(config: &Config) -> Self {
        let mut origins = Self::new(config);
        if config.environment == Environment::Development {
            origins.allowed.extend(DASHBOARD.map(str::to_owned));
        }
        origins
    }

    /// # Errors
    /// `origin_not_allowed`, with the origin or host at fault.
    pub fn check(&self, headers: &HeaderMap) -> Result<(), ApiError> {
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        if let Some(public_host) = &self.public_host {
            let name = host_name(host);
            let ours = host.is_empty()
                || is_address(&name)
                || names_this_machine(host)
                || public_host.as_deref() == Some(name.as_str());
            if !ours {
                return Err(refuse("Host", host));
            }
        }
        let Some(origin) = headers.get(header::ORIGIN) else { return Ok(()) };
        let origin = origin.to_str().unwrap_or_default();
        let same = Url::parse(origin).is_ok_and(|url| {
            let port = url.port().map_or_else(String::new, |port| format!(":{port}"));
            url.host_str().is_some_and(|name| format!("{name}{port}").eq_ignore_ascii_case(host))
        });
        if same || self.allowed.iter().any(|allowed| allowed == origin) {
            return Ok(());
        }
        Err(refuse("Origin", origin))
    }

    /// The origin to name in `Access-Control-Allow-Origin`, if the request comes from an allowed page elsewhere.
    #[must_use]
    pub fn cross_origin<'h>(&self, headers: &'h HeaderMap) -> Option<&'h HeaderValue> {
        let origin = headers.get(header::ORIGIN)?;
        self.allowed.iter().any(|allowed| allowed.as_bytes() == origin.as_bytes()).then_some(origin)
    }
}

fn refuse(name: &str, value: &str) -> ApiError {
    ApiError::new(ErrorCode::OriginNotAllowed).detail(name, format!("`{value}` is not one of this server's"))
}

/// `Host` without its port, in lower case.
fn host_name(host: &str) -> String {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.to_ascii_lowercase()
}

/// Addresses are not resolved, so no page can claim one.
fn is_address(name: &str) -> bool {
    name.parse::<std::net::IpAddr>().is_ok()
}

/// Whether a `Host` header names this machine itself.
pub fn names_this_machine(host: &str) -> bool {
    let name = host_name(host);
    name == "localhost"
        || name.ends_with(".localhost")
        || name.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(config: &Config, host: &str, origin: Option<&str>) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, host.parse().expect("a header"));
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, origin.parse().expect("a header"));
        }
        Origins::new(config).check(&headers).is_ok()
    }

    #[test]
    fn pages_of_others_are_kept_out() {
        let config = Config { cors_origins: vec!["https://ide.example".into()], ..Config::default() };
        assert!(check(&config, "127.0.0.1:8787", None));
        assert!(check(&config, "localhost:8787", Some("http://localhost:8787")));
        assert!(check(&config, "[::1]:8787", Some("http://[::1]:8787")));
        assert!(check(&config, "127.0.0.1:8787", Some("https://ide.example")));
        for origin in ["https://evil.example", "null", "http://127.0.0.1:8787.evil.example", "http://127.0.0.1:1"] {
            assert!(!check(&config, "127.0.0.1:8787", Some(origin)), "{origin}");
        }
    }

    #[test]
    fn the_dashboard_on_this_machine_is_let_in_during_development() {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_static("localhost:3849"));
        headers.insert(header::ORIGIN, HeaderValue::from_static("http://localhost:3848"));
        let mut config = Config::default();
        assert!(Origins::of_hub(&config).check(&headers).is_ok());
        assert!(Origins::new(&config).check(&headers).is_err(), "on the hub's own port, and nowhere else");
        config.environment = Environment::Production;
        assert!(Origins::of_hub(&config).check(&headers).is_err());
    }

    #[test]
    fn a_name_that_resolves_to_loopback_is_not_local_in_development() {
        let mut config = Config::default();
        assert!(!check(&config, "rebound.evil.example:8787", None));
        config.public_base_url = Some("https://deck.example".parse().expect("a URL"));
        assert!(check(&config, "deck.example", None));
        config.environment = Environment::Production;
        assert!(check(&config, "rebound.evil.example:8787", None), "behind a proxy, names are the proxy's");
    }
}
