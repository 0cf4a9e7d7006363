//! Carries a plan out. Every file appears whole or not at all: it is written beside its place and then moved there.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::plan::{Change, Plan};
use crate::target::OutputFile;

/// Makes the disk agree with the spec.
///
/// # Errors
/// At the first file that cannot be written or removed. What was done before stays; running again goes on from there,
/// because the manifest is written last.
pub fn apply(root: &Path, plan: &Plan) -> anyhow::Result<()> {
    for change in &plan.changes {
        match change {
            Change::Create(file) | Change::Update(file) => write_whole(root, file)?,
            Change::Remove(path) => remove(root, path)?,
        }
    }
    Ok(())
}

fn write_whole(root: &Path, file: &OutputFile) -> anyhow::Result<()> {
    let path = root.join(&file.path);
    let failure = || format!("cannot write {}", path.display());
    let folder = path.parent().with_context(failure)?;
    fs::create_dir_all(folder).with_context(failure)?;
    let temporary = temporary_name(&path);
    let written = write_and_move(&temporary, &path, &file.contents);
    if written.is_err() {
        // The fault itself matters more than what is left behind by it.
        let _ = fs::remove_file(&temporary);
    }
    written.with_context(failure)
}

fn write_and_move(temporary: &Path, path: &Path, contents: &str) -> std::io::Result<()> {
    let mut out = fs::File::create(temporary)?;
    out.write_all(contents.as_bytes())?;
    drop(out);
    fs::rename(temporary, path)
}

fn temporary_name(path: &Path) -> PathBuf {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    path.with_file_name(format!(".{name}.{}", std::process::id()))
}

/// Removes a file, and the folders that it leaves empty.
fn remove(root: &Path, path: &str) -> anyhow::Result<()> {
    let full = root.join(path);
    fs::remove_file(&full).with_context(|| format!("cannot remove {}", full.display()))?;
    let mut folder = full.parent();
    while let Some(current) = folder.filter(|current| *current != root) {
        // Fails where something is left in it, which is just when it should stay.
        if fs::remove_dir(current).is_err() {
            break;
        }
        folder = current.parent();
    }
    Ok(())
}
