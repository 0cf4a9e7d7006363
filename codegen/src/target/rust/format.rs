//! Formats generated Rust with `rustfmt`, in one process for all files.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result, bail};

use crate::target::OutputFile;

const EDITION: &str = "2024";

/// The repository's own, so that `cargo fmt` finds nothing to change in generated files.
const CONFIGURATION: &str = include_str!("../../../../.rustfmt.toml");

/// Formats every file whose name ends in `.rs`; the others are left as they are.
///
/// # Errors
///
/// `rustfmt` is not installed, or a file is not valid Rust, which is a fault of a template.
pub fn format(files: &mut [OutputFile]) -> Result<()> {
    let mut sources: Vec<&mut OutputFile> = files.iter_mut().filter(|file| is_rust(&file.path)).collect();
    if sources.is_empty() {
        return Ok(());
    }
    let folder = Folder::create()?;
    for file in &sources {
        let path = folder.0.join(&file.path);
        let parent = path.parent().unwrap_or(&folder.0);
        fs::create_dir_all(parent).with_context(|| format!("cannot create {}", parent.display()))?;
        fs::write(&path, &file.contents).with_context(|| format!("cannot write {}", path.display()))?;
    }
    // Beside the files, so that no configuration further up the tree or in a home directory changes the result.
    let configuration = folder.0.join("rustfmt.toml");
    fs::write(&configuration, CONFIGURATION).context("cannot write rustfmt.toml")?;
    run(&folder.0, &configuration, &roots(&sources))?;
    for file in &mut sources {
        let path = folder.0.join(&file.path);
        file.contents = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    }
    Ok(())
}

fn run(folder: &Path, configuration: &Path, roots: &[PathBuf]) -> Result<()> {
    let output = Command::new("rustfmt")
        .args(["--edition", EDITION, "--config-path"])
        .arg(configuration)
        .args(roots)
        .current_dir(folder)
        .output();
    match output {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => bail!(
            "rustfmt refused the generated code, so a template is wrong:\n{}",
            String::from_utf8_lossy(&output.stderr)
        ),
        Err(error) if error.kind() == ErrorKind::NotFound => bail!(
            "rustfmt is not installed, and generated Rust is formatted with it; run `rustup component add rustfmt`"
        ),
        Err(error) => Err(error).context("cannot start rustfmt"),
    }
}

/// `rustfmt` follows `mod` declarations, so a folder that has a `mod.rs` stands for all that is in it.
fn roots(sources: &[&mut OutputFile]) -> Vec<PathBuf> {
    let modules: BTreeSet<&Path> = sources
        .iter()
        .filter(|file| file.path.file_name().is_some_and(|name| name == "mod.rs"))
        .filter_map(|file| file.path.parent())
        .collect();
    let is_root = |path: &Path| {
        let is_module = path.file_name().is_some_and(|name| name == "mod.rs");
        // A `mod.rs` belongs to the folder above its own.
        path.ancestors().skip(if is_module { 2 } else { 1 }).all(|folder| !modules.contains(folder))
    };
    sources.iter().filter(|file| is_root(&file.path)).map(|file| file.path.clone()).collect()
}

fn is_rust(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "rs")
}

/// A folder that goes when it is no longer needed.
struct Folder(PathBuf);

impl Folder {
    fn create() -> Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("flightdeck-codegen-{}-{count}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_is_formatted_through_its_root() {
        let mut files = [
            OutputFile::new("a/src/mod.rs", "pub   mod one;\npub mod two;\n".to_owned()),
            OutputFile::new("a/src/one.rs", "pub fn  one( ){}".to_owned()),
            OutputFile::new("a/src/two/mod.rs", "pub fn  two( ){}".to_owned()),
            OutputFile::new("a/alone.rs", "pub fn  alone( ){}".to_owned()),
            OutputFile::new("a/data.json", "{ }".to_owned()),
        ];
        format(&mut files).expect("it is valid Rust");
        let contents: Vec<&str> = files.iter().map(|file| file.contents.as_str()).collect();
        let expected =
            ["pub mod one;\npub mod two;\n", "pub fn one() {}\n", "pub fn two() {}\n", "pub fn alone() {}\n", "{ }"];
        assert_eq!(contents, expected);
    }

    #[test]
    fn a_broken_file_is_a_fault_of_a_template() {
        let mut files = [OutputFile::new("broken.rs", "fn (".to_owned())];
        let error = format(&mut files).expect_err("it is not valid Rust");
        assert!(error.to_string().starts_with("rustfmt refused the generated code"), "{error}");
    }
}
