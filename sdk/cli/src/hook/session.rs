//! What a session of the agent has open, kept in a small file between its hooks: they are processes that live for
//! milliseconds, and several of them at once.
//!
//! Files are written without waiting for the disk: after a power cut there is no agent whose session it could be.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::config::{Places, create_private_folder};

/// How long a hook waits for another one of the same session to finish with the file. They need less than a
/// millisecond.
const LOCK_PATIENCE: Duration = Duration::from_secs(1);
/// Sessions that nothing happened in for so long are over, whether or not their end was seen.
const KEPT: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// What is open.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Session {
    #[serde(default)]
    pub(crate) calls: Vec<Call>,
    #[serde(default)]
    pub(crate) questions: Vec<Open>,
}

/// A tool call that has begun and not ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Call {
    pub(crate) tool_use_id: String,
    pub(crate) tool: String,
    pub(crate) digest: String,
    /// The sub-agent, if it is not the main one.
    pub(crate) agent: Option<String>,
    /// A question has been asked for it.
    pub(crate) claimed: bool,
}

/// A question that has been asked, until the agent went on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Open {
    pub(crate) approval_id: Uuid,
    pub(crate) tool_use_id: Option<String>,
    pub(crate) digest: String,
    pub(crate) agent: Option<String>,
    /// What the agent was told.
    pub(crate) verdict: Option<Verdict>,
    /// What the model is still to be told beside it.
    pub(crate) note: Option<String>,
}

/// What the agent was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Verdict {
    Approved,
    Denied,
}

/// Where the files of one session are.
#[derive(Debug, Clone)]
pub(crate) struct SessionFiles {
    folder: PathBuf,
    key: String,
}

impl SessionFiles {
    pub(crate) fn new(places: &Places, session_id: &str) -> Self {
        Self::with_key(places, key(session_id))
    }

    /// The files by the key that [`key`](Self::key) gave.
    pub(crate) fn with_key(places: &Places, key: String) -> Self {
        Self { folder: places.sessions_folder(), key }
    }

    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    /// Events to send.
    pub(crate) fn outbox(&self) -> PathBuf {
        self.file("outbox")
    }

    /// Withdrawals and receipts to send.
    pub(crate) fn answers(&self) -> PathBuf {
        self.file("answers")
    }

    /// Held by the process that sends what is in the outbox.
    pub(crate) fn sender_lock(&self) -> PathBuf {
        self.file("sender")
    }

    fn file(&self, extension: &str) -> PathBuf {
        self.folder.join(format!("{}.{extension}", self.key))
    }

    /// Keeps other processes away from the session's files until the result is dropped.
    ///
    /// # Errors
    /// The folder cannot be written, or another process holds on to the files.
    pub(crate) fn lock(&self) -> Result<Locked> {
        create_private_folder(&self.folder)?;
        let path = self.file("lock");
        let lock = open_lock(&path).with_context(|| format!("could not create {}", path.display()))?;
        let end = Instant::now() + LOCK_PATIENCE;
        loop {
            match lock.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if Instant::now() < end => {
                    std::thread::sleep(Duration::from_millis(2));
                }
                Err(TryLockError::WouldBlock) => bail!("{} is held by another process", path.display()),
                Err(TryLockError::Error(error)) => return Err(error).context("could not lock the session's files"),
            }
        }
        let _only_for_pruning = lock.set_modified(SystemTime::now());
        let path = self.file("json");
        // A file that cannot be read is of no use to anybody; the session starts anew.
        let session: Session =
            fs::read(&path).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
        Ok(Locked { _lock: lock, path, before: session.clone(), session })
    }

    /// All sessions that have something to send.
    pub(crate) fn all(places: &Places) -> Vec<Self> {
        let Ok(entries) = fs::read_dir(places.sessions_folder()) else { return Vec::new() };
        let key = |path: &Path| {
            let extension = path.extension()?;
            (extension == "outbox" || extension == "answers").then(|| path.file_stem()?.to_str().map(str::to_owned))?
        };
        let keys: BTreeSet<_> = entries.flatten().filter_map(|entry| key(&entry.path())).collect();
        keys.into_iter().map(|key| Self::with_key(places, key)).collect()
    }

    /// Deletes the files of sessions that are long over.
    pub(crate) fn prune(places: &Places) {
        let Ok(entries) = fs::read_dir(places.sessions_folder()) else { return };
        let Some(oldest) = SystemTime::now().checked_sub(KEPT) else { return };
        let is_old = |path: &Path| {
            let modified = fs::metadata(path).and_then(|metadata| metadata.modified());
            modified.is_ok_and(|modified| modified < oldest)
        };
        for path in entries.flatten().map(|entry| entry.path()) {
            // The lock is touched by every event: as long as it is new, the session is alive.
            let lock = path.with_extension("lock");
            if is_old(&path) && (is_old(&lock) || !lock.exists()) {
                let _another_did = fs::remove_file(path);
            }
        }
    }
}

/// The session's files, and nobody else's at the moment.
#[derive(Debug)]
pub(crate) struct Locked {
    _lock: File,
    path: PathBuf,
    before: Session,
    pub(crate) session: Session,
}

impl Locked {
    /// Writes what has changed.
    pub(crate) fn save(&mut self) -> Result<()> {
        if self.session == self.before {
            return Ok(());
        }
        if self.session == Session::default() {
            match fs::remove_file(&self.path) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
                _ => {}
            }
        } else {
            overwrite(&self.path, &serde_json::to_vec(&self.session)?)?;
        }
        self.before = self.session.clone();
        Ok(())
    }
}

/// Opens a lock file, and makes it where needed.
pub(crate) fn open_lock(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Replaces a file in one step, without waiting for the disk.
pub(crate) fn overwrite(path: &Path, content: &[u8]) -> Result<()> {
    let temporary = path.with_extension("tmp");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(&temporary)?.write_all(content)?;
    Ok(fs::rename(&temporary, path)?)
}

/// A session's id as a file name.
fn key(session_id: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_');
    if session_id.len() <= 80 && session_id.chars().all(plain) {
        session_id.to_owned()
    } else {
        hex::encode(Sha256::digest(session_id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_saved_is_found_by_the_next_process() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let files = SessionFiles::new(&Places::below(folder.path()), "s1");
        let call =
            Call { tool_use_id: "t".into(), tool: "Bash".into(), digest: "d".into(), agent: None, claimed: false };
        let mut locked = files.lock().expect("locks");
        locked.session.calls.push(call.clone());
        locked.save().expect("saves");
        drop(locked);

        let mut locked = files.lock().expect("locks again");
        assert_eq!(locked.session.calls, [call]);
        locked.session = Session::default();
        locked.save().expect("saves");
        assert!(!files.file("json").exists(), "nothing open, no file");
    }

    #[test]
    fn only_one_process_at_a_time() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let files = SessionFiles::new(&Places::below(folder.path()), "s1");
        let held = files.lock().expect("locks");
        assert!(files.lock().is_err());
        drop(held);
        assert!(files.lock().is_ok());
    }

    #[test]
    fn a_damaged_file_is_started_anew() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let files = SessionFiles::new(&Places::below(folder.path()), "s1");
        drop(files.lock().expect("locks"));
        fs::write(files.file("json"), "{oops").expect("writes");
        assert_eq!(files.lock().expect("locks").session, Session::default());
    }

    #[test]
    fn sessions_that_are_long_over_are_deleted_and_others_are_not() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let places = Places::below(folder.path());
        let age = |path: &Path| {
            let old = SystemTime::now() - KEPT - Duration::from_secs(60);
            open_lock(path).and_then(|file| file.set_modified(old)).expect("ages");
        };
        let files = |id: &str| SessionFiles::new(&places, id);
        for id in ["over", "alive"] {
            drop(files(id).lock().expect("locks"));
            age(&files(id).sender_lock());
        }
        age(&files("over").file("lock"));
        // Only the lock is removed first: the rest follows, whatever the order of the folder.
        SessionFiles::prune(&places);
        SessionFiles::prune(&places);
        let left = fs::read_dir(places.sessions_folder()).expect("lists").count();
        assert_eq!(left, 2, "the live session keeps its lock and its sender");
    }

    #[test]
    fn no_session_id_leaves_the_folder() {
        for id in ["../../etc/passwd", "a/b", "a.b", &"x".repeat(500)] {
            assert!(key(id).chars().all(|letter| letter.is_ascii_hexdigit()), "{id}");
        }
        assert_eq!(key("eb098bcf-cf92"), "eb098bcf-cf92");
    }
}
