//! Finding programs on this machine.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use rustix::fs::Access;

/// Whether this is a file that can be run.
pub(super) fn is_program(path: &Path) -> bool {
    path.is_file() && rustix::fs::access(path, Access::EXEC_OK).is_ok()
}

/// The program that a bare name means by a search path. Folders that are not absolute are left out: they would be those of
/// whoever's folder is the current one.
pub(super) fn find(name: &OsStr, path: Option<&OsStr>) -> Option<PathBuf> {
    let folders = std::env::split_paths(path?).filter(|folder| folder.is_absolute());
    let mut candidates = folders.map(|folder| folder.join(name));
    candidates.find(|candidate| is_program(candidate))
}
