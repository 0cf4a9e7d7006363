//! Finds a spec's files in a folder. Symbolic links are not followed, so nothing outside the folder is ever read.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::Context as _;

use super::{MAX_FILE_BYTES, Raw, Role};

/// How many folders deep a spec's files are.
const MAX_FOLDERS: usize = 4;
/// How many files a spec may have.
pub(super) const MAX_FILES: usize = 20_000;

/// Every file of the spec in `root`, by its path relative to it.
///
/// # Errors
/// When the folder, or something in it, cannot be read.
pub fn find(root: &Path) -> anyhow::Result<BTreeMap<String, Raw>> {
    anyhow::ensure!(root.is_dir(), "there is no spec in {}: the folder does not exist", root.display());
    let mut found = BTreeMap::new();
    walk(root, "", 0, &mut found)?;
    Ok(found)
}

fn walk(folder: &Path, prefix: &str, depth: usize, found: &mut BTreeMap<String, Raw>) -> anyhow::Result<()> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?;
    for entry in entries {
        let entry = entry.with_context(|| format!("cannot list {}", folder.display()))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with('.') {
            continue;
        }
        let path = if prefix.is_empty() { name } else { format!("{prefix}/{name}") };
        let kind = entry.file_type().with_context(|| format!("cannot look at {}", entry.path().display()))?;
        if kind.is_dir() {
            if depth + 1 < MAX_FOLDERS && is_read(&path) {
                walk(&entry.path(), &path, depth + 1, found)?;
            }
            continue;
        }
        if Role::of(&path) == Role::Ignored {
            continue;
        }
        anyhow::ensure!(found.len() < MAX_FILES, "the spec has more than {MAX_FILES} files");
        let raw = read(&entry.path(), &path, kind)?;
        found.insert(path, raw);
    }
    Ok(())
}

/// Whether a folder of the spec holds files that this program reads.
fn is_read(folder: &str) -> bool {
    matches!(folder.split('/').next(), Some("openapi" | "asyncapi" | "schemas" | "examples"))
}

fn read(file: &Path, path: &str, kind: fs::FileType) -> anyhow::Result<Raw> {
    if kind.is_symlink() {
        return Ok(Raw::Refused("is a symbolic link".to_owned()));
    }
    if !kind.is_file() {
        return Ok(Raw::Refused("is not an ordinary file".to_owned()));
    }
    if !Role::of(path).is_read() {
        return Ok(Raw::Unread);
    }
    let failure = || format!("cannot read {}", file.display());
    if fs::metadata(file).with_context(failure)?.len() > MAX_FILE_BYTES {
        return Ok(Raw::Refused("is too large".to_owned()));
    }
    fs::read(file).map(Raw::Bytes).with_context(failure)
}
