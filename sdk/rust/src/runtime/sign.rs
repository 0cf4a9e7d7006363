//! The workspace signature: hex HMAC-SHA256, keyed with the bridge secret, over `timestamp:nonce:body`. Which
//! operations are signed, and with whose secret, is decided in `credentials.rs`.

use hmac::{Hmac, Mac};
use sha2::Sha256;

use super::{Secret, Timestamp};

/// What is signed in place of the body of a request that has none.
const NO_BODY: &[u8] = b"{}";

/// Signs a request.
///
/// `body` is the exact bytes that are sent. `nonce` must be new for every request: the server refuses one that it
/// has seen, and a timestamp more than five minutes off.
pub fn sign(secret: &Secret, timestamp: Timestamp, nonce: &str, body: Option<&[u8]>) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes()).expect("HMAC takes a key of any length");
    mac.update(timestamp.as_millis().to_string().as_bytes());
    mac.update(b":");
    mac.update(nonce.as_bytes());
    mac.update(b":");
    mac.update(body.unwrap_or(NO_BODY));
    hex::encode(mac.finalize().into_bytes())
}
