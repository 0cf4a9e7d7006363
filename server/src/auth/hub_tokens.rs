//! Tokens with which agents prove themselves on the hub: `base64url(payload).hex(HMAC-SHA256(payload))`, where the payload is
//! JSON text. They need no table: whoever holds the secret can make and check them.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::Seal;
use crate::clock::Clock;
use crate::secret::Secret;

/// How long a token works, in milliseconds.
const LIFETIME: i64 = 60 * 60 * 1_000;

/// Clocks of servers differ; a token from the near future is taken.
const SKEW: i64 = 60_000;

/// A token is never longer than this.
const MAX_TOKEN: usize = 4_096;

/// Makes and checks tokens.
#[derive(Clone)]
pub struct HubTokens {
    secret: Secret,
    clock: Arc<dyn Clock>,
}

/// Whom a token proves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubIdentity {
    pub agent_id: String,
    pub session_id: Option<String>,
    /// Unix milliseconds.
    pub expires_at: i64,
}

/// A new token.
#[derive(Debug, Clone)]
pub struct MintedToken {
    pub token: Secret,
    /// Unix milliseconds.
    pub issued_at: i64,
    pub expires_at: i64,
}

/// As the inherited protocol has it.
#[derive(Serialize, Deserialize)]
struct Payload {
    agent_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    session_id: Option<String>,
    issued_at: i64,
    expires_at: i64,
}

impl HubTokens {
    /// With `WS_AUTH_SECRET`, or, without one, a key that follows from the seal key.
    #[must_use]
    pub fn new(secret: Option<Secret>, seal: &Seal, clock: Arc<dyn Clock>) -> Self {
        let secret = secret.filter(|secret| !secret.expose().trim().is_empty());
        Self { secret: secret.unwrap_or_else(|| seal.derive("hub tokens")), clock }
    }

    /// Makes a token.
    #[must_use]
    pub fn mint(&self, agent_id: &str, session_id: Option<&str>) -> MintedToken {
        let issued_at = self.clock.now();
        let expires_at = issued_at + LIFETIME;
        let payload =
            Payload { agent_id: agent_id.to_owned(), session_id: session_id.map(str::to_owned), issued_at, expires_at };
        let text = serde_json::to_string(&payload).unwrap_or_else(|_| unreachable!("texts and numbers become JSON"));
        let mac = hex::encode(self.mac(text.as_bytes()).finalize().into_bytes());
        MintedToken { token: Secret::new(format!("{}.{mac}", URL_SAFE_NO_PAD.encode(&text))), issued_at, expires_at }
    }

    /// Whom the token proves; `None` if it is not one of ours, or is not valid now.
    #[must_use]
    pub fn verify(&self, token: &str) -> Option<HubIdentity> {
        if token.len() > MAX_TOKEN {
            return None;
        }
        let (payload, mac) = token.split_once('.')?;
        let text = URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?;
        let mut given = [0; 32];
        hex::decode_to_slice(mac, &mut given).ok()?;
        // Takes the same time whatever differs; the payload is looked at only if it is ours.
        self.mac(&text).verify_slice(&given).ok()?;
        let Payload { agent_id, session_id, issued_at, expires_at } = serde_json::from_slice(&text).ok()?;
        let now = self.clock.now();
        (now < expires_at && issued_at <= now + SKEW).then_some(HubIdentity { agent_id, session_id, expires_at })
    }

    fn mac(&self, text: &[u8]) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.secret.expose().as_bytes())
            .unwrap_or_else(|_| unreachable!("a key of any length will do"));
        mac.update(text);
        mac
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::ManualClock;
    use crate::config::Config;

    fn tokens(secret: &str, clock: &ManualClock) -> HubTokens {
        let seal_key = Some(Secret::new("0123456789abcdef".repeat(4)));
        let seal = Seal::open(&Config { seal_key, ..Config::default() }).expect("a seal");
        HubTokens::new(Some(Secret::new(secret)), &seal, Arc::new(clock.clone()))
    }

    #[test]
    fn a_token_proves_its_agent_for_an_hour() {
        let clock = ManualClock::at(1_700_000_000_000);
        let tokens = tokens("secret", &clock);
        let minted = tokens.mint("backend", Some("s-1"));
        let identity = tokens.verify(minted.token.expose()).expect("it is valid");
        assert_eq!(identity.agent_id, "backend");
        assert_eq!(identity.session_id.as_deref(), Some("s-1"));
        clock.advance(Duration::from_millis(3_599_999));
        assert!(tokens.verify(minted.token.expose()).is_some());
        clock.advance(Duration::from_millis(1));
        assert!(tokens.verify(minted.token.expose()).is_none());
    }

    #[test]
    fn nothing_else_is_a_token() {
        let clock = ManualClock::at(1_700_000_000_000);
        let tokens = tokens("secret", &clock);
        let token = tokens.mint("backend", None).token.expose().to_owned();
        let (payload, mac) = token.split_once('.').expect("two parts");
        let forged = URL_SAFE_NO_PAD.encode(r#"{"agent_id":"root","issued_at":0,"expires_at":99999999999999}"#);
        let wrong = [
            String::new(),
            ".".to_owned(),
            payload.to_owned(),
            format!("{payload}.{}", &mac[..62]),
            format!("{payload}.{mac}00"),
            format!("{payload}.{}", "0".repeat(64)),
            format!("{forged}.{mac}"),
            format!("{payload}!.{mac}"),
            "x".repeat(100_000),
        ];
        for token in wrong {
            assert!(tokens.verify(&token).is_none(), "{token}");
        }
        assert!(self::tokens("other", &clock).verify(&token).is_none());
    }

    /// As a client that holds the secret makes it: another order of keys, and padding.
    #[test]
    fn a_token_made_elsewhere_with_the_secret_is_taken() {
        let clock = ManualClock::at(1_700_000_000_000);
        let tokens = tokens("dcm", &clock);
        let text = r#"{"expires_at":1700003600000, "issued_at":1700000000000,"agent_id":"a"}"#;
        let mac = hex::encode(tokens.mac(text.as_bytes()).finalize().into_bytes());
        let padded = base64::engine::general_purpose::URL_SAFE.encode(text);
        assert_eq!(tokens.verify(&format!("{padded}.{mac}")).map(|identity| identity.agent_id), Some("a".to_owned()));
    }
}
