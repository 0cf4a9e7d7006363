//! `codegen/generated.json`: which spec the generated files came from, and what they were. It holds no times and no
//! absolute paths, so the same spec gives the same bytes everywhere.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::plan::text_of;
use crate::target::OutputFile;

/// Where the manifest is, relative to the repository's root.
pub const PATH: &str = "codegen/generated.json";

/// What was generated, and from what.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The generator's version.
    pub generator: String,
    /// SHA-256 over the spec, in hex.
    pub spec: String,
    /// SHA-256 of each file by its path, in hex.
    pub files: BTreeMap<String, String>,
}

impl Manifest {
    /// The manifest of these files.
    pub fn of(spec: String, files: &[OutputFile]) -> Self {
        let entries = files.iter().map(|file| (text_of(&file.path), hash(file.contents.as_bytes())));
        Self { generator: env!("CARGO_PKG_VERSION").to_owned(), spec, files: entries.collect() }
    }

    /// Reads the manifest of the last run; empty if there was none.
    ///
    /// # Errors
    /// When it is there and cannot be read, or is not a manifest.
    pub fn load(root: &Path) -> anyhow::Result<Self> {
        let path = root.join(PATH);
        match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .with_context(|| format!("{PATH} is not a manifest; delete it and run `cargo codegen generate`")),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }

    /// The manifest as a file.
    ///
    /// # Errors
    /// Only if serialisation itself fails, which would be a fault of this program.
    pub fn to_file(&self) -> anyhow::Result<OutputFile> {
        let mut text = serde_json::to_string_pretty(self)?;
        text.push('\n');
        Ok(OutputFile { path: PATH.into(), contents: text })
    }
}

fn hash(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}
