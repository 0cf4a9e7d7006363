//! Making a diff, and leaving nothing behind.
//!
//! The work tree is written into a copy of the index, which has git compare by the times it knows instead of reading
//! every file; the objects that takes go to a folder that is thrown away. What is changed is asked of `ls-files` and given
//! to `update-index`: neither looks into a nested repository, where `add` would run that one's filters.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::Path;

use rustix::fs::{AtFlags, FileType, statat};
use sha2::{Digest as _, Sha256};

use super::beneath::{self, Links};
use super::diff::{Diff, FilePatch, MAX_DIFF_BYTES, MAX_DIFF_FILES, MAX_DIFF_LINES};
use super::error::RepoError;
use super::git::{Git, MAX_OUTPUT};
use super::repository::io;
use super::{Repository, locks, parse};

/// How much changed content is looked at before the diff is refused unread.
const MAX_CONTENT: u64 = 256 * 1024 * 1024;

/// How a patch is written, whatever the person's configuration says.
pub(super) const WRITTEN: [&str; 15] = [
    "--raw",
    "-p",
    "--full-index",
    "--binary",
    "--abbrev=64",
    "-M",
    "-U3",
    "--inter-hunk-context=0",
    "--no-color",
    "--no-ext-diff",
    "--no-textconv",
    "--no-relative",
    "--ignore-submodules=dirty",
    "--src-prefix=a/",
    "--dst-prefix=b/",
];

/// A place for what a diff writes.
struct Aside {
    folder: tempfile::TempDir,
    alternates: OsString,
}

impl Aside {
    fn new(repository: &Repository) -> Result<Self, RepoError> {
        let failed = |error: std::io::Error| io("Making a temporary folder", &error);
        let folder = tempfile::Builder::new().prefix("flightdeck-diff-").tempdir().map_err(failed)?;
        std::fs::create_dir(folder.path().join("objects")).map_err(failed)?;
        Ok(Self { folder, alternates: listed(&repository.common().join("objects")) })
    }

    fn git<'a>(&self, repository: &'a Repository, what: &'static str) -> Git<'a> {
        Git::new(repository, what)
            .args(["-c", "core.compression=0", "-c", "core.fsync=none"])
            .index(self.folder.path().join("index"))
            .env("GIT_OBJECT_DIRECTORY", self.folder.path().join("objects"))
            .env("GIT_ALTERNATE_OBJECT_DIRECTORIES", &self.alternates)
    }
}

/// A path for a list that is separated by colons, in quotes where it must be.
fn listed(path: &Path) -> OsString {
    let bytes = path.as_os_str().as_bytes();
    if !bytes.contains(&b':') && !bytes.starts_with(b"\"") {
        return path.as_os_str().to_owned();
    }
    let escaped = bytes.iter().flat_map(|byte| match byte {
        b'"' | b'\\' => vec![b'\\', *byte],
        _ => vec![*byte],
    });
    OsString::from_vec([b'"'].into_iter().chain(escaped).chain([b'"']).collect())
}

impl Repository {
    /// What has changed in the work tree against `base`, with files that git does not know yet, but not with those it is
    /// told to ignore, nor with repositories that lie among the files. Leaves nothing behind.
    pub async fn diff(&self, base: &str) -> Result<Diff, RepoError> {
        let _turn = locks::DIFFS.acquire().await;
        let base = self.commit(base).await?;
        let aside = Aside::new(self)?;
        self.copy_index(&aside.folder.path().join("index"))?;
        self.take_in(&aside).await?;
        let mut written = self.compare(&aside, &base).await?;
        let unmerged = parse::unmerged(&written);
        if !unmerged.is_empty() {
            self.update(&aside, &unmerged, false).await?;
            written = self.compare(&aside, &base).await?;
        }
        made(base, &written)
    }

    async fn compare(&self, aside: &Aside, base: &str) -> Result<Vec<u8>, RepoError> {
        let git = aside.git(self, "compare the work tree").args(["diff-index", "--cached"]).args(WRITTEN);
        git.args([base, "--"]).run().await.map_err(too_large)
    }

    /// Brings the copied index to what is in the work tree.
    async fn take_in(&self, aside: &Aside) -> Result<(), RepoError> {
        let known = aside.git(self, "list what has changed").args(["ls-files", "-z", "-m", "-d"]).run();
        let new = aside.git(self, "list new files").args(["ls-files", "-z", "-o", "--exclude-standard"]).run();
        let (known, new) = tokio::join!(known, new);
        let (known, new) = (known.map_err(too_large)?, new.map_err(too_large)?);
        // A nested repository is listed as a folder.
        let mut names: BTreeSet<&[u8]> = split(&new).filter(|name| !name.ends_with(b"/")).collect();
        let mut gone = Vec::new();
        let mut size = 0;
        names.extend(split(&known));
        let mut taken = Vec::with_capacity(names.len());
        for name in names {
            match look(self, name) {
                Found::Behind => gone.push(name.to_vec()),
                Found::Odd => {}
                Found::Bytes(bytes) => {
                    size += bytes;
                    taken.push(name.to_vec());
                }
            }
        }
        let files = taken.len() + gone.len();
        if files > MAX_DIFF_FILES || size > MAX_CONTENT {
            return Err(RepoError::DiffTooLarge { files, lines: 0, bytes: size });
        }
        self.update(aside, &gone, true).await?;
        self.update(aside, &taken, false).await
    }

    async fn update(&self, aside: &Aside, names: &[Vec<u8>], gone: bool) -> Result<(), RepoError> {
        if names.is_empty() {
            return Ok(());
        }
        let mut input = names.join(&0);
        input.push(0);
        let git = aside.git(self, "read what has changed").args(["update-index", "--add", "--remove", "--replace"]);
        let git = if gone { git.arg("--force-remove") } else { git };
        git.args(["-z", "--stdin"]).input(input).run().await.map(drop)
    }
}

enum Found {
    /// Something that is there or went, and how large it is.
    Bytes(u64),
    /// It would have to be looked for behind a link: git's file is gone.
    Behind,
    /// A pipe, a socket or a device, which git does not keep.
    Odd,
}

fn look(repository: &Repository, name: &[u8]) -> Found {
    let path = Path::new(OsStr::from_bytes(name));
    let (Some(parent), Some(file)) = (path.parent(), path.file_name()) else { return Found::Odd };
    let Ok(folder) = beneath::folder(repository.top(), parent, Links::Refused) else { return Found::Behind };
    match statat(folder, file, AtFlags::SYMLINK_NOFOLLOW) {
        Err(_) => Found::Bytes(0),
        Ok(found) => match FileType::from_raw_mode(found.st_mode) {
            FileType::RegularFile => Found::Bytes(found.st_size.unsigned_abs()),
            FileType::Symlink | FileType::Directory => Found::Bytes(0),
            _ => Found::Odd,
        },
    }
}

fn split(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    list.split(|byte| *byte == 0).filter(|name| !name.is_empty())
}

fn too_large(error: RepoError) -> RepoError {
    match error {
        RepoError::TooMuch { .. } => RepoError::DiffTooLarge { files: 0, lines: 0, bytes: MAX_OUTPUT as u64 },
        other => other,
    }
}

/// The diff that git wrote, if it is not too large.
pub(super) fn made(base: String, written: &[u8]) -> Result<Diff, RepoError> {
    let files = parse::files(written).map_err(|_| RepoError::Git {
        what: "compare the work tree",
        said: "its output could not be read".to_owned(),
    })?;
    let bytes = files.iter().map(|file| file.patch.len() as u64).sum();
    let lines = files.iter().map(|file| file.patch.iter().filter(|byte| **byte == b'\n').count()).sum();
    if files.len() > MAX_DIFF_FILES || lines > MAX_DIFF_LINES || bytes > MAX_DIFF_BYTES {
        return Err(RepoError::DiffTooLarge { files: files.len(), lines, bytes });
    }
    Ok(Diff { base, digest: digest(&files), files })
}

fn digest(files: &[FilePatch]) -> String {
    let mut hash = Sha256::new();
    for file in files {
        hash.update(&file.patch);
    }
    hex::encode(hash.finalize())
}
