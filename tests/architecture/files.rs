//! Files: none too long, each with its first words, generated ones marked.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use flightdeck_tests::spec;
use serde_json::Value;

/// What is checked; everything that people write.
const FOLDERS: [&str; 7] = ["api", "codegen", "migrations", "sdk", "server", "spec", "tests"];

const LONGEST: usize = 600;

/// What `cargo codegen` owns.
const MANIFEST: &str = "codegen/generated.json";

/// A file's path from the root, with forward slashes, and its text.
pub(crate) struct SourceFile {
    pub(crate) path: String,
    pub(crate) text: String,
}

impl SourceFile {
    pub(crate) fn is_rust(&self) -> bool {
        Path::new(&self.path).extension().is_some_and(|extension| extension == "rs")
    }

    fn is_generated(&self) -> bool {
        self.path.split('/').any(|folder| folder == "generated")
    }
}

/// Every source file below a folder of the work tree.
pub(crate) fn files(folder: &str) -> Result<Vec<SourceFile>> {
    let root = spec::root();
    let mut files = Vec::new();
    collect(&root, &root.join(folder), &mut files)?;
    files.sort_by(|left, right| left.path.cmp(&right.path));
    Ok(files)
}

fn collect(root: &Path, folder: &Path, files: &mut Vec<SourceFile>) -> Result<()> {
    for entry in std::fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path.is_dir() {
            if !is_foreign(name) && !is_input(&path, name) {
                collect(root, &path, files)?;
            }
        } else if is_source(&path) {
            let text = std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
            files.push(SourceFile { path: relative(root, &path), text });
        }
    }
    Ok(())
}

/// What other tools made.
fn is_foreign(name: &str) -> bool {
    matches!(name, "target" | "node_modules" | "dist" | "build") || name.starts_with('.')
}

/// What tests read: it is often wrong on purpose.
fn is_input(folder: &Path, name: &str) -> bool {
    let of_tests = folder.parent().is_some_and(|parent| parent.ends_with("tests"));
    of_tests && matches!(name, "specs" | "golden" | "snapshots" | "fixtures")
}

fn is_source(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    matches!(extension, "rs" | "yaml" | "ts" | "tsx" | "kt" | "swift" | "md" | "jinja" | "graphql" | "css" | "html")
}

fn relative(root: &Path, path: &Path) -> String {
    let path: PathBuf = path.strip_prefix(root).unwrap_or(path).into();
    path.to_string_lossy().replace('\\', "/")
}

fn all() -> Result<Vec<SourceFile>> {
    let mut all = Vec::new();
    for folder in FOLDERS {
        all.extend(files(folder)?);
    }
    Ok(all)
}

#[test]
fn no_file_is_too_long() -> Result<()> {
    let long: Vec<_> = all()?
        .into_iter()
        .filter(|file| !file.is_generated())
        .map(|file| (file.text.lines().count(), file.path))
        .filter(|(lines, _)| *lines > LONGEST)
        .collect();
    ensure!(long.is_empty(), "more than {LONGEST} lines: {long:?}; one idea a file");
    Ok(())
}

/// A module begins with what it is for. Modules of unit tests are named after it.
#[test]
fn every_module_says_what_it_is_for() -> Result<()> {
    let silent: Vec<_> = all()?
        .into_iter()
        .filter(|file| file.is_rust() && !file.is_generated() && !file.text.trim_start().starts_with("//!"))
        .map(|file| file.path)
        .filter(|path| !path.contains("/src/tests/"))
        .collect();
    ensure!(silent.is_empty(), "these begin without `//!`: {silent:?}");
    Ok(())
}

#[test]
fn every_generated_file_says_so_and_is_in_the_manifest() -> Result<()> {
    let manifest =
        std::fs::read_to_string(spec::root().join(MANIFEST)).with_context(|| format!("reading {MANIFEST}"))?;
    // Only paths are looked up, so the manifest's form is its own affair.
    let _: Value = serde_json::from_str(&manifest).with_context(|| format!("{MANIFEST} is not JSON"))?;
    let mut faults = Vec::new();
    for file in all()?.into_iter().filter(SourceFile::is_generated).filter(|file| !file.path.starts_with("tests/")) {
        if !file.text.lines().take(3).any(|line| line.contains("@generated")) {
            faults.push(format!("{} does not begin with an @generated line", file.path));
        }
        if !manifest.contains(&format!("\"{}\"", file.path)) {
            faults.push(format!("{} is not in {MANIFEST}: nobody generates it", file.path));
        }
    }
    ensure!(faults.is_empty(), "{}", faults.join("\n"));
    Ok(())
}

#[test]
fn nothing_but_the_house_stands_at_the_root() -> Result<()> {
    const HOUSE: [&str; 12] = [
        "CHANGELOG.md",
        "Cargo.lock",
        "Cargo.toml",
        "LICENSE",
        "README.md",
        "api",
        "codegen",
        "migrations",
        "sdk",
        "server",
        "spec",
        "tests",
    ];
    let mut strangers = Vec::new();
    for entry in std::fs::read_dir(spec::root())? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        // cargo's own, and not under version control.
        if !name.starts_with('.') && name != "target" && !HOUSE.contains(&name.as_str()) {
            strangers.push(name);
        }
    }
    ensure!(strangers.is_empty(), "these do not belong at the root: {strangers:?}");
    Ok(())
}
