//! Finds a spec's files in a git revision, without touching the work tree.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};

use super::files::MAX_FILES;
use super::{MAX_FILE_BYTES, Raw, Role};

/// Every file that the spec in `root` had in a revision, by its path relative to the spec.
///
/// # Errors
/// When git is missing, the folder is in no repository, or the revision does not exist or has no such folder.
pub fn find(root: &Path, revision: &str) -> anyhow::Result<BTreeMap<String, Raw>> {
    let commit = format!("{revision}^{{commit}}");
    let commit = run(root, &["rev-parse", "--verify", "--quiet", "--end-of-options", &commit])
        .with_context(|| format!("`{revision}` is neither a folder nor a git revision"))?;
    let commit = String::from_utf8(commit)?.trim().to_owned();
    let listing = run(root, &["ls-tree", "-r", "-z", &commit])?;
    let mut found = BTreeMap::new();
    let mut wanted = Vec::new();
    for line in listing.split(|byte| *byte == 0).filter(|line| !line.is_empty()) {
        let line = String::from_utf8_lossy(line);
        let (description, path) = line.split_once('\t').context("git ls-tree answered in an unknown form")?;
        let mut parts = description.split(' ');
        let (mode, object) = (parts.next().unwrap_or_default(), parts.nth(1).unwrap_or_default());
        match Role::of(path) {
            Role::Ignored => {}
            role if !role.is_read() => {
                found.insert(path.to_owned(), Raw::Unread);
            }
            _ if !mode.starts_with("100") => {
                found.insert(path.to_owned(), Raw::Refused("is a symbolic link".to_owned()));
            }
            _ => wanted.push((path.to_owned(), object.to_owned())),
        }
    }
    if found.len() + wanted.len() > MAX_FILES {
        bail!("the spec has more than {MAX_FILES} files");
    }
    if wanted.is_empty() {
        bail!("revision `{revision}` has no spec in {}", root.display());
    }
    contents(root, &wanted, &mut found)?;
    Ok(found)
}

/// Reads all objects through one `git cat-file --batch`.
fn contents(root: &Path, wanted: &[(String, String)], found: &mut BTreeMap<String, Raw>) -> anyhow::Result<()> {
    let mut child = Command::new("git")
        .current_dir(root)
        .args(["cat-file", "--batch"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start git")?;
    let mut input = child.stdin.take().context("git has no input")?;
    let request: String = wanted.iter().map(|(_, object)| format!("{object}\n")).collect();
    // git answers while it is still being asked: ask from another thread, or both ends fill up and wait.
    let asking = std::thread::spawn(move || input.write_all(request.as_bytes()));
    let mut output = std::io::BufReader::new(child.stdout.take().context("git has no output")?);
    for (path, _) in wanted {
        let size = header_size(&mut output).with_context(|| format!("git cannot read {path}"))?;
        let mut bytes = Vec::new();
        output.by_ref().take(size + 1).read_to_end(&mut bytes)?;
        if bytes.pop() != Some(b'\n') {
            bail!("git cat-file answered in an unknown form");
        }
        let raw = if size > MAX_FILE_BYTES { Raw::Refused("is too large".to_owned()) } else { Raw::Bytes(bytes) };
        found.insert(path.clone(), raw);
    }
    match asking.join() {
        Ok(asked) => asked.context("cannot ask git")?,
        Err(_) => bail!("cannot ask git"),
    }
    child.wait()?;
    Ok(())
}

/// `<object> blob <size>`
fn header_size(output: &mut impl std::io::BufRead) -> anyhow::Result<u64> {
    let mut line = String::new();
    output.read_line(&mut line)?;
    let mut parts = line.trim_end().split(' ');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(_), Some("blob"), Some(size)) => Ok(size.parse()?),
        _ => bail!("it answered `{}`", line.trim_end()),
    }
}

fn run(root: &Path, arguments: &[&str]) -> anyhow::Result<Vec<u8>> {
    let output = Command::new("git").current_dir(root).args(arguments).output().context("cannot start git")?;
    if !output.status.success() {
        let command = arguments.first().unwrap_or(&"");
        let words = String::from_utf8_lossy(&output.stderr);
        match words.trim() {
            "" => bail!("git {command} found nothing"),
            words => bail!("git {command} failed: {words}"),
        }
    }
    Ok(output.stdout)
}
