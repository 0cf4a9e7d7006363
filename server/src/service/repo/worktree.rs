//! Work trees of a repository in which tasks are done, each on a branch of its own.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, openat};

use super::beneath::short_text;
use super::error::RepoError;
use super::git::Git;
use super::repository::io;
use super::{Diff, Repository, locks};

/// A work tree that was made for a task. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Worktree {
    repository: Repository,
    path: PathBuf,
    branch: String,
    base: String,
}

impl Worktree {
    /// The work tree as a repository of its own.
    #[must_use]
    pub fn repository(&self) -> &Repository {
        &self.repository
    }

    /// Its folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The branch that was made for it.
    #[must_use]
    pub fn branch(&self) -> &str {
        &self.branch
    }

    /// The commit it started from.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.base
    }

    /// All that was done in it since its base: committed, staged, or only written.
    pub async fn diff(&self) -> Result<Diff, RepoError> {
        self.repository.diff(&self.base).await
    }
}

/// What a branch is called in full.
const BRANCHES: &str = "refs/heads/";

impl Repository {
    /// Makes a work tree at `folder`, which must not exist, on a new `branch` from `base`. `id` says what it is for, and
    /// is seen in `git worktree list`. Hooks do not run for it.
    pub async fn add_worktree(&self, id: &str, folder: &Path, branch: &str, base: &str) -> Result<Worktree, RepoError> {
        self.check_branch_name(branch).await?;
        let base = self.commit(base).await?;
        let folder = absent(folder)?;
        // Git that makes one reads the notes of all, and fails at one that another is only writing.
        let _turn = locks::turn(&self.common().join("worktrees")).await;
        let reason: String = id.chars().filter(|letter| !letter.is_control()).collect();
        let said = Git::new(self, "make a work tree")
            .args(["-c", "core.hooksPath=/dev/null", "worktree", "add", "--quiet", "--lock", "--reason"])
            .arg(format!("flightdeck {reason}"))
            .args(["-b", branch])
            .arg(&folder)
            .arg(&base)
            .output()
            .await?;
        if said.ok {
            return self.open_worktree(&folder, branch, &base).await;
        }
        if said.stderr.contains("already exists") && said.stderr.contains("branch") {
            return Err(RepoError::BranchExists(branch.to_owned()));
        }
        Err(said.error("make a work tree"))
    }

    /// A work tree that was made before, by an earlier run of the server perhaps. Where git keeps what is its own is found
    /// from this repository, not from what lies in the folder.
    pub async fn open_worktree(&self, folder: &Path, branch: &str, base: &str) -> Result<Worktree, RepoError> {
        let shown = || folder.to_string_lossy().into_owned();
        let path = whole(folder);
        let git_dir = self.notes_of(&path).into_iter().next().ok_or_else(|| RepoError::NotARepository(shown()))?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let top = openat(CWD, &path, flags, Mode::empty()).map_err(|_| RepoError::NotFound(shown()))?;
        let repository = Self::with(top, path.clone(), git_dir, self.common().to_owned())
            .ok_or_else(|| RepoError::NotARepository(shown()))?;
        repository.check()?;
        let base = self.commit(base).await?;
        Ok(Worktree { repository, path, branch: branch.to_owned(), base })
    }

    /// Removes the work tree at `folder` with all that is in it, and git's note of it. One that is gone already, or half
    /// made, is no error. The branch stays.
    pub async fn remove_worktree(&self, folder: &Path) -> Result<(), RepoError> {
        self.check()?;
        let folder = whole(folder);
        // What holds the repository itself is not a work tree for a task, whoever says so.
        let holds = [self.path(), self.common(), self.git_dir()].iter().any(|own| own.starts_with(&folder));
        if holds || !folder.is_absolute() {
            return Err(RepoError::NotAllowed(folder.to_string_lossy().into_owned()));
        }
        let notes = self.notes_of(&folder);
        let removed = tokio::task::spawn_blocking(move || {
            remove(&folder)?;
            notes.iter().try_for_each(|note| remove(note))
        });
        let removed = removed.await.unwrap_or_else(|error| Err(std::io::Error::other(error)));
        removed.map_err(|error| io("Removing a work tree", &error))
    }

    /// Deletes a branch, merged or not. One that does not exist is no error.
    pub async fn delete_branch(&self, name: &str) -> Result<(), RepoError> {
        self.check_branch_name(name).await?;
        let git = Git::new(self, "delete the branch").args(["update-ref", "-d"]);
        git.arg(format!("{BRANCHES}{name}")).run().await.map(drop)
    }

    /// Removes every work tree of this repository below `folder_of_all` that is not in `keep`. Returns which.
    pub async fn sweep(&self, folder_of_all: &Path, keep: &[PathBuf]) -> Result<Vec<PathBuf>, RepoError> {
        let above = folder_of_all.canonicalize().unwrap_or_else(|_| whole(folder_of_all));
        let keep = keep.iter().map(|path| whole(path)).collect::<Vec<_>>();
        let mut swept = Vec::new();
        for (_, folder) in self.notes() {
            if folder != above && folder.starts_with(&above) && !keep.contains(&folder) && !swept.contains(&folder) {
                self.remove_worktree(&folder).await?;
                swept.push(folder);
            }
        }
        Ok(swept)
    }

    /// That a branch can have this name.
    ///
    /// # Errors
    /// `BranchInvalid`, or that git can't say.
    pub async fn check_branch_name(&self, branch: &str) -> Result<(), RepoError> {
        let invalid = || RepoError::BranchInvalid(branch.to_owned());
        if branch.is_empty() || branch.starts_with('-') || branch.contains('\0') {
            return Err(invalid());
        }
        let said = Git::new(self, "check the name").args(["check-ref-format", "--branch", branch]).output().await?;
        // It answers with what a name stands for, such as the branch before this one.
        let same = said.stdout.strip_suffix(b"\n") == Some(branch.as_bytes());
        if said.ok && same { Ok(()) } else { Err(invalid()) }
    }

    /// Git's notes of work trees: the folder of each note, and that of the work tree.
    fn notes(&self) -> Vec<(PathBuf, PathBuf)> {
        let Ok(entries) = fs::read_dir(self.common().join("worktrees")) else { return Vec::new() };
        let notes = entries.filter_map(|entry| {
            let note = entry.ok()?.path();
            let text = short_text(&File::open(&note).ok()?, "gitdir").ok()?;
            Some((note.clone(), whole(note.join(text.trim_end_matches('\n')).parent()?)))
        });
        notes.collect()
    }

    fn notes_of(&self, folder: &Path) -> Vec<PathBuf> {
        self.notes().into_iter().filter(|(_, of)| of == folder).map(|(note, _)| note).collect()
    }
}

/// A path without links above it. What it names itself may be a link: that one is meant, never what it leads to.
fn whole(path: &Path) -> PathBuf {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return path.to_owned() };
    parent.canonicalize().unwrap_or_else(|_| whole(parent)).join(name)
}

/// Where a new work tree is to be, with the folders above it made.
fn absent(folder: &Path) -> Result<PathBuf, RepoError> {
    if !folder.is_absolute() {
        return Err(RepoError::NotAbsolute(folder.to_string_lossy().into_owned()));
    }
    if folder.symlink_metadata().is_ok() {
        return Err(RepoError::Io { what: "Making a work tree", why: "its folder exists already".to_owned() });
    }
    if let Some(parent) = folder.parent() {
        fs::create_dir_all(parent).map_err(|error| io("Making a work tree", &error))?;
    }
    Ok(whole(folder))
}

/// Removes a folder with all in it, also where what worked there took the right to write from itself.
fn remove(folder: &Path) -> std::io::Result<()> {
    match fs::symlink_metadata(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Ok(found) if !found.is_dir() => return fs::remove_file(folder),
        _ => {}
    }
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            open_up(folder)?;
            fs::remove_dir_all(folder)
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

fn open_up(folder: &Path) -> std::io::Result<()> {
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            open_up(&entry.path())?;
        }
    }
    Ok(())
}
