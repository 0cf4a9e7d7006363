//! The specs of the tests, as files in memory.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use flightdeck_codegen::compile::{self, Compilation};
use flightdeck_codegen::lint::Options;
use flightdeck_codegen::source::{Raw, files};

/// Where the specs are.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/specs")
}

/// The files of the sound spec.
pub(crate) fn good() -> BTreeMap<String, Raw> {
    files::find(&folder().join("good")).expect("the good spec can be read")
}

/// Every broken spec by its name, sorted.
pub(crate) fn broken() -> BTreeMap<String, BTreeMap<String, Raw>> {
    let entries = fs::read_dir(folder().join("broken")).expect("there are broken specs");
    entries
        .map(|entry| {
            let folder = entry.expect("they can be listed").path();
            let name = folder.file_name().expect("a folder has a name").to_string_lossy().into_owned();
            (name, overlaid(&folder))
        })
        .collect()
}

/// The good spec with a folder's files on top, without those that its `removed.txt` names.
fn overlaid(folder: &Path) -> BTreeMap<String, Raw> {
    let mut spec = good();
    spec.extend(files::find(folder).expect("a broken spec can be read"));
    let removed = fs::read_to_string(folder.join("removed.txt")).unwrap_or_default();
    for path in removed.lines() {
        assert!(spec.remove(path).is_some(), "{}: {path} is not there to be removed", folder.display());
    }
    spec
}

/// Compiles a spec.
pub(crate) fn compile(files: BTreeMap<String, Raw>) -> Compilation {
    compile::from_files(files, "spec", Options::default())
}

/// Puts a text in the place of another.
pub(crate) fn edit(spec: &mut BTreeMap<String, Raw>, path: &str, edits: &[(&str, &str)]) {
    let Some(Raw::Bytes(bytes)) = spec.get_mut(path) else { panic!("{path} is not there to be edited") };
    let mut text = String::from_utf8(std::mem::take(bytes)).expect("the spec is UTF-8");
    for (from, to) in edits {
        assert!(text.contains(from), "{path} does not contain {from}");
        text = text.replacen(from, to, 1);
    }
    *bytes = text.into_bytes();
}

/// Writes a spec into a folder.
pub(crate) fn write(spec: &BTreeMap<String, Raw>, folder: &Path) {
    for (path, raw) in spec {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().expect("a file is in a folder")).expect("a folder can be made");
        let bytes: &[u8] = if let Raw::Bytes(bytes) = raw { bytes } else { b"{}\n" };
        fs::write(path, bytes).expect("a file can be written");
    }
}
