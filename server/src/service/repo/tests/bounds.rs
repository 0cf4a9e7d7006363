//! What is too large, too slow or too much.

use std::time::{Duration, Instant};

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

use super::Place;
use crate::service::repo::git::Git;
use crate::service::repo::{MAX_DIFF_FILES, MAX_DIFF_LINES, RepoError, parse, quote};

#[tokio::test]
async fn a_diff_that_is_too_large_says_how_large() {
    let place = Place::new();
    place.write("long.txt", "x\n".repeat(MAX_DIFF_LINES));
    let Err(RepoError::DiffTooLarge { files: 1, lines, .. }) = place.repository().diff("HEAD").await else {
        panic!("not refused")
    };
    assert!(lines > MAX_DIFF_LINES);
    place.write("long.txt", "");
    for file in 0..MAX_DIFF_FILES {
        place.write(&format!("many/{file}"), "");
    }
    let refused = place.repository().diff("HEAD").await;
    assert!(matches!(refused, Err(RepoError::DiffTooLarge { files, .. }) if files == MAX_DIFF_FILES + 1));
}

#[tokio::test]
async fn git_that_takes_too_long_is_stopped_with_what_it_started() {
    let place = Place::new();
    let repository = place.repository();
    let alias = "alias.wait=!sleep 600 & echo $! >pid.draft; mv pid.draft pid; wait";
    let started = Instant::now();
    let git = Git::new(&repository, "wait").args(["-c", alias, "wait"]).with_hooks(Duration::from_secs(2));
    assert!(matches!(git.output().await, Err(RepoError::TimedOut { what: "wait", .. })));
    assert!(started.elapsed() < Duration::from_secs(30));
    let pid = place.read("pid");
    let status = std::path::PathBuf::from(format!("/proc/{}/stat", pid.trim()));
    let gone = || std::fs::read_to_string(&status).map_or(true, |stat| stat.contains(") Z "));
    while !gone() {
        assert!(started.elapsed() < Duration::from_secs(30), "it still runs");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[test]
fn no_bytes_make_the_parser_panic() {
    let seed = rand::rng().random();
    println_seed(seed);
    let mut random = StdRng::seed_from_u64(seed);
    let pieces: [&[u8]; 14] = [
        b"diff --git a/x b/x\n",
        b"@@ -1,2 +1 @@\n",
        b"@@ -18446744073709551615,18446744073709551615 +0 @@",
        b"@@ -",
        b" @@",
        b"\n",
        b" a\n",
        b"-a\n",
        b"+a\n",
        b"\\ No newline",
        b":100644 100644 aa bb M\tx\n",
        b":0 0 a b R1\t\"\\377\"\ty\n",
        b"GIT binary patch\n",
        b"\"\\4",
    ];
    for _ in 0..20_000 {
        let mut bytes = Vec::new();
        for _ in 0..random.random_range(0..12) {
            if random.random_ratio(1, 8) {
                bytes.push(random.random());
            } else {
                bytes.extend_from_slice(pieces[random.random_range(0..pieces.len())]);
            }
        }
        let _ = (parse::files(&bytes), parse::spans(&bytes), parse::unmerged(&bytes), quote::unquoted(&bytes));
        assert_eq!(quote::named(&quote::shown(&bytes)).as_deref(), Some(bytes.as_slice()), "seed {seed}");
    }
}

/// Shown by a test that fails.
#[allow(clippy::print_stdout, reason = "the seed of a test that fails")]
pub(super) fn println_seed(seed: u64) {
    println!("seed {seed}");
}
