//! Files that only their owner may read, written so that a crash leaves the old or the new content and nothing
//! between.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use uuid::Uuid;

/// Creates a folder that only its owner may enter; closes one that others may enter.
pub(crate) fn create_private_folder(path: &Path) -> Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).with_context(|| format!("could not create the folder {}", path.display()))?;
    #[cfg(unix)]
    if mode(&fs::metadata(path)?) & 0o077 != 0 {
        let closed = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        fs::set_permissions(path, closed)
            .with_context(|| format!("could not close {} to others; run: chmod 700 {0}", path.display()))?;
    }
    Ok(())
}

/// Reads a file that nobody else may read. `None`: it does not exist.
///
/// # Errors
/// Others may read it: whoever did may have what is in it, so it is refused until the user has looked at it.
pub(crate) fn read_private(path: &Path) -> Result<Option<String>> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("could not read {}", path.display())),
    };
    let metadata = file.metadata().with_context(|| format!("could not read {}", path.display()))?;
    if let Some(fault) = mode_fault(path, &metadata) {
        bail!(fault);
    }
    let mut text = String::new();
    file.read_to_string(&mut text).with_context(|| format!("could not read {}", path.display()))?;
    Ok(Some(text))
}

/// What is wrong with the mode of a file that holds secrets, and how to mend it.
#[cfg_attr(not(unix), expect(unused_variables, reason = "modes exist on Unix only"))]
fn mode_fault(path: &Path, metadata: &fs::Metadata) -> Option<String> {
    #[cfg(unix)]
    if mode(metadata) & 0o077 != 0 {
        return Some(format!(
            "{} holds secrets, but others on this machine can open it (mode {:03o}); run: chmod 600 '{0}' — and pair \
             again if somebody may have read it",
            path.display(),
            mode(metadata) & 0o777,
        ));
    }
    None
}

/// Replaces a file atomically by one that only its owner may read. Creates its folder where needed.
pub(crate) fn write_private(path: &Path, content: &[u8]) -> Result<()> {
    if let Some(folder) = path.parent() {
        create_private_folder(folder)?;
    }
    replace(path, content, None)
}

/// Replaces a file atomically and keeps its mode; a new file gets the usual one. Follows symbolic links, so that a
/// link stays a link.
pub(crate) fn replace_keeping_mode(path: &Path, content: &[u8]) -> Result<()> {
    let target = resolve(path)?;
    if let Some(folder) = target.parent() {
        fs::create_dir_all(folder).with_context(|| format!("could not create the folder {}", folder.display()))?;
    }
    let permissions = match fs::metadata(&target) {
        Ok(metadata) => Some(metadata.permissions()),
        Err(error) if error.kind() == ErrorKind::NotFound => usual_permissions(),
        Err(error) => return Err(error).with_context(|| format!("could not look at {}", target.display())),
    };
    replace(&target, content, permissions)
}

/// Where a path leads in the end, even if the last step does not exist yet.
fn resolve(path: &Path) -> Result<PathBuf> {
    match fs::canonicalize(path) {
        Ok(target) => Ok(target),
        Err(error) if error.kind() == ErrorKind::NotFound => match fs::read_link(path) {
            Ok(link) => Ok(path.parent().unwrap_or(Path::new("")).join(link)),
            Err(_) => Ok(path.to_owned()),
        },
        Err(error) => Err(error).with_context(|| format!("could not follow {}", path.display())),
    }
}

fn replace(path: &Path, content: &[u8], permissions: Option<fs::Permissions>) -> Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = folder.join(format!(".{name}.{}.tmp", Uuid::new_v4().simple()));
    let result = (|| {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&temporary)?;
        if let Some(permissions) = permissions {
            file.set_permissions(permissions)?;
        }
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        // The new name is only safe once the folder is.
        #[cfg(unix)]
        File::open(folder)?.sync_all()?;
        Ok::<(), std::io::Error>(())
    })();
    if result.is_err() {
        let _never_created = fs::remove_file(&temporary);
    }
    result.with_context(|| format!("could not write {}; nothing was changed", path.display()))
}

#[cfg(unix)]
fn mode(metadata: &fs::Metadata) -> u32 {
    std::os::unix::fs::PermissionsExt::mode(&metadata.permissions())
}

#[cfg(unix)]
#[expect(clippy::unnecessary_wraps, reason = "other systems have no answer")]
fn usual_permissions() -> Option<fs::Permissions> {
    Some(std::os::unix::fs::PermissionsExt::from_mode(0o644))
}

#[cfg(not(unix))]
fn usual_permissions() -> Option<fs::Permissions> {
    None
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().expect("a temporary folder")
    }

    fn mode_of(path: &Path) -> u32 {
        fs::metadata(path).expect("the file exists").permissions().mode() & 0o777
    }

    #[test]
    fn a_private_file_and_its_folder_are_closed_to_others() {
        let folder = folder();
        let path = folder.path().join("new/credentials.json");
        write_private(&path, b"{}").expect("writes");
        assert_eq!(mode_of(&path), 0o600);
        assert_eq!(mode_of(&folder.path().join("new")), 0o700);
        assert_eq!(read_private(&path).expect("reads").as_deref(), Some("{}"));
        assert_eq!(fs::read_dir(folder.path().join("new")).expect("lists").count(), 1, "no temporary file is left");
    }

    #[test]
    fn an_open_file_is_refused_with_the_remedy() {
        let folder = folder();
        let path = folder.path().join("credentials.json");
        write_private(&path, b"{}").expect("writes");
        for open in [0o640, 0o604, 0o644] {
            fs::set_permissions(&path, fs::Permissions::from_mode(open)).expect("opens");
            let message = read_private(&path).expect_err("refuses").to_string();
            assert!(message.contains("chmod 600") && message.contains(&format!("{open:o}")), "{message}");
        }
    }

    #[test]
    fn a_missing_file_is_no_error() {
        assert!(read_private(&folder().path().join("none")).expect("reads").is_none());
    }

    #[test]
    fn replacing_follows_links_and_keeps_the_mode() {
        let folder = folder();
        let (target, link) = (folder.path().join("real.json"), folder.path().join("link.json"));
        fs::write(&target, "old").expect("writes");
        fs::set_permissions(&target, fs::Permissions::from_mode(0o640)).expect("sets");
        symlink("real.json", &link).expect("links");
        replace_keeping_mode(&link, b"new").expect("replaces");
        assert_eq!(fs::read_to_string(&target).expect("reads"), "new");
        assert_eq!(mode_of(&target), 0o640);
        assert!(fs::symlink_metadata(&link).expect("exists").is_symlink());
    }

    #[test]
    fn a_dangling_link_is_followed_too() {
        let folder = folder();
        let link = folder.path().join("link.json");
        symlink("later.json", &link).expect("links");
        replace_keeping_mode(&link, b"new").expect("replaces");
        assert_eq!(fs::read_to_string(folder.path().join("later.json")).expect("reads"), "new");
    }
}
