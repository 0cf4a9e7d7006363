//! Putting changes in, taking them out, and what a crash leaves.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::{Place, applied, changed, numbered, only, request, run, two_hunks};
use crate::service::repo::{Apply, ApplyError, RepoError};

#[tokio::test]
async fn some_of_it_is_committed_and_the_rest_is_not() {
    let place = Place::new();
    let diff = two_hunks(&place).await;
    let base = place.git(&["rev-parse", "HEAD"]);
    let asked = Apply { select: only("kept.txt", &[1]), branch: Some("main".to_owned()), ..request(&diff) };
    let receipt = applied(&place, asked).await.expect("applied");
    assert_eq!((receipt.base.clone(), receipt.branch.as_deref()), (base, Some("main")));
    assert_eq!(receipt.commit, place.git(&["rev-parse", "HEAD"]));
    assert_eq!(place.read("kept.txt"), numbered(1..=60).replace("line 50\n", "line fifty\n"));
    assert_eq!(place.git(&["status", "--porcelain"]), "");
    assert_eq!(place.git(&["log", "-1", "--format=%B"]).trim(), "Applied\n\nFlightdeck-Task: one");
    let found = place.repository().find_commit(None, "Flightdeck-Task", "one").await;
    assert_eq!(found, Ok(Some((receipt.commit.clone(), receipt.base.clone()))));
    assert_eq!(place.repository().find_commit(None, "Flightdeck-Task", "on").await, Ok(None));
    // The rest goes on top of it.
    let asked = Apply { select: [only("kept.txt", &[0]), only("new/file.txt", &[])].concat(), ..request(&diff) };
    applied(&place, asked).await.expect("applied");
    assert_eq!((place.read("new/file.txt").as_str(), place.git(&["status", "--porcelain"]).as_str()), ("new\n", ""));
    assert!(place.read("kept.txt").contains("line three\nand more\n"));
}

#[tokio::test]
async fn what_the_person_has_staged_and_changed_stays() {
    let place = Place::new();
    place.write("third.txt", "third\n");
    place.commit("Third");
    let diff = two_hunks(&place).await;
    place.write("other.txt", "staged\n");
    place.write("added.txt", "added\n");
    place.git(&["add", "other.txt", "added.txt"]);
    place.write("other.txt", "staged, and changed again\n");
    place.write("untracked.txt", "untracked\n");
    fs::remove_file(place.top().join("third.txt")).expect("removed");
    place.git(&["rm", "-q", "--cached", "third.txt"]);
    let before = (place.git(&["status", "--porcelain"]), place.git(&["diff"]), place.git(&["diff", "--cached"]));
    applied(&place, request(&diff)).await.expect("applied");
    assert_eq!(place.git(&["diff-tree", "-r", "--name-only", "HEAD^", "HEAD"]), "kept.txt\nnew/file.txt");
    let after = (place.git(&["status", "--porcelain"]), place.git(&["diff"]), place.git(&["diff", "--cached"]));
    assert_eq!(after, before);
}

#[tokio::test]
async fn what_does_not_apply_is_named_and_changes_nothing() {
    let place = Place::new();
    let diff = two_hunks(&place).await;
    place.write("kept.txt", numbered(1..=60).replace("line 49\n", "another 49\n"));
    place.commit("In the way");
    let before = place.state();
    let Err(ApplyError::Conflict { file, hunk, .. }) = applied(&place, request(&diff)).await else { panic!("applied") };
    assert_eq!((file.as_str(), hunk), ("kept.txt", Some(1)));
    assert_eq!(place.state(), before);
    applied(&place, Apply { select: only("kept.txt", &[0]), ..request(&diff) }).await.expect("the other applies");
}

#[tokio::test]
async fn a_file_that_the_person_has_changed_is_a_conflict() {
    let place = Place::new();
    let diff = two_hunks(&place).await;
    for (file, staged) in [("kept.txt", false), ("kept.txt", true), ("new/file.txt", false), ("new/file.txt", true)] {
        place.write(file, numbered(1..=61));
        if staged {
            place.git(&["add", "-A"]);
        }
        let before = place.state();
        let Err(ApplyError::Conflict { file: named, .. }) = applied(&place, request(&diff)).await else {
            panic!("{file} applied")
        };
        assert_eq!((named.as_str(), place.state()), (file, before));
        place.git(&["reset", "-q", "--hard"]);
        place.git(&["clean", "-fdq"]);
    }
    // Staged, and taken back in the file only.
    place.write("kept.txt", "staged\n");
    place.git(&["add", "-A"]);
    place.write("kept.txt", numbered(1..=60));
    assert!(matches!(applied(&place, request(&diff)).await, Err(ApplyError::Conflict { .. })));
}

#[tokio::test]
async fn hooks_run_and_may_refuse() {
    let place = Place::new();
    let diff = two_hunks(&place).await;
    place.write("other.txt", "changed\n");
    let before = place.state();
    place.hook("pre-commit", "git diff --cached --name-only; echo 'not like this' >&2; exit 1");
    let Err(ApplyError::Hook { said }) = applied(&place, request(&diff)).await else { panic!("applied") };
    assert!(said.contains("not like this"), "{said}");
    assert_eq!(place.state(), before);
    // It sees what is to be committed, and the files as they will be.
    place.hook(
        "pre-commit",
        "test \"$(git diff --cached --name-only | tr '\\n' ,)\" = kept.txt,new/file.txt, && grep -q fifty kept.txt",
    );
    place.hook("commit-msg", "echo 'Checked: yes' >> \"$1\"");
    applied(&place, request(&diff)).await.expect("applied");
    assert!(place.git(&["log", "-1", "--format=%B"]).contains("Checked: yes"));
    assert_eq!(place.git(&["status", "--porcelain"]), " M other.txt");
}

#[tokio::test]
async fn what_a_hook_adds_is_in_the_index_too() {
    let place = Place::new();
    let diff = two_hunks(&place).await;
    place.hook("pre-commit", "echo formatted >> new/file.txt && git add new/file.txt");
    applied(&place, request(&diff)).await.expect("applied");
    assert_eq!(place.git(&["show", "HEAD:new/file.txt"]), "new\nformatted");
    assert_eq!(place.git(&["status", "--porcelain"]), "");
}

#[tokio::test]
async fn another_git_or_an_unfinished_merge_is_busy() {
    let place = Place::new();
    let diff = two_hunks(&place).await;
    place.write(".git/index.lock", "");
    assert!(matches!(applied(&place, request(&diff)).await, Err(ApplyError::Busy(_))));
    assert!(place.top().join(".git/index.lock").exists(), "another's lock was taken away");
    fs::remove_file(place.top().join(".git/index.lock")).expect("removed");
    place.write(".git/MERGE_HEAD", place.git(&["rev-parse", "HEAD"]));
    assert!(matches!(applied(&place, request(&diff)).await, Err(ApplyError::Busy(_))));
}

#[tokio::test]
async fn what_is_asked_for_must_be_there() {
    let place = Place::new();
    let diff = two_hunks(&place).await;
    for (file, hunks, hunk) in
        [("none", vec![], None), ("kept.txt", vec![0, 2], Some(2)), ("new/file.txt", vec![1], Some(1))]
    {
        let asked = Apply { select: only(file, &hunks), ..request(&diff) };
        let unknown = ApplyError::SelectionUnknown { file: file.to_owned(), hunk };
        assert_eq!(applied(&place, asked).await, Err(unknown));
    }
    let asked = Apply { branch: Some("side".to_owned()), ..request(&diff) };
    let found = Some("main".to_owned());
    assert_eq!(applied(&place, asked).await, Err(ApplyError::OtherBranch { expected: "side".to_owned(), found }));
    let mut empty = diff.clone();
    empty.files.clear();
    assert_eq!(applied(&place, request(&empty)).await, Err(ApplyError::NothingToApply));
    assert_eq!(
        applied(&place, Apply { message: " ".to_owned(), ..request(&diff) }).await,
        Err(ApplyError::Unfit("message"))
    );
}

#[tokio::test]
async fn who_commits_is_known() {
    let place = Place::new();
    let diff = two_hunks(&place).await;
    place.git(&["config", "--unset", "user.name"]);
    place.git(&["config", "--unset", "user.email"]);
    let author = Some(("Ann".to_owned(), "ann@localhost".to_owned()));
    applied(&place, Apply { author, ..request(&diff) }).await.expect("applied");
    let people = place.git(&["log", "-1", "--format=%an %ae %cn"]);
    // The one who runs the tests may be known to git.
    assert!(people.starts_with("Ann ann@localhost "), "{people}");
}

#[tokio::test]
async fn several_at_once_take_turns() {
    let place = Place::new();
    let diff = two_hunks(&place).await;
    let parts = [only("kept.txt", &[0]), only("kept.txt", &[1]), only("new/file.txt", &[0])];
    let all = parts.map(|select| applied(&place, Apply { select, ..request(&diff) }));
    for done in futures_util::future::join_all(all).await {
        done.expect("applied");
    }
    assert_eq!(place.git(&["rev-list", "--count", "HEAD"]), "4");
    assert_eq!(place.git(&["status", "--porcelain"]), "");
}

#[tokio::test]
async fn it_can_be_taken_out_again() {
    let place = Place::new();
    let tree = place.git(&["rev-parse", "HEAD^{tree}"]);
    let diff = changed(&place, || {
        place.write("kept.txt", numbered(5..=60));
        fs::rename(place.top().join("other.txt"), place.top().join("moved.txt")).expect("renamed");
        place.write("deep/er/binary", b"\0\x01");
        fs::set_permissions(place.top().join("deep/er/binary"), fs::Permissions::from_mode(0o755)).expect("its mode");
    })
    .await;
    let receipt = applied(&place, request(&diff)).await.expect("applied");
    let undone = place.repository().revert(&receipt, "Undo", &[]).await.expect("reverted");
    assert_eq!((undone.base, place.git(&["rev-parse", "HEAD^{tree}"])), (receipt.commit.clone(), tree));
    assert_eq!(place.git(&["status", "--porcelain"]), "");
    assert!(!place.top().join("deep").exists());

    let before = place.state();
    let again = place.repository().revert(&receipt, "Undo", &[]).await;
    assert!(matches!(again, Err(ApplyError::Conflict { .. })), "{again:?}");
    assert_eq!(place.state(), before);
    let unknown = crate::service::repo::Receipt { commit: "0".repeat(40), ..receipt };
    let refused = place.repository().revert(&unknown, "Undo", &[]).await;
    assert!(matches!(refused, Err(ApplyError::Repo(RepoError::BaseUnknown(_)))));
}

#[tokio::test]
async fn filters_and_line_ends_are_the_persons() {
    let place = Place::new();
    place.git(&["config", "filter.up.clean", "tr a-z A-Z"]);
    place.git(&["config", "filter.up.smudge", "tr A-Z a-z"]);
    place.write(".gitattributes", "*.up filter=up\n*.crlf text eol=crlf\n");
    place.commit("Attributes");
    let diff = changed(&place, || {
        place.write("x.up", "word\n");
        place.write("x.crlf", "one\r\ntwo\r\n");
        place.write("raw.txt", "one\r\ntwo\r\n");
    })
    .await;
    applied(&place, request(&diff)).await.expect("applied");
    assert_eq!((place.git(&["show", "HEAD:x.up"]).as_str(), place.read("x.up").as_str()), ("WORD", "word\n"));
    assert_eq!((place.read("x.crlf").as_str(), place.read("raw.txt").as_str()), ("one\r\ntwo\r\n", "one\r\ntwo\r\n"));
    assert_eq!(place.git(&["status", "--porcelain"]), "");
    assert!(run(&place.top(), &["fsck", "--strict"]).status.success());
}
