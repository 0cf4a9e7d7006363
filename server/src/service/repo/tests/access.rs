//! Which folders can be opened, and what lies in wait in them.

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{Place, git};
use crate::service::repo::beneath;
use crate::service::repo::{Allowlist, RepoError};

#[test]
fn only_what_is_listed_opens() {
    let place = Place::new();
    let path = place.top().display().to_string();
    assert!(matches!(Allowlist::new(Vec::new()).open(&path), Err(RepoError::NotAllowed(_))));
    assert!(Allowlist::everything().open(&path).is_ok());
    assert!(Allowlist::new(vec![place.beside("")]).open(&path).is_ok());
    assert!(matches!(Allowlist::everything().open("repo"), Err(RepoError::NotAbsolute(_))));
    assert!(matches!(Allowlist::new(vec![place.top()]).open("/etc"), Err(RepoError::NotAllowed(_))));
    // What is not there is told only where one may look.
    assert!(matches!(Allowlist::new(vec![place.top()]).open("/none"), Err(RepoError::NotAllowed(_))));
    assert!(matches!(Allowlist::new(vec![place.top()]).open(&format!("{path}/none")), Err(RepoError::NotFound(_))));
    // A name that begins alike is another folder.
    fs::create_dir(place.beside("repo2")).expect("a folder");
    let alike = format!("{path}2");
    assert!(matches!(Allowlist::new(vec![place.top()]).open(&alike), Err(RepoError::NotAllowed(_))));
    assert!(matches!(Allowlist::everything().open(&alike), Err(RepoError::NotARepository(_))));
}

#[test]
fn links_and_dots_lead_nowhere() {
    let place = Place::new();
    let allowed = place.beside("allowed");
    fs::create_dir(&allowed).expect("a folder");
    symlink(place.top(), allowed.join("link")).expect("a link");
    let list = Allowlist::new(vec![allowed.clone()]);
    for path in ["link", "../repo", "link/../repo", "link/../../none", "./link/."] {
        let path = allowed.join(path).display().to_string();
        assert!(matches!(list.open(&path), Err(RepoError::NotAllowed(_))), "{path}");
    }
    // A file that names git's folder elsewhere does not make that one usable.
    fs::create_dir(allowed.join("pointing")).expect("a folder");
    fs::write(allowed.join("pointing/.git"), format!("gitdir: {}/.git\n", place.top().display())).expect("a file");
    let path = allowed.join("pointing").display().to_string();
    assert!(matches!(list.open(&path), Err(RepoError::NotAllowed(_))));
    assert!(Allowlist::everything().open(&path).is_ok());
}

#[tokio::test]
async fn a_repository_among_the_files_is_not_entered() {
    let place = Place::new();
    let seen = place.beside("seen");
    git(&place.top(), &["init", "-q", "--bare", "bare"]);
    git(&place.top(), &["init", "-q", "nested"]);
    fs::write(place.top().join("nested/file"), "x\n").expect("a file");
    git(&place.top().join("nested"), &["add", "file"]);
    git(&place.top().join("nested"), &["-c", "user.name=x", "-c", "user.email=x", "commit", "-qm", "x"]);
    // Tracked as a submodule, with a monitor and a filter that would tell of themselves.
    place.git(&["add", "nested"]);
    place.git(&["commit", "-qm", "nested"]);
    let command = format!("touch {}; cat", seen.display());
    git(&place.top().join("nested"), &["config", "core.fsmonitor", &command]);
    git(&place.top().join("nested"), &["config", "filter.x.clean", &command]);
    fs::write(place.top().join("nested/.gitattributes"), "* filter=x\n").expect("a file");
    fs::write(place.top().join("nested/file"), "y\n").expect("a file");
    let bare = place.top().join("bare");
    let opened = Allowlist::everything().open(&bare.display().to_string());
    assert!(matches!(opened, Err(RepoError::NotARepository(_))));
    assert!(matches!(
        Allowlist::everything().open(&place.top().join(".git").display().to_string()),
        Err(RepoError::NotARepository(_))
    ));
    fs::write(place.top().join("kept.txt"), "other\n").expect("a file");
    let diff = place.repository().diff("HEAD").await.expect("a diff");
    assert!(diff.files.iter().any(|file| file.path == "kept.txt"));
    assert!(!diff.files.iter().any(|file| file.path.starts_with("nested")));
    assert!(!seen.exists(), "something of the nested repository was run");
}

#[tokio::test]
async fn one_that_was_moved_is_noticed() {
    let place = Place::new();
    let repository = place.repository();
    fs::rename(place.top(), place.beside("away")).expect("renamed");
    assert!(matches!(repository.diff("HEAD").await, Err(RepoError::Moved(_))));
    symlink(place.beside("away"), place.top()).expect("a link");
    assert!(matches!(repository.diff("HEAD").await, Err(RepoError::Moved(_))));
    assert!(matches!(repository.directory(""), Err(RepoError::Moved(_))));
}

#[test]
fn a_directory_is_within() {
    let place = Place::new();
    place.write("a/b/file", "");
    symlink("a/b", place.top().join("within")).expect("a link");
    symlink("/etc", place.top().join("out")).expect("a link");
    symlink("..", place.top().join("up")).expect("a link");
    let repository = place.repository();
    let whole = place.top().join("a").display().to_string();
    for (given, is) in [("", ""), (".", ""), ("a/b", "a/b"), ("a/../a", "a"), ("within", "a/b"), (&whole, "a")] {
        let directory = repository.directory(given).expect("a folder");
        assert_eq!(directory.path(), place.top().join(is).components().as_path(), "{given}");
        let said = std::process::Command::new("pwd").arg("-P").current_dir(directory.entry()).output().expect("pwd");
        assert_eq!(String::from_utf8_lossy(&said.stdout).trim(), directory.path().to_str().expect("UTF-8"));
    }
    for given in ["..", "out", "up", "a/../..", "/etc", "/", "out/ssl"] {
        assert!(matches!(repository.directory(given), Err(RepoError::OutsideRepository(_))), "{given}");
    }
    for given in ["none", "a/b/file", "a\0b"] {
        assert!(matches!(repository.directory(given), Err(RepoError::NotFound(_))), "{given:?}");
    }
}

#[test]
fn nothing_swapped_meanwhile_leads_outside() {
    let place = Place::new();
    place.write("swapped/in/file", "");
    let outside = place.beside("outside");
    fs::create_dir_all(outside.join("in")).expect("a folder");
    symlink(&outside, place.top().join("link")).expect("a link");
    let repository = place.repository();
    let (stop, top) = (AtomicBool::new(false), place.top());
    let (mut opened, mut refused) = (0, 0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                for (from, to) in [("swapped", "kept"), ("link", "swapped"), ("swapped", "link"), ("kept", "swapped")] {
                    fs::rename(top.join(from), top.join(to)).expect("renamed");
                }
            }
        });
        for _ in 0..2_000 {
            match repository.directory("swapped/in") {
                Ok(directory) => {
                    opened += 1;
                    let inside = beneath::whereabouts(&directory, directory.path()).expect("where it is");
                    assert!(inside.starts_with(&top), "{}", inside.display());
                }
                Err(_) => refused += 1,
            }
            if let Ok(handle) = beneath::walk(repository.top(), "swapped/in".as_ref()) {
                let inside = beneath::whereabouts(&handle, &top).expect("where it is");
                assert!(inside.starts_with(&top), "{}", inside.display());
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert!(opened > 0 && refused > 0, "{opened} opened, {refused} refused: nothing raced");
}

#[tokio::test]
async fn an_index_that_is_no_file_is_refused() {
    let place = Place::new();
    let index = place.top().join(".git/index");
    let repository = place.repository();
    fs::rename(&index, place.beside("index")).expect("renamed");
    symlink(place.beside("index"), &index).expect("a link");
    assert_eq!(repository.diff("HEAD").await, Err(RepoError::IndexRefused));
    fs::remove_file(&index).expect("removed");
    let made = std::process::Command::new("mkfifo").arg(&index).status().expect("mkfifo");
    assert!(made.success());
    assert_eq!(repository.diff("HEAD").await, Err(RepoError::IndexRefused));
}
