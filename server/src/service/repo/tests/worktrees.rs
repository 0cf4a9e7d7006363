//! Work trees for tasks, and ways in which they are broken.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use super::{Place, git, numbered};
use crate::service::repo::RepoError;

#[tokio::test]
async fn ten_at_once_and_swept() {
    let place = Place::new();
    let ran = place.beside("ran");
    place.hook("post-checkout", &format!("touch {}", ran.display()));
    let (repository, all) = (place.repository(), place.beside("tasks"));
    let names: Vec<String> = (0..10).map(|task| format!("task-{task}")).collect();
    let branches: Vec<String> = names.iter().map(|name| format!("flightdeck/{name}")).collect();
    let made = names.iter().zip(&branches).map(|(name, branch)| {
        let (repository, folder) = (&repository, all.join(name));
        async move { repository.add_worktree(name, &folder, branch, "HEAD").await }
    });
    for made in futures_util::future::join_all(made).await {
        let made = made.expect("a work tree");
        assert_eq!(fs::read_to_string(made.path().join("kept.txt")).expect("a file"), numbered(1..=60));
        assert_eq!(made.diff().await.expect("a diff").files, Vec::new());
    }
    assert!(!ran.exists(), "a hook ran");
    assert_eq!(place.git(&["worktree", "list"]).lines().count(), 11);
    let swept = repository.sweep(&all, &[all.join("task-3")]).await.expect("swept");
    assert_eq!(swept.len(), 9);
    assert_eq!(place.git(&["worktree", "list"]).lines().count(), 2);
    assert!(all.join("task-3/kept.txt").exists() && !all.join("task-4").exists());
}

#[tokio::test]
async fn what_was_committed_there_counts() {
    let place = Place::new();
    let repository = place.repository();
    let worktree = repository.add_worktree("t", &place.beside("t"), "task", "main").await.expect("a work tree");
    fs::write(worktree.path().join("committed"), "x\n").expect("a file");
    git(worktree.path(), &["add", "-A"]);
    git(worktree.path(), &["commit", "-qm", "Work"]);
    fs::write(worktree.path().join("written"), "x\n").expect("a file");
    let diff = worktree.diff().await.expect("a diff");
    assert_eq!(diff.files.iter().map(|file| file.path.as_str()).collect::<Vec<_>>(), ["committed", "written"]);
    // What lies in the folder does not say where git looks.
    fs::write(worktree.path().join(".git"), "gitdir: /nowhere\n").expect("a file");
    assert_eq!(worktree.diff().await.expect("a diff"), diff);
    let again = repository.open_worktree(worktree.path(), "task", worktree.base()).await.expect("a work tree");
    assert_eq!(again.diff().await.expect("a diff"), diff);
    repository.apply(super::request(&diff)).await.expect("applied");
    assert_eq!(place.read("committed"), "x\n");
}

#[tokio::test]
async fn names_that_can_not_be_are_refused() {
    let place = Place::new();
    let repository = place.repository();
    for name in ["", "-b", "a..b", "a b", "@{-1}", "a.lock", "a\nb", "HEAD~1"] {
        let made = repository.add_worktree("t", &place.beside("t"), name, "HEAD").await;
        assert!(matches!(made, Err(RepoError::BranchInvalid(_))), "{name}");
    }
    let made = repository.add_worktree("t", &place.beside("t"), "main", "HEAD").await;
    assert_eq!(made.expect_err("refused"), RepoError::BranchExists("main".to_owned()));
    let made = repository.add_worktree("t", &place.beside("t"), "new", "none").await;
    assert_eq!(made.expect_err("refused"), RepoError::BaseUnknown("none".to_owned()));
    assert!(!place.beside("t").exists());
}

#[tokio::test]
async fn one_is_removed_whatever_became_of_it() {
    let place = Place::new();
    let repository = place.repository();
    let folder = place.beside("t");
    let precious = place.beside("precious");
    fs::create_dir(&precious).expect("a folder");
    fs::write(precious.join("file"), "x\n").expect("a file");
    for fate in 0..5 {
        let made = repository.add_worktree("t", &folder, "task", "HEAD").await.expect("a work tree");
        let note = made.repository().git_dir().to_owned();
        match fate {
            0 => fs::write(folder.join("index.lock"), "").expect("a file"),
            1 => fs::remove_dir_all(&folder).expect("removed"),
            2 => fs::remove_dir_all(&note).expect("removed"),
            3 => {
                fs::create_dir(folder.join("sealed")).expect("a folder");
                fs::write(folder.join("sealed/file"), "").expect("a file");
                fs::set_permissions(folder.join("sealed"), fs::Permissions::from_mode(0o500)).expect("its mode");
            }
            _ => {
                fs::remove_dir_all(&folder).expect("removed");
                symlink(&precious, &folder).expect("a link");
            }
        }
        repository.remove_worktree(&folder).await.expect("removed");
        assert!(folder.symlink_metadata().is_err() && !note.exists(), "fate {fate}");
        repository.delete_branch("task").await.expect("deleted");
        repository.delete_branch("task").await.expect("no error");
        repository.remove_worktree(&folder).await.expect("no error");
    }
    assert!(precious.join("file").exists(), "a link was followed");
    for own in [place.top(), place.beside(""), place.top().join(".git")] {
        assert!(matches!(repository.remove_worktree(&own).await, Err(RepoError::NotAllowed(_))));
    }
    assert!(place.top().join("kept.txt").exists());
}
