//! Compares a text with a file that is part of the tests. `FLIGHTDECK_BLESS=1` writes the file instead.

use std::fs;
use std::path::{Path, PathBuf};

/// Snapshots that belong to no case in `broken`.
pub(crate) const KNOWN: &[&str] = &["asyncapi.json", "bundle.json", "difference.txt", "ir.json"];

/// The folder of those snapshots.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots")
}

/// Fails where the text is not the file's.
pub(crate) fn check(path: &Path, actual: &str) {
    if std::env::var_os("FLIGHTDECK_BLESS").is_some() {
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).expect("the snapshots' folder can be made");
        }
        fs::write(path, actual).expect("the snapshot can be written");
        return;
    }
    let expected = fs::read_to_string(path).unwrap_or_default();
    if expected != actual {
        let difference = similar::TextDiff::from_lines(&expected, actual);
        panic!(
            "{} differs; if the new text is right, run the test with FLIGHTDECK_BLESS=1\n{}",
            path.display(),
            difference.unified_diff().header("expected", "actual")
        );
    }
}

#[test]
fn no_snapshot_is_left_over() {
    let mut found: Vec<String> = fs::read_dir(folder())
        .expect("there are snapshots")
        .map(|entry| entry.expect("they can be listed").file_name().to_string_lossy().into_owned())
        .collect();
    found.sort();
    assert_eq!(found, KNOWN, "a snapshot that no test compares is no test");
}
