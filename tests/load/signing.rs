//! Signed requests whose bytes are made once and stamped anew each time.

use std::ops::Range;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use uuid::Uuid;

/// A workspace's key, ready for use.
#[derive(Clone)]
pub(crate) struct Signer {
    pub(crate) workspace_id: Uuid,
    keyed: Hmac<Sha256>,
}

impl Signer {
    pub(crate) fn new(workspace_id: Uuid, secret: &str) -> Result<Self> {
        Ok(Self { workspace_id, keyed: Hmac::new_from_slice(secret.as_bytes()).context("the key can't be used")? })
    }
}

/// A request with places for what differs each time: the time, the nonce, the signature, the idempotency key.
pub(crate) struct SignedRequest {
    bytes: Vec<u8>,
    timestamp: Range<usize>,
    nonce: Range<usize>,
    signature: Range<usize>,
    key: Option<Range<usize>>,
    /// What is signed.
    body: Vec<u8>,
    /// With `count`, the nonce.
    prefix: u64,
    count: u64,
}

impl SignedRequest {
    /// A POST of `body`.
    pub(crate) fn post(path: &str, body: &[u8], idempotency: bool, signer: &Signer) -> Self {
        Self::new("POST", path, Some(body), idempotency, signer)
    }

    /// A GET, which signs `{}`.
    pub(crate) fn get(path: &str, signer: &Signer) -> Self {
        Self::new("GET", path, None, false, signer)
    }

    fn new(method: &str, path: &str, body: Option<&[u8]>, idempotency: bool, signer: &Signer) -> Self {
        let workspace_id = signer.workspace_id;
        let mut bytes =
            format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nX-Workspace-Id: {workspace_id}\r\n").into_bytes();
        let timestamp = place(&mut bytes, "X-Timestamp", 13);
        let nonce = place(&mut bytes, "X-Nonce", 32);
        let signature = place(&mut bytes, "X-Signature", 64);
        let key = idempotency.then(|| place(&mut bytes, "Idempotency-Key", 32));
        match body {
            Some(body) => {
                let length = body.len();
                bytes.extend_from_slice(
                    format!("Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n").as_bytes(),
                );
                bytes.extend_from_slice(body);
            }
            None => bytes.extend_from_slice(b"\r\n"),
        }
        let body = body.unwrap_or(b"{}").to_vec();
        let prefix = Uuid::new_v4().as_u64_pair().1;
        Self { bytes, timestamp, nonce, signature, key, body, prefix, count: 0 }
    }

    /// The request as it can be sent once, now.
    pub(crate) fn stamp(&mut self, signer: &Signer) -> &[u8] {
        let mut digits = [b'0'; 13];
        let mut rest = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
        for digit in digits.iter_mut().rev() {
            *digit = b"0123456789"[(rest % 10) as usize];
            rest /= 10;
        }
        self.count += 1;
        let mut half = [0; 16];
        half[..8].copy_from_slice(&self.prefix.to_be_bytes());
        half[8..].copy_from_slice(&self.count.to_be_bytes());
        let mut nonce = [0; 32];
        write_hex(&half, &mut nonce);

        let mut hmac = signer.keyed.clone();
        for part in [&digits[..], b":", &nonce[..], b":", &self.body[..]] {
            hmac.update(part);
        }
        let mut signature = [0; 64];
        write_hex(&hmac.finalize().into_bytes(), &mut signature);

        self.bytes[self.timestamp.clone()].copy_from_slice(&digits);
        self.bytes[self.nonce.clone()].copy_from_slice(&nonce);
        self.bytes[self.signature.clone()].copy_from_slice(&signature);
        if let Some(key) = &self.key {
            self.bytes[key.clone()].copy_from_slice(&nonce);
        }
        &self.bytes
    }
}

/// Adds a header with room for `length` bytes.
fn place(bytes: &mut Vec<u8>, name: &str, length: usize) -> Range<usize> {
    bytes.extend_from_slice(name.as_bytes());
    bytes.extend_from_slice(b": ");
    let begin = bytes.len();
    bytes.resize(begin + length, b'0');
    bytes.extend_from_slice(b"\r\n");
    begin..begin + length
}

fn write_hex(bytes: &[u8], text: &mut [u8]) {
    for (byte, pair) in bytes.iter().zip(text.chunks_exact_mut(2)) {
        pair[0] = b"0123456789abcdef"[usize::from(byte >> 4)];
        pair[1] = b"0123456789abcdef"[usize::from(byte & 15)];
    }
}
