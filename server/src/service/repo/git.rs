//! Running git: with what environment, with what bounds, and what became of it.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::OnceLock;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;

use super::Repository;
use super::error::RepoError;
use crate::service::agents::process;
use crate::service::programs;

/// How much git may say.
pub(super) const MAX_OUTPUT: usize = 32 * 1024 * 1024;
/// How much of what git complains of is kept.
const MAX_COMPLAINT: usize = 64 * 1024;
/// How much of it is told.
const MAX_SAID: usize = 400;
/// How long git may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long what a hook left running may keep git's output open.
const LINGER: Duration = Duration::from_secs(1);

/// What git is given of the server's environment. All else may be the server's secrets.
const KEPT: [&str; 10] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "TMPDIR",
    "TZ",
    "XDG_CONFIG_HOME",
    "XDG_RUNTIME_DIR",
    "GNUPGHOME",
    "SSH_AUTH_SOCK",
];
const SET: [(&str, &str); 10] = [
    ("LC_ALL", "C"),
    ("LANG", "C"),
    ("GIT_TERMINAL_PROMPT", "0"),
    ("GIT_OPTIONAL_LOCKS", "0"),
    ("GIT_NO_LAZY_FETCH", "1"),
    ("GIT_EDITOR", "true"),
    ("GIT_PAGER", "cat"),
    ("GIT_LITERAL_PATHSPECS", "1"),
    ("GIT_CEILING_DIRECTORIES", "/"),
    ("GIT_ASKPASS", "true"),
];
/// Nothing of this may start a program, reach out, or change how the output is read. Filters stay: they are the person's
/// own configuration, and without them content would be wrong.
const CONFIG: [&str; 15] = [
    "safe.bareRepository=explicit",
    "core.fsmonitor=false",
    "core.splitIndex=false",
    "core.safecrlf=false",
    "core.quotePath=true",
    "protocol.allow=never",
    "submodule.recurse=false",
    "diff.ignoreSubmodules=dirty",
    "diff.suppressBlankEmpty=false",
    "diff.renameLimit=1000",
    "apply.whitespace=nowarn",
    "apply.ignoreWhitespace=no",
    "gc.auto=0",
    "maintenance.auto=false",
    "advice.detachedHead=false",
];

/// A call of git that is being put together.
#[derive(Debug)]
pub(super) struct Git<'a> {
    repository: &'a Repository,
    what: &'static str,
    args: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    input: Option<Vec<u8>>,
    held: Option<File>,
    whole_path: bool,
    patience: Duration,
}

/// What became of it.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) ok: bool,
    pub(super) code: Option<i32>,
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: String,
}

impl<'a> Git<'a> {
    /// `what` it is to do, as it goes with "Git could not".
    pub(super) fn new(repository: &'a Repository, what: &'static str) -> Self {
        Self {
            repository,
            what,
            args: Vec::new(),
            environment: Vec::new(),
            input: None,
            held: None,
            whole_path: false,
            patience: PATIENCE,
        }
    }

    pub(super) fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    pub(super) fn args<T: Into<OsString>>(mut self, args: impl IntoIterator<Item = T>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    pub(super) fn env(mut self, key: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.environment.push((key.into(), value.into()));
        self
    }

    pub(super) fn index(self, index: impl AsRef<OsStr>) -> Self {
        self.env("GIT_INDEX_FILE", index.as_ref())
    }

    pub(super) fn input(mut self, input: Vec<u8>) -> Self {
        self.input = Some(input);
        self
    }

    /// Has git hold this file open while it runs, as its input.
    pub(super) fn holding(mut self, file: File) -> Self {
        self.held = Some(file);
        self
    }

    /// Names the work tree by its path, for hooks that go elsewhere.
    pub(super) fn with_hooks(mut self, patience: Duration) -> Self {
        self.whole_path = true;
        self.patience = patience;
        self
    }

    /// Runs it; that it fails is an error.
    pub(super) async fn run(self) -> Result<Vec<u8>, RepoError> {
        let what = self.what;
        let said = self.output().await?;
        if said.ok { Ok(said.stdout) } else { Err(said.error(what)) }
    }

    /// Runs it, whatever becomes of it.
    pub(super) async fn output(self) -> Result<Said, RepoError> {
        self.repository.check()?;
        let (what, patience) = (self.what, self.patience);
        match tokio::time::timeout(patience, self.start()).await {
            Ok(said) => said,
            Err(_) => Err(RepoError::TimedOut { what, after: patience }),
        }
    }

    async fn start(self) -> Result<Said, RepoError> {
        let what = self.what;
        let mut command = self.command();
        // Not while a terminal is opened: a hook would get hold of it.
        let starting = process::starting();
        let child = command.spawn();
        drop(starting);
        let mut child = child.map_err(|error| RepoError::NoGit(error.to_string()))?;
        let mut group = Group(child.id().and_then(|id| rustix::process::Pid::from_raw(id.cast_signed())));
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let input = self.input.unwrap_or_default();
        let write = async move {
            if let Some(mut stdin) = stdin {
                // Git that has heard enough closes its end.
                let _ = stdin.write_all(&input).await;
            }
        };
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let failed = |error: std::io::Error| RepoError::Io { what: "Waiting for git", why: error.to_string() };
        let (status, within) = {
            let read = async {
                tokio::join!(write, collect(stdout, &mut out, MAX_OUTPUT), collect(stderr, &mut err, MAX_COMPLAINT))
            };
            tokio::pin!(read);
            tokio::select! {
                ((), within, _) = &mut read => (child.wait().await.map_err(failed)?, within),
                status = child.wait() => {
                    let status = status.map_err(failed)?;
                    let within = tokio::time::timeout(LINGER, &mut read).await.map_or(true, |((), within, _)| within);
                    (status, within)
                }
            }
        };
        group.0 = None;
        if !within {
            return Err(RepoError::TooMuch { what, limit: MAX_OUTPUT });
        }
        Ok(Said {
            ok: status.success(),
            code: status.code(),
            stdout: out,
            stderr: String::from_utf8_lossy(&err).into_owned(),
        })
    }

    fn command(&self) -> Command {
        let mut command = Command::new(program());
        command.env_clear().envs(KEPT.iter().filter_map(|name| Some((name, std::env::var_os(name)?)))).envs(SET);
        command.arg("--no-pager").arg("--git-dir").arg(self.repository.git_dir()).arg("--work-tree");
        command.arg(if self.whole_path { self.repository.path().as_os_str() } else { OsStr::new(".") });
        for setting in CONFIG {
            command.arg("-c").arg(setting);
        }
        command.args(&self.args).envs(self.environment.iter().map(|(key, value)| (key, value)));
        command.current_dir(self.repository.entry());
        let stdin = match (&self.input, &self.held) {
            (Some(_), _) => Stdio::piped(),
            (None, Some(held)) => held.try_clone().map_or_else(|_| Stdio::null(), Stdio::from),
            (None, None) => Stdio::null(),
        };
        command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0).kill_on_drop(true);
        command
    }
}

/// Git, by its whole path: a bare name beside an environment of its own would cost a copy of this process for each start.
fn program() -> &'static OsStr {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    let found = || programs::find(OsStr::new("git"), std::env::var_os("PATH").as_deref());
    match PROGRAM.get() {
        Some(program) => program.as_os_str(),
        // One that is installed later is found then.
        None => found().map_or(OsStr::new("git"), |program| PROGRAM.get_or_init(|| program).as_os_str()),
    }
}

impl Said {
    pub(super) fn error(&self, what: &'static str) -> RepoError {
        RepoError::Git { what, said: one_line(&self.stderr) }
    }
}

/// What git or a hook said, for a message.
pub(super) fn one_line(said: &str) -> String {
    let words: Vec<&str> = said.split_whitespace().collect();
    let line: String = words.join(" ").chars().filter(|letter| !letter.is_control()).collect();
    if line.is_empty() {
        return "it did not say why".to_owned();
    }
    crate::service::agents::clipped(line, MAX_SAID)
}

/// Reads all of it, keeping as much as `most`. Whether that was all.
async fn collect(from: Option<impl AsyncRead + Unpin>, into: &mut Vec<u8>, most: usize) -> bool {
    let Some(mut from) = from else { return true };
    let mut within = true;
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        let fits = count.min(most - into.len());
        into.extend_from_slice(&buffer[..fits]);
        within &= fits == count;
    }
    within
}

/// A group of processes that is ended when this is dropped.
struct Group(Option<rustix::process::Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
    }
}
