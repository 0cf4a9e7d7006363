//! One at a time for each repository, within this process.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Weak};

use parking_lot::Mutex;
use tokio::sync::{Mutex as Turn, OwnedMutexGuard, Semaphore};

/// How many diffs are made at once, in all repositories.
const DIFFS_AT_ONCE: usize = 4;

pub(super) static DIFFS: Semaphore = Semaphore::const_new(DIFFS_AT_ONCE);

static TURNS: LazyLock<Mutex<HashMap<PathBuf, Weak<Turn<()>>>>> = LazyLock::new(Mutex::default);

/// Waits for the repository whose git folder this is. It is forgotten when nobody has or wants it.
pub(super) async fn turn(git_dir: &Path) -> OwnedMutexGuard<()> {
    let turn = {
        let mut turns = TURNS.lock();
        turns.retain(|_, turn| turn.strong_count() > 0);
        if let Some(turn) = turns.get(git_dir).and_then(Weak::upgrade) {
            turn
        } else {
            let turn = Arc::new(Turn::new(()));
            turns.insert(git_dir.to_owned(), Arc::downgrade(&turn));
            turn
        }
    };
    turn.lock_owned().await
}
