//! Random changes, of which random parts are applied; against what git itself makes of the same patch.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

use super::bounds::println_seed;
use super::{Place, git, numbered, request, run};
use crate::service::repo::compose::Change;
use crate::service::repo::{Apply, ApplyError, Diff, Selected};

const ROUNDS: usize = 14;
const NAMES: [&str; 8] =
    ["plain", "with space", "qu\"ote", "new\nline", "ümläut", "deep/er/file", "-dash", "tab\there"];

#[tokio::test]
async fn what_is_applied_is_what_git_makes_of_it() {
    let seed = std::env::var("FLIGHTDECK_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| rand::rng().random());
    println_seed(seed);
    let mut random = StdRng::seed_from_u64(seed);
    let place = Place::new();
    for name in NAMES {
        place.write(name, content(&mut random));
    }
    place.commit("Start");
    let (mut applied, mut conflicts) = (0, 0);
    for round in 0..ROUNDS {
        for _ in 0..random.random_range(1..6) {
            edit(&place, &mut random);
        }
        let diff = place.repository().diff("HEAD").await.expect("a diff");
        place.git(&["reset", "-q", "--hard"]);
        place.git(&["clean", "-fdq"]);
        if random.random_ratio(1, 3) {
            edit(&place, &mut random);
            place.git(&["add", "-A"]);
            place.git(&["commit", "-q", "--allow-empty", "-m", "In the way"]);
        }
        if diff.files.is_empty() {
            continue;
        }
        let select = some(&diff, &mut random);
        let patch = Change::of(&diff, &select).expect("a patch").patch;
        let expected = by_git(&place, &patch);
        let before = place.state();
        match (place.repository().apply(Apply { select: select.clone(), ..request(&diff) }).await, expected) {
            (Ok(_), Some(tree)) => {
                applied += 1;
                assert_eq!(place.git(&["rev-parse", "HEAD^{tree}"]), tree, "seed {seed}, round {round}");
                assert_eq!(place.git(&["status", "--porcelain"]), "", "seed {seed}, round {round}");
            }
            (Err(ApplyError::Conflict { file, hunk, .. }), None) => {
                conflicts += 1;
                let named = select.iter().any(|selected| selected.file == file);
                assert!(named, "seed {seed}, round {round}: {file:?} {hunk:?}");
                assert_eq!(place.state(), before, "seed {seed}, round {round}");
            }
            (Err(ApplyError::NothingToApply), Some(tree)) => {
                assert_eq!(place.git(&["rev-parse", "HEAD^{tree}"]), tree, "seed {seed}, round {round}");
            }
            (got, expected) => panic!("seed {seed}, round {round}: {got:?}, and git {expected:?}"),
        }
    }
    assert!(applied > 0, "seed {seed}: nothing applied, {conflicts} conflicts");
}

/// The tree that git makes of the patch in a copy of the repository.
fn by_git(place: &Place, patch: &[u8]) -> Option<String> {
    let copy = tempfile::tempdir().expect("a temporary folder");
    let (top, file) = (copy.path().join("copy"), copy.path().join("patch"));
    git(copy.path(), &["clone", "-q", "--shared", place.top().to_str().expect("UTF-8"), "copy"]);
    fs::write(&file, patch).expect("the patch");
    let done = run(&top, &["apply", "--index", file.to_str().expect("UTF-8")]);
    done.status.success().then(|| git(&top, &["write-tree"]))
}

fn some(diff: &Diff, random: &mut StdRng) -> Vec<Selected> {
    let mut select = Vec::new();
    for file in &diff.files {
        let hunks = (0..file.hunks.len()).filter(|_| !file.whole && random.random_ratio(1, 2)).collect();
        if random.random_ratio(2, 3) {
            select.push(Selected { file: file.path.clone(), hunks });
        }
    }
    if select.is_empty() {
        select.push(Selected { file: diff.files[0].path.clone(), hunks: Vec::new() });
    }
    select
}

fn content(random: &mut StdRng) -> Vec<u8> {
    let mut text = numbered(1..=random.random_range(0..80));
    match random.random_range(0..6) {
        0 => text = text.replace('\n', "\r\n"),
        1 => text = text.trim_end().to_owned(),
        2 => text.insert(0, '\0'),
        _ => {}
    }
    text.into_bytes()
}

fn edit(place: &Place, random: &mut StdRng) {
    let name = NAMES[random.random_range(0..NAMES.len())];
    let path = place.top().join(name);
    match random.random_range(0..10) {
        0 => drop(fs::remove_file(&path)),
        1 => {
            let to = place.top().join(format!("moved {}", random.random_range(0..3)));
            drop(fs::rename(&path, to));
        }
        2 => mode(&path, if random.random() { 0o755 } else { 0o644 }),
        3 => place.write(name, content(random)),
        4 => place.write(&format!("new {}/{name}", random.random_range(0..3)), content(random)),
        _ => lines(&path, random),
    }
}

fn mode(path: &Path, mode: u32) {
    if path.exists() {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("its mode");
    }
}

/// Changes, adds and takes away lines here and there.
fn lines(path: &Path, random: &mut StdRng) {
    let Ok(text) = fs::read(path) else { return };
    let mut changed = Vec::new();
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        match random.random_range(0..40) {
            0 => changed.extend_from_slice(b"added\n"),
            1 => continue,
            2 => changed.extend_from_slice(b"changed "),
            _ => {}
        }
        changed.extend_from_slice(line);
    }
    fs::write(path, changed).expect("a file");
}
