//! Against real git, in repositories of their own.

mod access;
mod applying;
mod bounds;
mod diffs;
mod random;
mod recovery;
mod worktrees;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::{Allowlist, Apply, ApplyError, Diff, Receipt, Repository, Selected};

/// A repository in a folder of its own, with one commit.
pub(super) struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let place = Self { folder: tempfile::tempdir().expect("a temporary folder") };
        fs::create_dir(place.top()).expect("a folder");
        place.git(&["init", "-q", "-b", "main"]);
        place.git(&["config", "user.name", "Person"]);
        place.git(&["config", "user.email", "person@localhost"]);
        place.write("kept.txt", numbered(1..=60));
        place.write("other.txt", "other\n");
        place.commit("First");
        place
    }

    fn top(&self) -> PathBuf {
        self.folder.path().canonicalize().expect("its path").join("repo")
    }

    fn beside(&self, name: &str) -> PathBuf {
        self.folder.path().canonicalize().expect("its path").join(name)
    }

    fn repository(&self) -> Repository {
        Allowlist::new(vec![self.top()]).open(self.top().to_str().expect("UTF-8")).expect("a repository")
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.top().join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("its folder");
        fs::write(path, content).expect("a file");
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.top().join(name)).expect("a file")
    }

    fn git(&self, args: &[&str]) -> String {
        git(&self.top(), args)
    }

    fn commit(&self, message: &str) {
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "-m", message]);
    }

    fn hook(&self, name: &str, script: &str) {
        let path = self.top().join(".git/hooks").join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("the folder of hooks");
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("a hook");
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("its mode");
    }

    /// All that must not change when nothing is applied: files with their modes, the index, and what is checked out.
    fn state(&self) -> Vec<(PathBuf, u32, Vec<u8>)> {
        let mut found = Vec::new();
        listed(&self.top(), &mut found);
        let git = self.top().join(".git");
        found.push((git.join("index"), 0, fs::read(git.join("index")).unwrap_or_default()));
        found.push((git.join("HEAD"), 0, self.git(&["rev-parse", "HEAD", "HEAD^{tree}"]).into_bytes()));
        found.push((git.join("index.lock"), 0, fs::read(git.join("index.lock")).unwrap_or_default()));
        found.sort();
        found
    }
}

fn listed(folder: &Path, found: &mut Vec<(PathBuf, u32, Vec<u8>)>) {
    use std::os::unix::ffi::OsStrExt as _;
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let about = path.symlink_metadata().expect("its metadata");
        if path.file_name() == Some(".git".as_ref()) {
            continue;
        }
        let content = if about.is_symlink() {
            fs::read_link(&path).expect("a link").as_os_str().as_bytes().to_vec()
        } else if about.is_dir() {
            listed(&path, found);
            Vec::new()
        } else {
            fs::read(&path).expect("a file")
        };
        found.push((path, about.permissions().mode(), content));
    }
}

fn run(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new("git");
    command.current_dir(folder).args(args).env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null");
    command.output().expect("git runs")
}

fn git(folder: &Path, args: &[&str]) -> String {
    let output = run(folder, args);
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
}

fn numbered(lines: std::ops::RangeInclusive<u32>) -> String {
    lines.map(|line| format!("line {line}\n")).collect()
}

fn request(diff: &Diff) -> Apply<'_> {
    Apply {
        patches: diff,
        select: Vec::new(),
        message: "Applied".to_owned(),
        trailers: vec![("Flightdeck-Task".to_owned(), "one".to_owned())],
        author: None,
        branch: None,
    }
}

fn only(file: &str, hunks: &[usize]) -> Vec<Selected> {
    vec![Selected { file: file.to_owned(), hunks: hunks.to_vec() }]
}

/// The diff of what `change` does, with the files as they were before it.
async fn changed(place: &Place, change: impl FnOnce()) -> Diff {
    change();
    let diff = place.repository().diff("HEAD").await.expect("a diff");
    place.git(&["reset", "-q", "--hard"]);
    place.git(&["clean", "-q", "-fdx"]);
    diff
}

/// Two hunks in `kept.txt`, and a new file.
async fn two_hunks(place: &Place) -> Diff {
    let text = numbered(1..=60).replace("line 3\n", "line three\nand more\n").replace("line 50\n", "line fifty\n");
    changed(place, || {
        place.write("kept.txt", text);
        place.write("new/file.txt", "new\n");
    })
    .await
}

async fn applied(place: &Place, request: Apply<'_>) -> Result<Receipt, ApplyError> {
    place.repository().apply(request).await
}
