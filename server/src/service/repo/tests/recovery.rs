//! What a server that died in the middle left, the next change takes up.

use std::collections::BTreeSet;
use std::fs;

use super::{Place, applied, numbered, request, two_hunks};
use crate::service::repo::ApplyError;
use crate::service::repo::journal::Journal;

/// As far as the files are written; then committed, if asked for.
async fn half(place: &Place, committed: bool) -> String {
    let diff = two_hunks(place).await;
    let repository = place.repository();
    let journal = Journal::take(&repository).expect("the journal");
    Journal::lock_index(&repository).expect("the lock");
    let patch: Vec<u8> = diff.files.iter().flat_map(|file| file.patch.clone()).collect();
    fs::write(journal.file("patch"), patch).expect("the patch");
    for name in ["tip", "index"] {
        repository.copy_index(&journal.file(name)).expect("an index");
    }
    let path = |name: &str| journal.file(name).display().to_string();
    let run = |index: &str, args: &[&str]| {
        let mut command = std::process::Command::new("git");
        let output =
            command.current_dir(place.top()).args(args).env("GIT_INDEX_FILE", path(index)).output().expect("git");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    run("tip", &["apply", "--cached", &path("patch")]);
    let tree = run("tip", &["write-tree"]);
    let head = place.git(&["rev-parse", "HEAD"]);
    let paths: BTreeSet<&[u8]> = [b"kept.txt".as_slice(), b"new/file.txt"].into();
    journal.begin(&repository, &head, &tree, &paths).expect("begun");
    run("index", &["update-index", "-q", "--refresh"]);
    run("index", &["apply", "--index", &path("patch")]);
    if committed {
        run("tip", &["commit", "-q", "-m", "Landed"]);
    }
    head
}

#[tokio::test]
async fn what_was_not_committed_is_undone() {
    let place = Place::new();
    half(&place, false).await;
    assert!(place.top().join(".git/index.lock").exists());
    let diff = fresh();
    let receipt = applied(&place, request(&diff)).await.expect("applied");
    assert_eq!(place.git(&["rev-list", "--count", "HEAD"]), "2");
    assert_eq!(place.git(&["diff-tree", "-r", "--name-only", &receipt.base, &receipt.commit]), "fresh.txt");
    assert_eq!(place.git(&["status", "--porcelain"]), "");
    assert_eq!(place.read("kept.txt"), numbered(1..=60));
    assert!(!place.top().join("new").exists());
}

#[tokio::test]
async fn what_was_written_since_is_the_persons() {
    let place = Place::new();
    half(&place, false).await;
    place.write("kept.txt", "mine\n");
    applied(&place, request(&fresh())).await.expect("applied");
    assert_eq!(place.read("kept.txt"), "mine\n");
    assert!(!place.top().join("new").exists());
}

#[tokio::test]
async fn what_was_committed_is_finished() {
    let place = Place::new();
    let head = half(&place, true).await;
    assert_ne!(place.git(&["status", "--porcelain"]), "", "the index is behind");
    applied(&place, request(&fresh())).await.expect("applied");
    assert_eq!(place.git(&["rev-parse", "HEAD~2"]), head);
    assert_eq!(place.git(&["status", "--porcelain"]), "");
    assert!(!place.top().join(".git/index.lock").exists());
}

#[tokio::test]
async fn one_that_goes_on_is_waited_for_by_nobody() {
    let place = Place::new();
    let journal = Journal::take(&place.repository()).expect("the journal");
    let refused = applied(&place, request(&fresh())).await;
    assert!(matches!(refused, Err(ApplyError::Busy(_))));
    drop(journal);
    applied(&place, request(&fresh())).await.expect("applied");
}

/// A new file, without a look at the work tree.
fn fresh() -> crate::service::repo::Diff {
    let patch = b"diff --git a/fresh.txt b/fresh.txt\nnew file mode 100644\n--- /dev/null\n+++ b/fresh.txt\n@@ -0,0 +1 @@\n+x\n";
    let file = crate::service::repo::FilePatch {
        path: "fresh.txt".to_owned(),
        old_path: None,
        kind: crate::service::repo::Kind::Added,
        binary: false,
        whole: true,
        old_mode: None,
        new_mode: Some("100644".to_owned()),
        patch: patch.to_vec(),
        hunks: Vec::new(),
    };
    crate::service::repo::Diff { base: String::new(), digest: String::new(), files: vec![file] }
}
