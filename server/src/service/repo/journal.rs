//! What is kept while a change is put in, so that one that was cut short is undone or finished.
//!
//! It is a folder beside git's own files. Of every file that is touched it has the original, by a hard link: git writes
//! a changed file anew, and leaves the old one as it was. While git works it holds the folder's lock, so that a server
//! that starts anew does not take up what the git of the last one has not ended.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags, flock, linkat, mkdirat, openat, renameat, statat, unlinkat};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::Repository;
use super::beneath::{self, Links};
use super::error::{ApplyError, RepoError};
use super::repository::io as failed;

/// What is in an `index.lock` of ours.
const OURS: &[u8] = b"flightdeck\n";

/// The folder, held.
#[derive(Debug)]
pub(super) struct Journal {
    folder: PathBuf,
    pub(super) lock: File,
}

impl Drop for Journal {
    fn drop(&mut self) {
        // Closing is not enough: a child that is only being started, of whatever kind, has the file too for a moment.
        let _ = flock(&self.lock, FlockOperation::Unlock);
    }
}

/// What was begun.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Begun {
    pub(super) head: String,
    /// The tree that is to be committed.
    pub(super) tree: String,
    pub(super) files: Vec<Kept>,
}

/// A file as it was.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Kept {
    pub(super) path: Vec<u8>,
    /// Whether it was there.
    there: bool,
    /// How many of the folders it is in were there.
    folders: usize,
}

impl Journal {
    /// Takes the folder; another Flightdeck, or a git that one left, may have it.
    pub(super) fn take(repository: &Repository) -> Result<Self, ApplyError> {
        let folder = repository.git_dir().join("flightdeck-apply");
        let made = fs::create_dir_all(folder.join("old"))
            .and_then(|()| OpenOptions::new().create(true).append(true).open(folder.join("lock")));
        let lock = made.map_err(|error| failed("Making a folder for the change", &error))?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive)
            .map_err(|_| ApplyError::Busy("another change is being put in. Try again when it is.".to_owned()))?;
        Ok(Self { folder, lock })
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// What an earlier one began and did not end.
    pub(super) fn begun(&self) -> Option<Begun> {
        serde_json::from_slice(&fs::read(self.file("journal")).ok()?).ok()
    }

    /// Takes git's own lock of the index, so that no other git changes it or the work tree meanwhile.
    pub(super) fn lock_index(repository: &Repository) -> Result<(), ApplyError> {
        let made = OpenOptions::new().write(true).create_new(true).open(repository.git_dir().join("index.lock"));
        match made {
            Ok(mut file) => Ok(file.write_all(OURS).map_err(|error| failed("Locking the index", &error))?),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(ApplyError::Busy(
                "another git is at work in it, or one has died and left `index.lock`. Try again when it has ended, or \
                 remove that file."
                    .to_owned(),
            )),
            Err(error) => Err(failed("Locking the index", &error).into()),
        }
    }

    /// Gives it back, if it is ours.
    pub(super) fn unlock_index(repository: &Repository) {
        let lock = repository.git_dir().join("index.lock");
        let ours = File::open(repository.git_dir())
            .and_then(|folder| beneath::short_text(&folder, "index.lock"))
            .is_ok_and(|text| text.as_bytes() == OURS);
        if ours {
            let _ = fs::remove_file(lock);
        }
    }

    /// Makes the new index the index. In one step, under the lock, so that it is either the old one or the new one.
    pub(super) fn install(&self, repository: &Repository) -> Result<(), RepoError> {
        fs::rename(self.file("index"), repository.git_dir().join("index"))
            .map_err(|error| failed("Writing the index", &error))
    }

    /// Keeps what is there of these paths, and then writes down that it begins.
    pub(super) fn begin(
        &self,
        repository: &Repository,
        head: &str,
        tree: &str,
        paths: &BTreeSet<&[u8]>,
    ) -> Result<Begun, RepoError> {
        let keep = |error: io::Error| failed("Keeping the files as they are", &error);
        let old = File::open(self.file("old")).map_err(keep)?;
        let mut files = Vec::with_capacity(paths.len());
        for (place, path) in paths.iter().enumerate() {
            files.push(kept(repository, path, &old, &place.to_string()).map_err(keep)?);
        }
        let begun = Begun { head: head.to_owned(), tree: tree.to_owned(), files };
        let text = serde_json::to_vec(&begun).map_err(|error| keep(error.into()))?;
        let mut draft = File::create(self.file("draft")).map_err(keep)?;
        draft.write_all(&text).and_then(|()| draft.sync_all()).map_err(keep)?;
        fs::rename(self.file("draft"), self.file("journal")).map_err(keep)?;
        Ok(begun)
    }

    /// Puts back what was kept; all that `is_ours` says was not touched since.
    pub(super) fn put_back(&self, repository: &Repository, begun: &Begun, is_ours: impl Fn(&Kept) -> bool) {
        let Ok(old) = File::open(self.file("old")) else { return };
        for (place, kept) in begun.files.iter().enumerate() {
            if is_ours(kept)
                && let Err(error) = put_back(repository, kept, &old, &place.to_string())
            {
                tracing::warn!(%error, repository = %repository.path().display(), "a file could not be put back");
            }
        }
    }

    /// Forgets it all.
    pub(super) fn end(&self) {
        // The journal first: without it, the rest means nothing.
        for name in ["journal", "draft", "index", "index.lock", "tip", "tip.lock", "patch", "message"] {
            let _ = fs::remove_file(self.file(name));
        }
        let _ = fs::remove_dir_all(self.file("old"));
        let _ = fs::create_dir(self.file("old"));
    }
}

fn kept(repository: &Repository, path: &[u8], old: &File, name: &str) -> io::Result<Kept> {
    let (parent, file) = parted(path)?;
    let folders = parent
        .ancestors()
        .find(|folder| beneath::folder(repository.top(), folder, Links::Refused).is_ok())
        .map_or(0, |folder| folder.components().count());
    let mut kept = Kept { path: path.to_vec(), there: false, folders };
    let Ok(folder) = beneath::folder(repository.top(), parent, Links::Refused) else { return Ok(kept) };
    match statat(&folder, file, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(found) if rustix::fs::FileType::from_raw_mode(found.st_mode).is_dir() => return Ok(kept),
        Err(_) => return Ok(kept),
        Ok(_) => kept.there = true,
    }
    match linkat(&folder, file, old, name, AtFlags::empty()) {
        Ok(()) => {}
        // Git's folder may be on another file system, or the file someone else's.
        Err(Errno::XDEV | Errno::PERM | Errno::MLINK | Errno::OPNOTSUPP) => copied(&folder, file, old, name)?,
        Err(error) => return Err(error.into()),
    }
    Ok(kept)
}

fn put_back(repository: &Repository, kept: &Kept, old: &File, name: &str) -> io::Result<()> {
    let (parent, file) = parted(&kept.path)?;
    if kept.there {
        let folder = made(repository, parent)?;
        return match renameat(old, name, &folder, file) {
            Err(Errno::XDEV) => {
                let _ = unlinkat(&folder, file, AtFlags::empty());
                copied(old, OsStr::new(name), &folder, &file.to_string_lossy())
            }
            done => Ok(done?),
        };
    }
    let Ok(folder) = beneath::folder(repository.top(), parent, Links::Refused) else { return Ok(()) };
    match unlinkat(&folder, file, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => {}
        Err(error) => return Err(error.into()),
    }
    // The folders that were made for it go with it, unless something else came into them.
    for folder in parent.ancestors().filter(|folder| folder.components().count() > kept.folders) {
        let (Some(above), Some(name)) = (folder.parent(), folder.file_name()) else { break };
        let Ok(above) = beneath::folder(repository.top(), above, Links::Refused) else { break };
        if unlinkat(above, name, AtFlags::REMOVEDIR).is_err() {
            break;
        }
    }
    Ok(())
}

/// The folder at this path, with those above it, made where they are gone.
fn made(repository: &Repository, path: &Path) -> io::Result<rustix::fd::OwnedFd> {
    let mut at = beneath::folder(repository.top(), Path::new("."), Links::Refused)?;
    for step in path.components() {
        match mkdirat(&at, step.as_os_str(), Mode::from_raw_mode(0o777)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        at = beneath::folder(&at, Path::new(step.as_os_str()), Links::Refused)?;
    }
    Ok(at)
}

fn copied(from: impl rustix::fd::AsFd, file: &OsStr, to: impl rustix::fd::AsFd, name: &str) -> io::Result<()> {
    let found = statat(&from, file, AtFlags::SYMLINK_NOFOLLOW)?;
    if rustix::fs::FileType::from_raw_mode(found.st_mode).is_symlink() {
        let target = rustix::fs::readlinkat(&from, file, Vec::new())?;
        return Ok(rustix::fs::symlinkat(target, to, name)?);
    }
    let mut read = beneath::plain_file(&from, file)?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let mode = Mode::from_raw_mode(found.st_mode & 0o777);
    let mut written = File::from(openat(to, name, flags, mode)?);
    io::copy(&mut read, &mut written).map(drop)
}

fn parted(path: &[u8]) -> io::Result<(&Path, &OsStr)> {
    let path = Path::new(OsStr::from_bytes(path));
    path.parent().zip(path.file_name()).ok_or_else(|| io::ErrorKind::InvalidInput.into())
}
