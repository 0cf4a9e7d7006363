//! What tells this server's machine from others that share its database: folders that agents work in are on one of them.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use uuid::Uuid;

/// Servers of one data directory that may run at the same time.
const MOST: usize = 64;

/// A home. One server at a time has it, until this is dropped.
#[derive(Debug)]
pub struct Home {
    pub id: Uuid,
    /// What is in it.
    pub folder: PathBuf,
    /// Locked.
    held: Option<File>,
}

impl Home {
    /// The first home of a data directory that no other server has. It is made up at the first start, and stays.
    ///
    /// # Errors
    /// If it can't be read or written, or holds something else.
    pub fn open(data_dir: &Path) -> anyhow::Result<Self> {
        let homes = data_dir.join("homes");
        std::fs::create_dir_all(&homes).with_context(|| format!("can't make {}", homes.display()))?;
        for number in 1..=MOST {
            let folder = homes.join(number.to_string());
            std::fs::create_dir_all(&folder).with_context(|| format!("can't make {}", folder.display()))?;
            let path = folder.join("id");
            let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
            let mut file = opened.with_context(|| format!("can't open {}", path.display()))?;
            match file.try_lock() {
                Ok(()) => {
                    let id = id_of(&mut file).with_context(|| {
                        format!("{} holds no id; remove it, and tasks that are under way are given up", path.display())
                    })?;
                    return Ok(Self { id, folder, held: Some(file) });
                }
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => {
                    return Err(error).with_context(|| format!("can't lock {}", path.display()));
                }
            }
        }
        anyhow::bail!("{MOST} servers use {} already; FLIGHTDECK_DATA_DIR names another", data_dir.display())
    }

    /// That of a server in which nothing needs one: nothing is ever put into it.
    #[must_use]
    pub fn none(data_dir: &Path) -> Self {
        Self { id: Uuid::new_v4(), folder: data_dir.join("homes"), held: None }
    }
}

/// The id in a file, which gets one if it is empty.
fn id_of(file: &mut File) -> anyhow::Result<Uuid> {
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    if text.is_empty() {
        let id = Uuid::new_v4();
        file.rewind()?;
        file.write_all(id.to_string().as_bytes())?;
        file.sync_all()?;
        return Ok(id);
    }
    Ok(text.trim().parse()?)
}

impl Drop for Home {
    fn drop(&mut self) {
        if let Some(held) = &self.held {
            // By itself it would go only when the last copy is closed, and a program that is just being started has one.
            let _ = held.unlock();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_home_is_found_again_and_is_one_server_s_at_a_time() {
        let folder = tempfile::tempdir().expect("a folder");
        let first = Home::open(folder.path()).expect("a home");
        let other = Home::open(folder.path()).expect("another one");
        assert!(first.id != other.id && first.folder != other.folder);
        let id = first.id;
        drop(first);
        assert_eq!(Home::open(folder.path()).expect("the first").id, id);
        std::fs::write(folder.path().join("homes/1/id"), "nonsense").expect("written");
        assert!(Home::open(folder.path()).is_err());
    }
}
