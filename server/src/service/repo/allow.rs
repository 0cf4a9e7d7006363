//! Which folders may be opened.

use std::path::{Component, Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, openat};

use super::Repository;
use super::beneath::{self, Links};
use super::error::RepoError;

/// The folders in which repositories may be opened.
#[derive(Debug, Clone)]
pub struct Allowlist {
    roots: Vec<PathBuf>,
}

impl Allowlist {
    /// These folders and all below them. None of them: nothing may be opened. A folder that does not exist allows nothing.
    #[must_use]
    pub fn new(roots: Vec<PathBuf>) -> Self {
        Self { roots: roots.into_iter().filter_map(|root| root.canonicalize().ok()).collect() }
    }

    /// Every folder. For development.
    #[must_use]
    pub fn everything() -> Self {
        Self { roots: vec![PathBuf::from("/")] }
    }

    /// Opens the repository whose work tree has its top at `path`. A few calls of the file system; no program is run.
    ///
    /// The path is resolved once, and then opened from the handle of the folder that allows it with no link followed:
    /// what is renamed in between is not found, rather than followed.
    pub fn open(&self, path: &str) -> Result<Repository, RepoError> {
        let given = Path::new(path);
        if !given.is_absolute() {
            return Err(RepoError::NotAbsolute(path.to_owned()));
        }
        let refused = || RepoError::NotAllowed(path.to_owned());
        let Ok(canonical) = given.canonicalize() else {
            // Whether a folder exists is told only of those that may be used.
            let plain = !given.components().any(|step| step == Component::ParentDir);
            return Err(if plain && self.root_of(given).is_some() {
                RepoError::NotFound(path.to_owned())
            } else {
                refused()
            });
        };
        let (root, rest) = self.root_of(&canonical).ok_or_else(refused)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let unreadable = |_| RepoError::NotFound(path.to_owned());
        let held = openat(CWD, root, flags, Mode::empty()).map_err(unreadable)?;
        let top = beneath::folder(held, rest, Links::Refused).map_err(unreadable)?;
        if beneath::whereabouts(&top, &canonical).ok().as_ref() != Some(&canonical) {
            return Err(RepoError::Moved(path.to_owned()));
        }
        Repository::at(top, &canonical, |elsewhere| self.root_of(elsewhere).is_some())
    }

    fn root_of<'a>(&'a self, path: &'a Path) -> Option<(&'a Path, &'a Path)> {
        self.roots.iter().find_map(|root| Some((root.as_path(), path.strip_prefix(root).ok()?)))
    }
}
