//! Sealing the secrets that the database must give back: signing keys can't be hashed, so they are encrypted.

use std::io::Write;
use std::path::Path;

use anyhow::{Context, bail};
use chacha20poly1305::aead::{Aead, KeyInit};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::config::Config;
use crate::secret::Secret;

/// Bytes of the random nonce in front of the sealed text.
const NONCE: usize = 24;

/// Encrypts and decrypts with the server's key.
#[derive(Clone)]
pub struct Seal {
    cipher: XChaCha20Poly1305,
    key: zeroize::Zeroizing<Vec<u8>>,
}

impl Seal {
    /// With the configured key, or that of the data directory, which is made at the first start.
    ///
    /// # Errors
    /// If the key file can't be read or written, or others can read it.
    pub fn open(config: &Config) -> anyhow::Result<Self> {
        let text = match &config.seal_key {
            Some(key) => key.clone(),
            None => key_file(&config.data_dir.join("seal.key"))?,
        };
        let key =
            zeroize::Zeroizing::new(hex::decode(text.expose().trim()).context("the seal key is not hexadecimal")?);
        let cipher = XChaCha20Poly1305::new_from_slice(&key)
            .map_err(|_| anyhow::anyhow!("the seal key is not 32 bytes long"))?;
        Ok(Self { cipher, key })
    }

    /// Seals a secret. `holder` goes into the seal: moved to another row, it does not open.
    #[must_use]
    pub fn seal(&self, secret: &Secret, holder: &[u8]) -> Vec<u8> {
        let nonce: [u8; NONCE] = rand::random();
        let message = chacha20poly1305::aead::Payload { msg: secret.expose().as_bytes(), aad: holder };
        let sealed = self
            .cipher
            .encrypt(XNonce::from_slice(&nonce), message)
            .unwrap_or_else(|_| unreachable!("a secret is far below the cipher's limit"));
        [nonce.as_slice(), &sealed].concat()
    }

    /// A key for another purpose, the same as long as the seal key is. It tells nothing of the seal key.
    #[must_use]
    pub fn derive(&self, purpose: &str) -> Secret {
        let mut hmac = <Hmac<Sha256> as Mac>::new_from_slice(&self.key)
            .unwrap_or_else(|_| unreachable!("a key of any length will do"));
        hmac.update(purpose.as_bytes());
        Secret::new(hex::encode(hmac.finalize().into_bytes()))
    }

    /// Opens what [`Seal::seal`] made for the same holder; `None` if it was not this key or not this holder.
    #[must_use]
    pub fn unseal(&self, sealed: &[u8], holder: &[u8]) -> Option<Secret> {
        let (nonce, text) = sealed.split_at_checked(NONCE)?;
        let message = chacha20poly1305::aead::Payload { msg: text, aad: holder };
        let opened = self.cipher.decrypt(XNonce::from_slice(nonce), message).ok()?;
        String::from_utf8(opened).ok().map(Secret::new)
    }
}

impl std::fmt::Debug for Seal {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Seal(…)")
    }
}

fn key_file(path: &Path) -> anyhow::Result<Secret> {
    match std::fs::read_to_string(path) {
        Ok(text) => {
            private(path)?;
            Ok(Secret::new(text))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let key = Secret::new(hex::encode(rand::random::<[u8; 32]>()));
            let mut options = std::fs::OpenOptions::new();
            options.write(true).create_new(true);
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
            // Written beside and linked into place, so that a crash leaves a whole key or none.
            let draft = path.with_extension("key.draft");
            let _ = std::fs::remove_file(&draft);
            let mut file = options.open(&draft).with_context(|| format!("can't create {}", draft.display()))?;
            file.write_all(key.expose().as_bytes())?;
            file.sync_all()?;
            let linked = std::fs::hard_link(&draft, path);
            std::fs::remove_file(&draft)?;
            match linked {
                Ok(()) => Ok(key),
                // Another server was faster; its key is the one.
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => key_file(path),
                Err(error) => Err(error).with_context(|| format!("can't create {}", path.display())),
            }
        }
        Err(error) => Err(error).with_context(|| format!("can't read {}", path.display())),
    }
}

/// A key that others can read protects nothing.
fn private(path: &Path) -> anyhow::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(path)?.permissions().mode();
        if mode & 0o077 != 0 {
            bail!("{0} can be read by others; `chmod 600 {0}` mends that", path.display());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seal_opens_for_its_holder_only() {
        let config = Config { seal_key: Some(Secret::new("07".repeat(32))), ..Config::default() };
        let seal = Seal::open(&config).expect("a key");
        let sealed = seal.seal(&Secret::new("s3cret"), b"row 1");
        assert_eq!(seal.unseal(&sealed, b"row 1").expect("it opens").expose(), "s3cret");
        assert!(seal.unseal(&sealed, b"row 2").is_none());
        let mut broken = sealed;
        broken[30] ^= 1;
        assert!(seal.unseal(&broken, b"row 1").is_none());
        assert!(seal.unseal(b"short", b"row 1").is_none());
    }
}
