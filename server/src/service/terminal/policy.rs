//! Which commands may run.
//!
//! A command is words, never a line for a shell: `;`, `|` or `$()` are characters of a word like any other. Only what an entry
//! of the list says, word by word, may run; so an entry that names a shell allows that very shell and nothing that looks like it.

use std::ffi::{OsStr, OsString};
use std::os::fd::BorrowedFd;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{Access, AtFlags, FileType, Mode, OFlags, ResolveFlags};
use thiserror::Error;

/// The longest command that is read.
const LONGEST: usize = 8 << 10;

/// A word that ends a command while it is read: a comment, an open quote or a backslash before it would take it along.
const END: &str = "END";

/// The commands that may run.
#[derive(Debug, Clone, Default)]
pub struct CommandPolicy {
    allowed: Vec<Vec<String>>,
}

/// A command that may run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    argv: Vec<String>,
}

/// Why a command may not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Refused {
    #[error("the command is empty; send the whole command, for example `npm test`")]
    Empty,
    #[error("the command is longer than {LONGEST} bytes; put it into a script and allow that in CMD_ALLOWLIST")]
    TooLong,
    #[error("the command has a control character or more than one line; send one line")]
    Control,
    #[error("the command cannot be read: it has a quote that does not end, or a comment")]
    Unreadable,
    #[error(
        "the command is not in this server's CMD_ALLOWLIST, which names each command that may run, with its arguments"
    )]
    NotAllowed,
}

impl CommandPolicy {
    /// Allows what `entries` say, each a whole command; nothing if there are none. An entry that can't be read allows nothing.
    #[must_use]
    pub fn new(entries: Vec<String>) -> Self {
        let read = |entry: String| match words(&entry) {
            Ok(words) => Some(words),
            Err(Refused::Empty) => None,
            Err(problem) => {
                tracing::warn!(entry, %problem, "an entry of CMD_ALLOWLIST allows nothing");
                None
            }
        };
        Self { allowed: entries.into_iter().filter_map(read).collect() }
    }

    /// The words of a command that may run.
    ///
    /// # Errors
    /// If it can't be read, or no entry of the list says just the same.
    pub fn prepare(&self, command: &str) -> Result<Command, Refused> {
        let argv = words(command)?;
        if self.allowed.contains(&argv) { Ok(Command { argv }) } else { Err(Refused::NotAllowed) }
    }
}

impl Command {
    /// The program and its arguments.
    #[must_use]
    pub fn argv(&self) -> &[String] {
        &self.argv
    }

    /// The program, as it was asked for.
    #[must_use]
    pub fn program(&self) -> &str {
        self.argv.first().map_or("", String::as_str)
    }

    /// Where the program is: an absolute path as it is, a name in `path`, and anything else beneath the folder `cwd`, which then
    /// must be the working directory. `None` if there is no such program.
    pub(super) fn locate(&self, path: Option<&OsStr>, cwd: BorrowedFd<'_>) -> Option<PathBuf> {
        let program = Path::new(self.program());
        if program.is_absolute() {
            return is_program(program).then(|| program.to_owned());
        }
        if self.program().contains('/') {
            return is_beneath(program, cwd).then(|| dotted(program));
        }
        // An empty or relative folder of the path would be one of the repository's.
        let folders = std::env::split_paths(path?).filter(|folder| folder.is_absolute()).collect::<Vec<_>>();
        folders.into_iter().map(|folder| folder.join(program)).find(|candidate| is_program(candidate))
    }
}

/// The words of a command, as a POSIX shell would read them.
fn words(text: &str) -> Result<Vec<String>, Refused> {
    let text = text.trim();
    if text.is_empty() {
        return Err(Refused::Empty);
    }
    if text.len() > LONGEST {
        return Err(Refused::TooLong);
    }
    if text.chars().any(char::is_control) {
        return Err(Refused::Control);
    }
    let mut words = shlex::split(&format!("{text} {END}")).ok_or(Refused::Unreadable)?;
    if words.pop().as_deref() != Some(END) {
        return Err(Refused::Unreadable);
    }
    match words.first().map(String::as_str) {
        None => Err(Refused::Unreadable),
        Some("") => Err(Refused::Empty),
        Some(_) => Ok(words),
    }
}

fn is_program(path: &Path) -> bool {
    path.is_file() && rustix::fs::access(path, Access::EXEC_OK).is_ok()
}

/// Whether there is a program in the folder or below, on no way that leads out of it.
fn is_beneath(program: &Path, cwd: BorrowedFd<'_>) -> bool {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    let opened = rustix::fs::openat2(cwd, program, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), resolve);
    let Ok(file) = opened else { return false };
    let is_file =
        rustix::fs::fstat(&file).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile);
    is_file && rustix::fs::accessat(&file, "", Access::EXEC_OK, AtFlags::EMPTY_PATH).is_ok()
}

/// With a `./` at the start, so that it is not looked for in the path.
fn dotted(program: &Path) -> PathBuf {
    match program.components().next() {
        Some(Component::CurDir | Component::ParentDir) => program.to_owned(),
        _ => PathBuf::from(OsString::from("./")).join(program),
    }
}
