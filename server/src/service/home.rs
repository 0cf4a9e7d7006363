//! What tells this server's machine from others that share its database: folders that agents work in are on one of them.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::Path;

use anyhow::Context;
use uuid::Uuid;

/// The home that a data directory stands for. It is made up at the first start, and stays.
///
/// # Errors
/// If the file can't be read or written, or holds something else.
pub fn open(data_dir: &Path) -> anyhow::Result<Uuid> {
    let path = data_dir.join("home");
    let new = Uuid::new_v4();
    match OpenOptions::new().write(true).create_new(true).open(&path) {
        Ok(mut file) => {
            file.write_all(new.to_string().as_bytes()).with_context(|| format!("can't write {}", path.display()))?;
            Ok(new)
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let text = std::fs::read_to_string(&path).with_context(|| format!("can't read {}", path.display()))?;
            text.trim().parse().with_context(|| {
                format!("{} does not hold an id; remove it, and tasks that are under way are given up", path.display())
            })
        }
        Err(error) => Err(error).with_context(|| format!("can't make {}", path.display())),
    }
}
