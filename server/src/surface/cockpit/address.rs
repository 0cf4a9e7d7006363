//! The addresses that a session's clients get.

use flightdeck_api::generated::errors::ErrorCode;
use flightdeck_api::generated::sockets::cockpit::COCKPIT;
use flightdeck_api::generated::sockets::terminal::TERMINAL;
use flightdeck_api::generated::types;
use flightdeck_api::support::{ApiError, Context};
use url::Url;

use super::CockpitSurface;
use crate::store::sessions::SessionRow;

impl CockpitSurface {
    /// Where the clients of a session reach it: at the relay, at the public address, or as the one did who asks.
    pub(super) fn base(&self, context: &Context, via: types::SessionVia) -> Result<Url, ApiError> {
        if via == types::SessionVia::Relay {
            return self.relay_url.clone().ok_or_else(|| ErrorCode::RelayMissing.into());
        }
        if let Some(url) = &self.public_base_url {
            return Ok(url.clone());
        }
        let host = context.header("Host").filter(|host| !host.is_empty());
        let asked = host.and_then(|host| Url::parse(&format!("{}://{host}", self.base_url.scheme())).ok());
        Ok(asked.filter(|url| url.path() == "/" && url.username().is_empty()).unwrap_or_else(|| self.base_url.clone()))
    }
}

/// A path below a base, which may have one of its own.
pub(super) fn below(base: &Url, path: &str) -> Url {
    let mut url = base.clone();
    url.set_path(&format!("{}{path}", base.path().trim_end_matches('/')));
    url
}

/// A socket below a base.
pub(super) fn socket(base: &Url, path: &str) -> Url {
    let mut url = below(base, path);
    let scheme = if base.scheme() == "https" { "wss" } else { "ws" };
    // Both pairs of schemes are of one kind, between which a URL may change.
    let _ = url.set_scheme(scheme);
    url
}

/// Without the slash at the end: paths are appended to it.
pub(super) fn text(url: &Url) -> String {
    url.as_str().trim_end_matches('/').to_owned()
}

pub(super) fn sockets(base: &Url) -> types::SessionSockets {
    types::SessionSockets { pty: text(&socket(base, TERMINAL.address)), events: text(&socket(base, COCKPIT.address)) }
}

/// The way that a stored session takes.
pub(super) fn via(row: &SessionRow) -> Result<types::SessionVia, ApiError> {
    crate::surface::convert::stored(&row.via)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_are_below_the_base() {
        for (base, pty) in [
            ("http://localhost:8787", "ws://localhost:8787/ws/pty"),
            ("https://example.org/flightdeck/", "wss://example.org/flightdeck/ws/pty"),
        ] {
            let base = Url::parse(base).expect("a URL");
            assert_eq!(sockets(&base).pty, pty);
        }
        assert_eq!(text(&Url::parse("https://example.org/").expect("a URL")), "https://example.org");
    }
}
