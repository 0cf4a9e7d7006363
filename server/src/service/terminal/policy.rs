//! Which commands may run.
//!
//! A command is words, never a line for a shell: `;`, `|` or `$()` are characters of a word like any other. Only what an entry
//! of the list says, word by word, may run; so an entry that names a shell allows that very shell and nothing that looks like it.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{Access, FileType, Mode, OFlags, ResolveFlags};
use thiserror::Error;

use crate::service::programs;

/// The longest command that is read.
const LONGEST: usize = 8 << 10;

/// A word that ends a command while it is read: a comment, an open quote or a backslash before it would take it along.
const END: &str = "END";

/// The commands that may run.
#[derive(Debug, Clone, Default)]
pub struct CommandPolicy {
    allowed: Vec<Vec<String>>,
}

/// An entry that is no command.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{entry}` is no command: {problem}")]
pub struct BadEntry {
    entry: String,
    problem: Refused,
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
    /// Allows what `entries` say, each a whole command; nothing if there are none. Empty ones are passed over.
    ///
    /// # Errors
    /// If one can't be read.
    pub fn new(entries: Vec<String>) -> Result<Self, BadEntry> {
        let read = |entry: String| match words(&entry) {
            Ok(words) => Some(Ok(words)),
            Err(Refused::Empty) => None,
            Err(problem) => Some(Err(BadEntry { entry, problem })),
        };
        Ok(Self { allowed: entries.into_iter().filter_map(read).collect::<Result<_, _>>()? })
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
            return programs::is_program(program).then(|| program.to_owned());
        }
        if self.program().contains('/') {
            return is_beneath(program, cwd).then(|| dotted(program));
        }
        programs::find(program.as_os_str(), path)
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

/// Whether there is a program in the folder or below, on no way that leads out of it.
fn is_beneath(program: &Path, cwd: BorrowedFd<'_>) -> bool {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    let opened = rustix::fs::openat2(cwd, program, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), resolve);
    let Ok(file) = opened else { return false };
    let is_file =
        rustix::fs::fstat(&file).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile);
    is_file && rustix::fs::access(format!("/proc/self/fd/{}", file.as_raw_fd()), Access::EXEC_OK).is_ok()
}

/// With a `./` at the start, so that it is not looked for in the path.
fn dotted(program: &Path) -> PathBuf {
    match program.components().next() {
        Some(Component::CurDir | Component::ParentDir) => program.to_owned(),
        _ => PathBuf::from(OsString::from("./")).join(program),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(entries: &[&str]) -> CommandPolicy {
        CommandPolicy::new(entries.iter().map(|entry| (*entry).to_owned()).collect()).expect("commands")
    }

    #[test]
    fn only_what_an_entry_says_may_run() {
        let policy = policy(&["npm test", "go test ./...", "pytest", "zsh -l", "echo 'two words'", " git  status "]);
        for (command, argv) in [
            ("npm test", &["npm", "test"][..]),
            ("  npm test\n", &["npm", "test"]),
            ("npm  test", &["npm", "test"]),
            ("'npm' \"test\"", &["npm", "test"]),
            ("go test ./...", &["go", "test", "./..."]),
            ("zsh -l", &["zsh", "-l"]),
            ("echo \"two words\"", &["echo", "two words"]),
            ("git status", &["git", "status"]),
        ] {
            assert_eq!(policy.prepare(command).expect("it is allowed").argv(), argv, "{command:?}");
        }
        for command in [
            "npm",
            "npm test --",
            "npm test; id",
            "npm test;id",
            "npm test && id",
            "npm test | sh",
            "npm test $(id)",
            "npm test `id`",
            "npm test & id",
            "npm test > x",
            "FOO=1 npm test",
            "npm test # comment x",
            "npm 'test '",
            "npm ''test x",
            "/usr/bin/npm test",
            "./npm test",
            "pytest -p evil",
            "go test -exec id ./...",
            "zsh",
            "zsh -l -c id",
            "bash",
            "sh",
            "echo two words",
            "NPM test",
            "npm te\u{455}t",
            "nрm test",
            "npm\u{a0}test",
            "npm test\u{200b}",
            "npm ${IFS}test",
            "npm tes?",
            "npm {test,x}",
            "~/npm test",
            "!!",
        ] {
            let refused = policy.prepare(command).expect_err(command);
            assert!(matches!(refused, Refused::NotAllowed | Refused::Unreadable), "{command:?}: {refused}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        let policy = policy(&["npm test", "a b", "''"]);
        for (command, why) in [
            ("", Refused::Empty),
            (" \n ", Refused::Empty),
            ("''", Refused::Empty),
            ("npm test\nid", Refused::Control),
            ("npm\ttest", Refused::Control),
            ("npm test\0", Refused::Control),
            ("npm \x1b[Atest", Refused::Control),
            ("npm test\u{85}x", Refused::Control),
            ("npm 'test", Refused::Unreadable),
            ("npm \"test", Refused::Unreadable),
            ("npm test\\", Refused::Unreadable),
            ("npm test #", Refused::Unreadable),
            ("# npm test", Refused::Unreadable),
            (&"x".repeat(1 << 20), Refused::TooLong),
        ] {
            assert_eq!(policy.prepare(command), Err(why), "{:?}", command.get(..20));
        }
    }

    #[test]
    fn an_entry_that_is_no_command_is_named() {
        for entry in ["'open", "two\nlines", "npm test # comment"] {
            let problem = CommandPolicy::new(vec!["true".to_owned(), entry.to_owned()]).expect_err("it is none");
            assert!(problem.to_string().contains(entry), "{problem}");
        }
    }

    #[test]
    fn an_empty_list_allows_nothing() {
        for policy in [policy(&[]), policy(&["", " "])] {
            for command in ["npm test", "", "true", "'open"] {
                assert!(policy.prepare(command).is_err(), "{command:?}");
            }
        }
    }
}
