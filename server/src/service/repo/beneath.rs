//! Opening folders below a handle, so that nothing renamed meanwhile leads elsewhere.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, openat, statat};
use rustix::io::Errno;

/// How often an opening is tried again that something was renamed under.
const ATTEMPTS: usize = 32;
const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// Whether links within may be followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Links {
    Within,
    Refused,
}

/// Opens the folder `relative` below `root`.
pub(super) fn folder(root: impl AsFd, relative: &Path, links: Links) -> Result<OwnedFd, Errno> {
    let relative = if relative.as_os_str().is_empty() { Path::new(".") } else { relative };
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{ResolveFlags, openat2};
        let mut resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        if links == Links::Refused {
            resolve |= ResolveFlags::NO_SYMLINKS;
        }
        for _ in 0..ATTEMPTS {
            match openat2(&root, relative, FOLDER, Mode::empty(), resolve) {
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(Errno::NOSYS | Errno::PERM) => return walk(root, relative),
                done => return done,
            }
        }
        Err(Errno::AGAIN)
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = (links, ATTEMPTS);
        walk(root, relative)
    }
}

/// The same where the system can not do it in one: one step at a time, and no links at all.
pub(super) fn walk(root: impl AsFd, relative: &Path) -> Result<OwnedFd, Errno> {
    let mut at = openat(root, ".", FOLDER, Mode::empty())?;
    for step in relative.components() {
        match step {
            Component::CurDir => {}
            Component::Normal(name) => at = openat(&at, name, FOLDER | OFlags::NOFOLLOW, Mode::empty())?,
            _ => return Err(Errno::XDEV),
        }
    }
    Ok(at)
}

/// Where a handle is now, as far as the system tells.
#[cfg(target_os = "linux")]
pub(super) fn whereabouts(handle: impl AsFd, _expected: &Path) -> io::Result<PathBuf> {
    std::fs::read_link(entry(handle))
}

#[cfg(not(target_os = "linux"))]
pub(super) fn whereabouts(handle: impl AsFd, expected: &Path) -> io::Result<PathBuf> {
    if is_at(handle, expected) { std::fs::canonicalize(expected) } else { Err(io::ErrorKind::NotFound.into()) }
}

/// The name of a handle for a child that inherits it.
#[cfg(target_os = "linux")]
pub(super) fn entry(handle: impl AsFd) -> PathBuf {
    use std::os::fd::AsRawFd as _;
    PathBuf::from(format!("/proc/self/fd/{}", handle.as_fd().as_raw_fd()))
}

/// Whether the folder at `path`, not one behind a link, is the one held.
pub(super) fn is_at(handle: impl AsFd, path: &Path) -> bool {
    let (Ok(held), Ok(there)) = (rustix::fs::fstat(handle), rustix::fs::lstat(path)) else { return false };
    (held.st_dev, held.st_ino) == (there.st_dev, there.st_ino)
}

/// What is called `name` in `folder`: itself, if it is a link.
pub(super) fn kind(folder: impl AsFd, name: &OsStr) -> Result<FileType, Errno> {
    Ok(FileType::from_raw_mode(statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?.st_mode))
}

/// Opens a plain file for reading; a link, a pipe or a device is refused and never waited for.
pub(super) fn plain_file(folder: impl AsFd, name: &OsStr) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    let file = File::from(openat(folder, name, flags, Mode::empty())?);
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::ErrorKind::InvalidInput.into()) }
}

/// A short plain file's text.
pub(super) fn short_text(folder: impl AsFd, name: &str) -> io::Result<String> {
    let mut text = String::new();
    plain_file(folder, OsStr::new(name))?.take(8 * 1024).read_to_string(&mut text)?;
    Ok(text)
}
