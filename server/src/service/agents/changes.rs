//! Changes of files, as unified diffs.

use std::path::Path;
use std::time::Duration;

use similar::TextDiff;

use super::clipped;
use super::update::Patch;

/// The longest diff that is told.
const LONGEST: usize = 64 << 10;

/// How long comparing two texts may take. A coarser diff comes of less time.
const PATIENCE: Duration = Duration::from_millis(50);

/// A file's path as a person in `cwd` would write it.
pub(super) fn relative(cwd: &Path, path: &str) -> String {
    let inside = Path::new(path).strip_prefix(cwd).ok().and_then(Path::to_str).filter(|inside| !inside.is_empty());
    inside.unwrap_or(path).to_owned()
}

/// The diff between two texts; a text that is `None` is that of no file.
pub(super) fn between(path: &str, old: Option<&str>, new: Option<&str>) -> String {
    let (before, after) = (old.unwrap_or_default(), new.unwrap_or_default());
    let compared = TextDiff::configure().timeout(PATIENCE).diff_lines(before, after);
    let hunks = compared.unified_diff().to_string();
    let side = |text: Option<&str>, side: char| text.map_or_else(|| "/dev/null".to_owned(), |_| named(side, path));
    format!("--- {}\n+++ {}\n{hunks}", side(old, 'a'), side(new, 'b'))
}

/// A diff of hunks that somebody else made; the file may have moved.
pub(super) fn diff_of(from: &str, to: &str, hunks: &str) -> String {
    let end = if hunks.ends_with('\n') { "" } else { "\n" };
    format!("--- {}\n+++ {}\n{hunks}{end}", named('a', from), named('b', to))
}

fn named(side: char, path: &str) -> String {
    format!("{side}/{}", path.trim_start_matches('/'))
}

/// A change, within its limit.
pub(super) fn patch(path: String, diff: String) -> Patch {
    Patch { path, diff: clipped(diff, LONGEST) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_unified_diffs() {
        let diff = between("a.txt", Some("one\ntwo\n"), Some("one\n2\n"));
        assert_eq!(diff, "--- a/a.txt\n+++ b/a.txt\n@@ -1,2 +1,2 @@\n one\n-two\n+2\n");
        assert_eq!(between("a.txt", None, Some("hi\n")), "--- /dev/null\n+++ b/a.txt\n@@ -0,0 +1 @@\n+hi\n");
        assert_eq!(between("/x/a", Some("hi\n"), None), "--- a/x/a\n+++ /dev/null\n@@ -1 +0,0 @@\n-hi\n");
        assert_eq!(diff_of("a", "c", "@@ -1 +1 @@\n-a\n+b"), "--- a/a\n+++ b/c\n@@ -1 +1 @@\n-a\n+b\n");
    }

    #[test]
    fn paths_are_told_from_where_the_agent_works() {
        let cwd = Path::new("/home/dev/project");
        assert_eq!(relative(cwd, "/home/dev/project/src/a.rs"), "src/a.rs");
        assert_eq!(relative(cwd, "/home/dev/other"), "/home/dev/other");
        assert_eq!(relative(cwd, "/home/dev/project"), "/home/dev/project");
    }

    #[test]
    fn a_long_diff_is_cut_and_soon_there() {
        let lines = |seed: u64| (0..200_000_u64).map(|line| format!("{}\n", (line * seed) % 7919)).collect::<String>();
        let patch = patch("a".to_owned(), between("a", Some(&lines(31)), Some(&lines(37))));
        assert!(patch.diff.len() <= LONGEST && patch.diff.len() > LONGEST - 8);
    }
}
