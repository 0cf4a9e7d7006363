//! What happens to a repository behind a session's back. Whatever it is already, it stays.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use flightdeck_tests::repository::git;

use super::example::RepositoryState;

/// More lines than any answer has.
const TOO_MANY_LINES: usize = 200_001;

pub(super) fn turn(path: &Path, state: RepositoryState) -> Result<()> {
    let inside = |name: &str| path.join(name);
    match state {
        RepositoryState::Clean => Ok(()),
        RepositoryState::Edited => fs::write(inside("hello.txt"), "somebody else's\n"),
        RepositoryState::Refusing => {
            fs::create_dir_all(inside(".git/hooks"))?;
            let script = "#!/bin/sh\necho 'Commits are not welcome here today.' >&2\nexit 1\n";
            fs::write(inside(".git/hooks/pre-commit"), script)?;
            executable(&inside(".git/hooks/pre-commit"))
        }
        RepositoryState::Locked => fs::write(inside(".git/index.lock"), ""),
        RepositoryState::Broken => {
            fs::write(inside(".git/index"), "this is no index")?;
            ensure!(git(path, &["status"]).is_err(), "git can still read the index");
            Ok(())
        }
        RepositoryState::Gone if path.exists() => fs::rename(path, path.with_extension("moved-away")),
        RepositoryState::Gone => Ok(()),
        RepositoryState::Large => {
            let lines: String = (0..TOO_MANY_LINES).map(|number| format!("line {number}\n")).collect();
            fs::write(inside("large.txt"), lines)
        }
    }
    .with_context(|| format!("making {} {state:?}", path.display()))
}

#[cfg(unix)]
fn executable(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
}

#[cfg(not(unix))]
fn executable(_: &Path) -> std::io::Result<()> {
    Ok(())
}
