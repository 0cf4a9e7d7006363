//! Which project a folder belongs to, and how it is told from others without naming it.

use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

/// The root of the project: the top of the git work tree, or the folder itself. Git is not run: the hook runner
/// asks on every tool call.
pub(crate) fn root(folder: &Path) -> PathBuf {
    let folder = std::fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
    let top = folder.ancestors().find(|ancestor| ancestor.join(".git").exists());
    top.unwrap_or(&folder).to_owned()
}

/// SHA-256 of the root and the machine's id, in hex. The server learns neither path nor name from it.
pub(crate) fn fingerprint(root: &Path, machine_id: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(root.as_os_str().as_encoded_bytes());
    hash.update([0]);
    hash.update(machine_id);
    hex::encode(hash.finalize())
}

/// What people see: the folder's name and the machine's.
pub(crate) fn display_name(root: &Path) -> String {
    let folder = root.file_name().map_or_else(|| root.to_string_lossy(), |name| name.to_string_lossy());
    let name = match host_name() {
        Some(host) => format!("{folder} on {host}"),
        None => folder.into_owned(),
    };
    name.chars().filter(|letter| !letter.is_control()).take(200).collect()
}

/// The machine's name, without its domain.
pub(crate) fn host_name() -> Option<String> {
    #[cfg(unix)]
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    #[cfg(not(unix))]
    let name = std::env::var("COMPUTERNAME").ok()?;
    let short = name.split('.').next().unwrap_or_default();
    (!short.is_empty()).then(|| short.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_is_the_top_of_the_work_tree_or_the_folder() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let top = folder.path().canonicalize().expect("exists");
        let deep = top.join("repo/src/deep");
        std::fs::create_dir_all(&deep).expect("creates");
        assert_eq!(root(&deep), deep);
        std::fs::create_dir(top.join("repo/.git")).expect("creates");
        assert_eq!(root(&deep), top.join("repo"));
    }

    #[test]
    fn fingerprints_differ_by_project_and_by_machine() {
        let one = fingerprint(Path::new("/a"), "m1");
        assert_eq!(one, fingerprint(Path::new("/a"), "m1"));
        assert_ne!(one, fingerprint(Path::new("/b"), "m1"));
        assert_ne!(one, fingerprint(Path::new("/a"), "m2"));
        assert_eq!(one.len(), 64);
    }
}
