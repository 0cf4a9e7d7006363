//! The request that begins a socket, and its answer.

use hyper::upgrade::OnUpgrade;
use poem::http::{HeaderMap, HeaderName, StatusCode, header};
use poem::{Body, Request, Response};
use tungstenite::handshake::derive_accept_key;

/// A request that may become a socket.
pub(super) struct Handshake {
    upgrade: OnUpgrade,
    accept: String,
}

/// The connection behind a request, once its answer is sent. The accept loop puts it into the request's extensions.
#[derive(Clone)]
pub(in crate::http) struct Upgrade(pub(in crate::http) OnUpgrade);

impl Handshake {
    /// `None` if the request, a GET, is not the beginning of a socket.
    pub(super) fn read(request: &Request) -> Option<Self> {
        let headers = request.headers();
        let key = headers.get(header::SEC_WEBSOCKET_KEY)?;
        let begins = lists(headers, &header::UPGRADE, "websocket")
            && lists(headers, &header::CONNECTION, "upgrade")
            && headers.get(header::SEC_WEBSOCKET_VERSION).is_some_and(|version| version == "13")
            && is_key(key.as_bytes());
        let Upgrade(upgrade) = request.extensions().get().filter(|_| begins)?;
        Some(Self { upgrade: upgrade.clone(), accept: derive_accept_key(key.as_bytes()) })
    }

    /// The answer after which the connection is a socket.
    pub(super) fn accept(self) -> (Response, OnUpgrade) {
        let response = Response::builder()
            .status(StatusCode::SWITCHING_PROTOCOLS)
            .header(header::UPGRADE, "websocket")
            .header(header::CONNECTION, "Upgrade")
            .header(header::SEC_WEBSOCKET_ACCEPT, self.accept)
            .body(Body::empty());
        (response, self.upgrade)
    }
}

/// Whether one of the words in a header is this one.
fn lists(headers: &HeaderMap, name: &HeaderName, word: &str) -> bool {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|part| part.trim().eq_ignore_ascii_case(word))
}

/// Whether it is sixteen bytes in Base64.
fn is_key(key: &[u8]) -> bool {
    let letter = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    key.len() == 24 && key.ends_with(b"==") && key[..22].iter().all(letter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_found_in_lists() {
        let mut headers = HeaderMap::new();
        headers.append(header::CONNECTION, "keep-alive, Upgrade".parse().expect("a header"));
        assert!(lists(&headers, &header::CONNECTION, "upgrade"));
        assert!(!lists(&headers, &header::CONNECTION, "up"));
        assert!(!lists(&headers, &header::UPGRADE, "websocket"));
    }

    #[test]
    fn a_key_is_sixteen_bytes() {
        assert!(is_key(b"dGhlIHNhbXBsZSBub25jZQ=="));
        for wrong in ["", "short==", "dGhlIHNhbXBsZSBub25jZQ", "dGhlIHNhbXBsZSBub25jZSEh", "dGhlIHNhbXBs\0SBub25jZQ=="]
        {
            assert!(!is_key(wrong.as_bytes()), "{wrong}");
        }
    }
}
