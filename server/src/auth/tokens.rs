//! Random credentials, and the hashes under which they are stored.

use rand::Rng;
use rand::distr::Alphanumeric;
use sha2::{Digest, Sha256};

use crate::secret::Secret;

/// What a token is for; its prefix makes a leaked one recognisable.
#[derive(Debug, Clone, Copy)]
pub enum Token {
    Pair,
    Poll,
    Device,
    Bridge,
}

impl Token {
    /// A new token with 238 bits of randomness.
    #[must_use]
    pub fn random(self) -> Secret {
        let prefix = match self {
            Self::Pair => "fdp_",
            Self::Poll => "fdq_",
            Self::Device => "fdd_",
            Self::Bridge => "fdb_",
        };
        let text: String = rand::rng().sample_iter(Alphanumeric).take(40).map(char::from).collect();
        Secret::new(format!("{prefix}{text}"))
    }
}

/// What is stored of a token. It is random, so a plain hash can't be guessed back.
#[must_use]
pub fn hash(token: &str) -> Vec<u8> {
    Sha256::digest(token.as_bytes()).to_vec()
}

/// Four characters for two screens, none of which looks like another.
#[must_use]
pub fn match_code() -> String {
    const LETTERS: &[u8] = b"ACDEFHJKMNPRTUVWXY34679";
    let mut random = rand::rng();
    (0..4).map(|_| char::from(LETTERS[random.random_range(0..LETTERS.len())])).collect()
}
