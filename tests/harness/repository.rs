//! Real git repositories, made fast: git makes one for the whole process, and every other is a copy of its files.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use anyhow::{Context, Result, ensure};

/// A repository with a branch `main`, a README.md, and one commit. Whoever holds its folder removes it.
#[derive(Debug, Clone)]
pub struct Repository {
    path: PathBuf,
}

/// A folder, or a file and what is in it, by its path in the repository.
type Entry = (PathBuf, Option<Vec<u8>>);

impl Repository {
    /// Makes one at a path where nothing is yet.
    ///
    /// # Errors
    /// Git is missing, or the path can't be written to.
    pub fn create(path: impl Into<PathBuf>) -> Result<Self> {
        static TEMPLATE: OnceLock<Result<Vec<Entry>, String>> = OnceLock::new();
        let template = TEMPLATE.get_or_init(|| template().map_err(|error| format!("{error:?}")));
        let entries = template.as_ref().map_err(|error| anyhow::anyhow!("no repository could be made: {error}"))?;
        let path = path.into();
        fs::create_dir_all(&path).with_context(|| format!("making {}", path.display()))?;
        for (name, content) in entries {
            let at = path.join(name);
            match content {
                None => fs::create_dir_all(&at),
                Some(content) => fs::write(&at, content),
            }
            .with_context(|| format!("making {}", at.display()))?;
        }
        Ok(Self { path: path.canonicalize()? })
    }

    /// Where it is, with symbolic links resolved.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The same as text.
    ///
    /// # Panics
    /// Never: its folder has a name in ASCII.
    #[must_use]
    pub fn text(&self) -> &str {
        self.path.to_str().expect("a test's folder has a plain name")
    }

    /// Writes a file, and the folders that it is in.
    ///
    /// # Errors
    /// It can't be written.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> Result<()> {
        let path = self.path.join(name);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(&path, content).with_context(|| format!("writing {}", path.display()))
    }

    /// What is in a file; `None` if there is none.
    #[must_use]
    pub fn read(&self, name: &str) -> Option<String> {
        fs::read(self.path.join(name)).ok().map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Runs git, and gives what it prints without white space at the end.
    ///
    /// # Errors
    /// It fails; the message has what it said.
    pub fn git(&self, arguments: &[&str]) -> Result<String> {
        git(&self.path, arguments)
    }

    /// Commits everything.
    ///
    /// # Errors
    /// Git refuses.
    pub fn commit(&self, message: &str) -> Result<String> {
        self.git(&["add", "--all"])?;
        self.git(&["commit", "--quiet", "--message", message])?;
        self.head()
    }

    /// The commit that is checked out.
    ///
    /// # Errors
    /// Git refuses.
    pub fn head(&self) -> Result<String> {
        self.git(&["rev-parse", "HEAD"])
    }

    /// The messages' first lines, the newest first.
    ///
    /// # Errors
    /// Git refuses.
    pub fn log(&self) -> Result<Vec<String>> {
        Ok(self.git(&["log", "--format=%s"])?.lines().map(str::to_owned).collect())
    }

    /// What is not committed, as `git status --porcelain` says it.
    ///
    /// # Errors
    /// Git refuses.
    pub fn status(&self) -> Result<String> {
        self.git(&["status", "--porcelain", "--untracked-files=all"])
    }

    /// Every branch, and whatever else `refs/` has.
    ///
    /// # Errors
    /// Git refuses.
    pub fn refs(&self) -> Result<Vec<String>> {
        Ok(self.git(&["for-each-ref", "--format=%(refname)"])?.lines().map(str::to_owned).collect())
    }

    /// The folders of its worktrees, its own first.
    ///
    /// # Errors
    /// Git refuses.
    pub fn worktrees(&self) -> Result<Vec<String>> {
        let list = self.git(&["worktree", "list", "--porcelain"])?;
        Ok(list.lines().filter_map(|line| line.strip_prefix("worktree ")).map(str::to_owned).collect())
    }

    /// Whether there is anything of which git would say that somebody else is at work: locks, half a merge.
    ///
    /// # Errors
    /// It can't be read.
    pub fn locks(&self) -> Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        collect(&self.path.join(".git"), &mut |path| {
            if path.extension().is_some_and(|extension| extension == "lock") {
                found.push(path.to_owned());
            }
        })?;
        Ok(found)
    }

    /// A hook that runs before each commit, says something, and fails.
    ///
    /// # Errors
    /// It can't be written.
    pub fn refuse_commits(&self, why: &str) -> Result<()> {
        self.hook("pre-commit", &format!("#!/bin/sh\necho '{why}' >&2\nexit 1\n"))
    }

    /// Writes a hook that git runs.
    ///
    /// # Errors
    /// It can't be written.
    pub fn hook(&self, name: &str, script: &str) -> Result<()> {
        let at = format!(".git/hooks/{name}");
        self.write(&at, script)?;
        executable(&self.path.join(at))
    }
}

/// Runs git in a folder, by no settings but the repository's own.
///
/// # Errors
/// It fails; the message has what it said.
pub fn git(folder: &Path, arguments: &[&str]) -> Result<String> {
    let output = Command::new("git")
        .args(arguments)
        .current_dir(folder)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_TERMINAL_PROMPT", "0")
        .stdin(Stdio::null())
        .output()
        .context("running git")?;
    let Output { status, stdout, stderr } = output;
    ensure!(status.success(), "git {} failed: {}", arguments.join(" "), String::from_utf8_lossy(&stderr));
    Ok(String::from_utf8_lossy(&stdout).trim_end().to_owned())
}

/// The files of a repository that git has made.
fn template() -> Result<Vec<Entry>> {
    let folder = tempfile::tempdir().context("making a folder for a repository")?;
    let run = |arguments: &[&str]| git(folder.path(), arguments);
    run(&["init", "--quiet", "--initial-branch=main", "--template="])?;
    for (name, value) in [
        ("user.name", "Ada"),
        ("user.email", "ada@example.org"),
        ("commit.gpgsign", "false"),
        ("gc.auto", "0"),
        ("maintenance.auto", "false"),
    ] {
        run(&["config", name, value])?;
    }
    fs::write(folder.path().join("README.md"), "# A repository\n\nIt is there to be worked on.\n")?;
    run(&["add", "--all"])?;
    run(&["commit", "--quiet", "--message", "Begin"])?;
    let mut entries = Vec::new();
    collect(folder.path(), &mut |path| {
        let name = path.strip_prefix(folder.path()).unwrap_or(path).to_owned();
        entries.push((name, path.to_owned()));
    })?;
    entries
        .into_iter()
        .map(|(name, path)| Ok((name, if path.is_dir() { None } else { Some(fs::read(path)?) })))
        .collect()
}

/// Everything below a folder, each folder before what is in it.
fn collect(folder: &Path, found: &mut impl FnMut(&Path)) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))? {
        let entry = entry?;
        found(&entry.path());
        if entry.file_type()?.is_dir() {
            collect(&entry.path(), found)?;
        }
    }
    Ok(())
}

#[cfg(unix)]
fn executable(path: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).context("making a hook executable")
}

#[cfg(not(unix))]
fn executable(_: &Path) -> Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_a_repository_of_its_own() {
        let folder = tempfile::tempdir().expect("a folder");
        let [one, other] =
            ["one", "other"].map(|name| Repository::create(folder.path().join(name)).expect("it is made"));
        assert_eq!(one.status().expect("git works"), "");
        one.write("a/b.txt", "b\n").expect("it is written");
        assert_eq!(one.status().expect("git works"), "?? a/b.txt");
        one.commit("Say b").expect("it is committed");
        assert_eq!(one.log().expect("git works"), ["Say b", "Begin"]);
        assert_eq!(other.log().expect("git works"), ["Begin"]);
        assert_eq!(other.refs().expect("git works"), ["refs/heads/main"]);
        assert_eq!(other.worktrees().expect("git works"), [other.text()]);
        assert!(other.locks().expect("it is read").is_empty());
        other.refuse_commits("not today").expect("it is written");
        other.write("c.txt", "c\n").expect("it is written");
        let refused = other.commit("Say c").expect_err("the hook refuses");
        assert!(format!("{refused:#}").contains("not today"), "{refused:#}");
    }
}
