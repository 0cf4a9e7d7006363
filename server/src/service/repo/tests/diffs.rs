//! What has changed, of every kind.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use super::{Place, numbered, run};
use crate::service::repo::{Diff, FilePatch, Kind, RepoError};

fn file<'a>(diff: &'a Diff, path: &str) -> &'a FilePatch {
    diff.files.iter().find(|file| file.path == path).unwrap_or_else(|| panic!("{path} in {:?}", diff.files))
}

#[tokio::test]
async fn all_that_can_change_is_seen_and_nothing_is_left_behind() {
    let place = Place::new();
    place.write("gone.txt", "gone\n");
    place.write("moved.txt", numbered(100..=140));
    place.write("mode.sh", "#!/bin/sh\n");
    place.write("binary", b"\0\x01\x02");
    place.write("link.txt", "to be a link\n");
    place.write("folder/inner.txt", "inner\n");
    place.write(".gitignore", "ignored\n");
    place.commit("More");
    fs::remove_file(place.top().join("gone.txt")).expect("removed");
    fs::rename(place.top().join("moved.txt"), place.top().join("moved here.txt")).expect("renamed");
    fs::set_permissions(place.top().join("mode.sh"), fs::Permissions::from_mode(0o755)).expect("its mode");
    fs::remove_file(place.top().join("link.txt")).expect("removed");
    symlink("kept.txt", place.top().join("link.txt")).expect("a link");
    fs::remove_dir_all(place.top().join("folder")).expect("removed");
    symlink(".", place.top().join("folder")).expect("a link");
    fs::remove_file(place.top().join("other.txt")).expect("removed");
    place.write("other.txt/now a folder", "x\n");
    place.write("binary", b"\0\x03");
    place.write("kept.txt", numbered(2..=60).trim_end());
    place.write("empty", "");
    place.write("quoted \"name\"\n", "x\n");
    place.write("ignored", "x\n");
    fs::write(place.top().join(OsStr::from_bytes(b"n\xffm")), "x\n").expect("a file");
    place.git(&["add", "empty"]);
    let before = (place.state(), place.git(&["count-objects"]));

    let repository = place.repository();
    let diff = repository.diff("HEAD").await.expect("a diff");
    assert_eq!((place.state(), place.git(&["count-objects"])), before);
    assert_eq!(diff.base, place.git(&["rev-parse", "HEAD"]));
    assert_eq!(diff, repository.diff("main").await.expect("the same"));

    assert_eq!(file(&diff, "gone.txt").kind, Kind::Deleted);
    let moved = file(&diff, "moved here.txt");
    assert_eq!((moved.kind, moved.old_path.as_deref(), moved.whole), (Kind::Renamed, Some("moved.txt"), true));
    let mode = file(&diff, "mode.sh");
    assert_eq!((mode.old_mode.as_deref(), mode.new_mode.as_deref()), (Some("100644"), Some("100755")));
    assert!(mode.whole && mode.hunks.is_empty());
    assert!(file(&diff, "binary").binary);
    let link = file(&diff, "link.txt");
    assert_eq!((link.kind, link.new_mode.as_deref(), link.whole), (Kind::Modified, Some("120000"), true));
    assert_eq!(file(&diff, "folder/inner.txt").kind, Kind::Deleted);
    assert_eq!(file(&diff, "folder").kind, Kind::Added);
    assert_eq!(file(&diff, "other.txt").kind, Kind::Deleted);
    assert_eq!(file(&diff, "other.txt/now a folder").kind, Kind::Added);
    let kept = file(&diff, "kept.txt");
    assert_eq!(kept.hunks.len(), 2);
    assert_eq!((kept.hunks[0].start_old, kept.hunks[0].len_old, kept.hunks[0].len_new), (1, 4, 3));
    assert_eq!(kept.hunks[0].lines, ["-line 1", " line 2", " line 3", " line 4"]);
    assert_eq!(kept.hunks[1].lines.last().map(String::as_str), Some("\\ No newline at end of file"));
    assert_eq!((file(&diff, "empty").kind, file(&diff, "empty").hunks.len()), (Kind::Added, 0));
    assert_eq!(file(&diff, "quoted \"name\"\n").kind, Kind::Added);
    assert_eq!(file(&diff, "\"n\\377m\"").kind, Kind::Added);
    assert!(!diff.files.iter().any(|file| file.path == "ignored"));
}

#[tokio::test]
async fn what_is_unmerged_is_seen_as_it_lies() {
    let place = Place::new();
    place.git(&["checkout", "-q", "-b", "side"]);
    place.write("other.txt", "theirs\n");
    place.commit("Theirs");
    place.git(&["checkout", "-q", "main"]);
    place.write("other.txt", "ours\n");
    place.commit("Ours");
    assert!(!run(&place.top(), &["merge", "side"]).status.success());
    let diff = place.repository().diff("HEAD").await.expect("a diff");
    assert!(file(&diff, "other.txt").hunks[0].lines.iter().any(|line| line.starts_with("+<<<<<<<")));
    place.write("other.txt", "ours\n");
    assert_eq!(place.repository().diff("HEAD").await.expect("a diff").files, Vec::new());
}

#[tokio::test]
async fn a_base_must_be_a_commit() {
    let place = Place::new();
    for base in ["none", "", "--all", "-p", "HEAD:kept.txt", "a\nb", "HEAD^9"] {
        assert_eq!(place.repository().diff(base).await, Err(RepoError::BaseUnknown(base.to_owned())), "{base}");
    }
}

#[tokio::test]
async fn the_persons_configuration_does_not_change_how_it_is_written() {
    let place = Place::new();
    place.write("kept.txt", numbered(2..=60));
    let plain = place.repository().diff("HEAD").await.expect("a diff");
    for (key, value) in [
        ("diff.noprefix", "true"),
        ("diff.mnemonicPrefix", "true"),
        ("diff.external", "false"),
        ("diff.context", "0"),
        ("core.quotePath", "false"),
        ("color.ui", "always"),
        ("diff.suppressBlankEmpty", "true"),
        ("diff.renames", "false"),
        ("core.fsmonitor", "false; exit 1"),
        ("core.splitIndex", "true"),
    ] {
        place.git(&["config", key, value]);
    }
    assert_eq!(place.repository().diff("HEAD").await.expect("a diff"), plain);
}

#[tokio::test]
async fn a_change_of_the_same_size_and_time_is_seen() {
    let place = Place::new();
    for round in 0..10 {
        // Written as soon after the index as can be.
        place.write("other.txt", format!("othe{round}\n"));
        place.git(&["add", "-A"]);
        place.write("other.txt", format!("othE{round}\n"));
        let diff = place.repository().diff("HEAD").await.expect("a diff");
        assert!(file(&diff, "other.txt").hunks[0].lines.contains(&format!("+othE{round}")), "round {round}");
    }
}
