//! Tokens of sessions: JWTs, signed by HS256 and nothing else.
//!
//! A token names its session; whether that still lasts is in the database, so a token is as good as its session. Tokens of
//! development are for another audience than those of production: with the same secret, neither opens the other.

use std::sync::Arc;

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Seal;
use crate::clock::Clock;
use crate::config::{Config, Environment};
use crate::secret::Secret;

const ISSUER: &str = "flightdeck";

/// How long a token works at most, in seconds, however much its session is used.
const LIFETIME: i64 = 30 * 24 * 60 * 60;

/// Clocks of servers differ; a token from the near future is taken. In seconds.
const SKEW: i64 = 60;

/// A token is never longer than this.
const MAX_TOKEN: usize = 4_000;

/// Makes and checks tokens.
#[derive(Clone)]
pub struct SessionTokens {
    encoding: EncodingKey,
    decoding: DecodingKey,
    audience: &'static str,
    clock: Arc<dyn Clock>,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    /// The session.
    sid: Uuid,
    sub: Uuid,
    /// Unix seconds.
    iat: i64,
    exp: i64,
}

impl SessionTokens {
    /// With `JWT_SECRET`, or, without one, a key that follows from the seal key.
    #[must_use]
    pub fn new(config: &Config, seal: &Seal, clock: Arc<dyn Clock>) -> Self {
        let secret = config.jwt_secret.clone().filter(|secret| !secret.expose().trim().is_empty());
        let secret = secret.unwrap_or_else(|| seal.derive("session tokens"));
        let secret = secret.expose().trim().as_bytes();
        Self {
            encoding: EncodingKey::from_secret(secret),
            decoding: DecodingKey::from_secret(secret),
            audience: match config.environment {
                Environment::Development => "flightdeck-sessions-development",
                Environment::Production => "flightdeck-sessions",
            },
            clock,
        }
    }

    /// The token of a session that was opened at `created_at`, in Unix milliseconds: always the same.
    #[must_use]
    pub fn mint(&self, session_id: Uuid, created_at: i64) -> Secret {
        let iat = created_at.div_euclid(1_000);
        let claims = Claims {
            iss: ISSUER.to_owned(),
            aud: self.audience.to_owned(),
            sid: session_id,
            sub: session_id,
            iat,
            exp: iat + LIFETIME,
        };
        let token = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.encoding);
        Secret::new(token.unwrap_or_else(|_| unreachable!("texts and numbers become JSON, and any key signs")))
    }

    /// Until when the token of a session works at most that was opened at `created_at`, both in Unix milliseconds.
    #[must_use]
    pub const fn last_moment(created_at: i64) -> i64 {
        (created_at.div_euclid(1_000) + LIFETIME) * 1_000
    }

    /// The session that a token opens; `None` if it is not one of ours, or not valid now.
    #[must_use]
    pub fn verify(&self, token: &str) -> Option<Uuid> {
        if token.len() > MAX_TOKEN {
            return None;
        }
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[self.audience]);
        validation.set_required_spec_claims(&["iss", "aud", "sub", "exp"]);
        // By our own clock, below.
        validation.validate_exp = false;
        let Claims { sid, sub, iat, exp, .. } =
            jsonwebtoken::decode::<Claims>(token, &self.decoding, &validation).ok()?.claims;
        let now = self.clock.now().div_euclid(1_000);
        (sid == sub && now < exp && iat <= now + SKEW).then_some(sid)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;
    use crate::clock::ManualClock;

    fn tokens(secret: &str, environment: Environment, clock: &ManualClock) -> SessionTokens {
        let config = Config {
            seal_key: Some(Secret::new("0123456789abcdef".repeat(4))),
            jwt_secret: Some(Secret::new(secret)),
            environment,
            ..Config::default()
        };
        let seal = Seal::open(&config).expect("a seal");
        SessionTokens::new(&config, &seal, Arc::new(clock.clone()))
    }

    #[test]
    fn a_token_opens_its_session_until_its_time_is_up() {
        let clock = ManualClock::at(1_700_000_000_000);
        let tokens = tokens("secret", Environment::Production, &clock);
        let id = Uuid::from_u128(7);
        let token = tokens.mint(id, clock.now());
        assert_eq!(tokens.verify(token.expose()), Some(id));
        assert_eq!(tokens.mint(id, clock.now()).expose(), token.expose());
        clock.advance(Duration::from_secs(u64::try_from(LIFETIME).expect("positive") - 1));
        assert_eq!(tokens.verify(token.expose()), Some(id));
        clock.advance(Duration::from_secs(1));
        assert_eq!(tokens.verify(token.expose()), None);
    }

    #[test]
    fn nothing_else_is_a_token() {
        let clock = ManualClock::at(1_700_000_000_000);
        let ours = tokens("secret", Environment::Production, &clock);
        let id = Uuid::from_u128(7);
        let token = ours.mint(id, clock.now()).expose().to_owned();
        let parts: Vec<&str> = token.split('.').collect();
        let none = |alg: &str| {
            let header = URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"{alg}","typ":"JWT"}}"#));
            [format!("{header}.{}.", parts[1]), format!("{header}.{}.{}", parts[1], parts[2])]
        };
        let mut wrong: Vec<String> = ["none", "None", "NONE", "hs256", "HS384", "RS256", ""].map(none).concat();
        for (environment, secret) in [(Environment::Production, "other"), (Environment::Development, "secret")] {
            wrong.push(tokens(secret, environment, &clock).mint(id, clock.now()).expose().to_owned());
        }
        for (key, value) in [("iss", "\"x\""), ("aud", "\"x\""), ("exp", "1"), ("iat", "99999999999"), ("sub", "\"x\"")]
        {
            let mut claims: serde_json::Value =
                serde_json::from_slice(&URL_SAFE_NO_PAD.decode(parts[1]).expect("base64")).expect("JSON");
            let mut missing = claims.clone();
            missing.as_object_mut().expect("an object").remove(key);
            claims[key] = serde_json::from_str(value).expect("JSON");
            for claims in [claims, missing] {
                let header = Header::new(Algorithm::HS256);
                wrong.push(jsonwebtoken::encode(&header, &claims, &ours.encoding).expect("a token"));
            }
        }
        wrong.extend([String::new(), "..".to_owned(), parts[0].to_owned(), format!("{token}x"), "x".repeat(65_536)]);
        for token in wrong {
            assert_eq!(ours.verify(&token), None, "{token}");
        }
    }
}
