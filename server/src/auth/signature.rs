//! Checking signatures: hex HMAC-SHA256 over `timestamp:nonce:body`.
//!
//! The path is not signed: the inherited protocol has it so. A nonce that works once keeps a signature from being used
//! for another path.

use flightdeck_api::generated::errors::ErrorCode;
use flightdeck_api::support::{ApiError, Context, Timestamp};
use hmac::{Hmac, Mac};
use http::Method;
use sha2::Sha256;

use super::nonces::SKEW;

/// Longer nonces are refused: they are looked up, and kept for a while.
const MAX_NONCE: usize = 200;

/// The signature of a request, decoded but not yet checked.
#[derive(Debug)]
pub(super) struct Signature<'r> {
    timestamp: &'r str,
    pub(super) signed_at: i64,
    pub(super) nonce: &'r str,
    mac: [u8; 32],
    body: &'r [u8],
}

impl<'r> Signature<'r> {
    /// Whether the request carries a signature at all.
    pub(super) fn is_present(context: &Context) -> bool {
        context.headers().contains_key("x-signature")
    }

    /// Reads the headers, and checks the time.
    pub(super) fn read(context: &'r Context, now: i64) -> Result<Self, ApiError> {
        let header = |name: &str| {
            context.header(name).filter(|value| !value.is_empty()).ok_or_else(|| {
                ApiError::new(ErrorCode::CredentialMissing)
                    .message("The request is not signed: a header is missing.")
                    .detail(name, "is missing")
            })
        };
        let signature = header("X-Signature")?;
        let timestamp = header("X-Timestamp")?;
        let nonce = header("X-Nonce")?;
        // Digits only: `parse` would also take `+1`, which is another text to sign for the same time.
        let signed_at = timestamp
            .bytes()
            .all(|byte| byte.is_ascii_digit())
            .then(|| timestamp.parse::<i64>().ok())
            .flatten()
            .ok_or_else(|| ApiError::new(ErrorCode::TimestampInvalid))?;
        if signed_at.abs_diff(now) > SKEW.unsigned_abs() {
            return Err(ApiError::new(ErrorCode::TimestampSkewed)
                .detail("X-Timestamp", format!("the server's time is {} ({now})", Timestamp(now))));
        }
        let mut mac = [0; 32];
        let decodes = signature.len() == 64 && hex::decode_to_slice(signature, &mut mac).is_ok();
        if !decodes || nonce.len() > MAX_NONCE {
            return Err(ApiError::new(ErrorCode::SignatureInvalid));
        }
        let body = context.body();
        let bodiless = matches!(*context.method(), Method::GET | Method::DELETE | Method::HEAD);
        let body: &[u8] = if body.is_empty() && bodiless { b"{}" } else { body };
        Ok(Self { timestamp, signed_at, nonce, mac, body })
    }

    /// Whether `secret` made it. Takes the same time whatever differs.
    pub(super) fn is_by(&self, secret: &str) -> bool {
        let Ok(mut hmac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else { return false };
        for part in [self.timestamp.as_bytes(), b":", self.nonce.as_bytes(), b":", self.body] {
            hmac.update(part);
        }
        hmac.verify_slice(&self.mac).is_ok()
    }
}
