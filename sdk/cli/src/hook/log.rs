//! A short log on disk. A hook's failures are silent to the agent, so they have to be found somewhere.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::PathBuf;

use crate::config::{Places, create_private_folder};
use crate::term;

/// When the log reaches this size it becomes `hook.log.1`, and a new one begins.
const LARGEST: u64 = 256 * 1024;

/// Writes to the log. Never fails: where it cannot write, there is nobody to tell.
#[derive(Debug, Clone)]
pub(crate) struct Log {
    path: Option<PathBuf>,
}

impl Log {
    pub(crate) fn new(places: &Places) -> Self {
        Self { path: Some(places.hook_log()) }
    }

    /// A log that is on stderr only, where there is no folder for a file.
    pub(crate) fn without_file() -> Self {
        Self { path: None }
    }

    /// Adds a line, and repeats it on stderr, which Claude Code shows only in its debug log.
    pub(crate) fn add(&self, text: &str) {
        let text = term::line(text);
        let mut stderr = std::io::stderr().lock();
        let _nobody_reads = writeln!(stderr, "flightdeck: {text}");
        let _cannot_be_told = self.append(&text);
    }

    fn append(&self, text: &str) -> anyhow::Result<()> {
        let Some(path) = &self.path else { return Ok(()) };
        if let Some(folder) = path.parent() {
            create_private_folder(folder)?;
        }
        if fs::metadata(path).is_ok_and(|metadata| metadata.len() >= LARGEST) {
            fs::rename(path, path.with_extension("log.1"))?;
        }
        let mut options = OpenOptions::new();
        options.append(true).create(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        // One write a line, so that processes do not mix theirs.
        let line = format!("{} [{}] {text}\n", term::now(), std::process::id());
        Ok(options.open(path)?.write_all(line.as_bytes())?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_stays_small_and_on_one_line_an_entry() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let places = Places::below(folder.path());
        let log = Log::new(&places);
        log.append(&term::line("first\nline")).expect("writes");
        assert_eq!(fs::read_to_string(places.hook_log()).expect("reads").lines().count(), 1);
        for _ in 0..40 {
            log.append(&"x".repeat(20_000)).expect("writes");
        }
        let size = |path: PathBuf| fs::metadata(path).expect("exists").len();
        assert!(size(places.hook_log()) < LARGEST + 20_100);
        assert!(size(places.hook_log().with_extension("log.1")) < LARGEST + 20_100);
    }
}
