//! The one token that all clients of the companion share.

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::secret::Secret;

/// `COMPANION_TOKEN`, if it is set.
#[derive(Debug, Clone, Default)]
pub struct CompanionToken(Option<Secret>);

impl CompanionToken {
    #[must_use]
    pub fn new(token: Option<Secret>) -> Self {
        // Empty is how an environment file leaves it out.
        Self(token.filter(|token| !token.expose().trim().is_empty()))
    }

    /// Whether there is one.
    #[must_use]
    pub const fn is_set(&self) -> bool {
        self.0.is_some()
    }

    /// Whether `shown` is the token. Takes the same time whatever differs; without a token, nothing is.
    #[must_use]
    pub fn matches(&self, shown: &str) -> bool {
        // Hashed, so that the lengths tell nothing either.
        let digest = |text: &str| Sha256::digest(text.as_bytes());
        self.0.as_ref().is_some_and(|token| digest(token.expose().trim()).ct_eq(&digest(shown)).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_token_itself_matches() {
        let token = CompanionToken::new(Some(Secret::new("open sesame")));
        assert!(token.matches("open sesame"));
        assert!(!token.matches("open sesam") && !token.matches("open sesamee") && !token.matches(""));
    }

    #[test]
    fn without_a_token_nothing_matches() {
        for token in [CompanionToken::default(), CompanionToken::new(Some(Secret::new("  ")))] {
            assert!(!token.is_set() && !token.matches("") && !token.matches("  "));
        }
    }
}
