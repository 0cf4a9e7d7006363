//! One program of an agent.

use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rustix::process::{Pid, Signal};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::task::JoinHandle;

use super::family::{Family, MARK, signal_group};
use super::{Supervisor, starting};
use crate::service::agents::AgentError;

/// What is remembered of a program's standard error.
const LAST_WORDS: usize = 4 << 10;

/// How long a program has to end by itself after its input is closed.
const GRACE: Duration = Duration::from_millis(500);

/// A program and its arguments, as a shell would read them; no shell reads them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandLine {
    words: Vec<String>,
}

impl FromStr for CommandLine {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut words = shlex::split(text).ok_or_else(|| format!("`{text}` has a quote that does not end"))?;
        let program = words.first_mut().ok_or("the command line is empty")?;
        if program.contains('/') {
            // Agents work in other folders than the server, and what is there is not what was meant.
            let absolute = std::path::absolute(&*program).map_err(|error| format!("`{program}`: {error}"))?;
            *program = absolute.to_str().ok_or_else(|| format!("the path of `{program}` is not UTF-8"))?.to_owned();
        }
        Ok(Self { words })
    }
}

impl fmt::Display for CommandLine {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.words.join(" "))
    }
}

impl CommandLine {
    /// These words, of which the first is the program.
    #[must_use]
    pub const fn of(words: Vec<String>) -> Self {
        Self { words }
    }

    /// The program.
    #[must_use]
    pub fn program(&self) -> &str {
        self.words.first().map_or("", String::as_str)
    }

    /// With more arguments.
    #[must_use]
    pub fn with<'a>(mut self, arguments: impl IntoIterator<Item = &'a str>) -> Self {
        self.words.extend(arguments.into_iter().map(str::to_owned));
        self
    }
}

/// A program that runs, and its ends of the conversation.
#[derive(Debug)]
pub struct Program {
    pub stdin: ChildStdin,
    pub stdout: ChildStdout,
    pub supervision: Supervision,
}

/// The hold on a program that runs. Dropped, it ends the program and all that it started.
#[derive(Debug)]
pub struct Supervision {
    /// Unless all is ended.
    child: Option<Child>,
    /// The program's own process, which leads its group, until it is known to have ended.
    leader: Option<Pid>,
    supervisor: Supervisor,
    family: Family,
    program: String,
    last_words: Arc<Mutex<VecDeque<u8>>>,
    /// Reads them.
    listening: JoinHandle<()>,
    /// Who was there when the turn began.
    settled: HashSet<u32>,
}

impl Supervisor {
    /// Starts a program. `environment` are names of variables that its kind needs, besides those that all get.
    ///
    /// # Errors
    /// If it can't be started.
    pub fn start(&self, command: &CommandLine, cwd: &Path, environment: &[&str]) -> Result<Program, AgentError> {
        let not_started = |problem: String| AgentError::NotStarted { program: command.program().to_owned(), problem };
        let family = self.family();
        let starting = starting();
        let mut child = Command::new(command.program())
            .args(command.words.iter().skip(1))
            .current_dir(cwd)
            .env_clear()
            .envs(self.environment(environment))
            .env(MARK, family.mark())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| not_started(error.to_string()))?;
        drop(starting);
        let (Some(stdin), Some(stdout), Some(stderr)) = (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(not_started("its input and output are not connected".to_owned()));
        };
        let last_words = Arc::<Mutex<VecDeque<u8>>>::default();
        let listening = tokio::spawn(remember(stderr, last_words.clone()));
        let program = command.program().to_owned();
        let leader = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        if let Some(leader) = leader {
            self.0.guard.began(leader);
        }
        let supervision = Supervision {
            child: Some(child),
            leader,
            supervisor: self.clone(),
            family,
            program,
            last_words,
            listening,
            settled: HashSet::new(),
        };
        Ok(Program { stdin, stdout, supervision })
    }
}

impl Supervision {
    /// The end of what the program said on its standard error, as a sentence's continuation; empty if it said nothing.
    #[must_use]
    pub fn last_words(&self) -> String {
        let words: Vec<u8> = self.last_words.lock().iter().copied().collect();
        let words = String::from_utf8_lossy(&words);
        let words = words.trim();
        if words.is_empty() { String::new() } else { format!(" It said: {words}") }
    }

    /// Waits until the program has ended, whoever else holds its output open, and tells how, if that is known. Can be dropped
    /// before it completes.
    pub async fn exited(&mut self) -> Option<ExitStatus> {
        // What can't be waited for counts as ended.
        let status = self.child.as_mut()?.wait().await.ok();
        if let Some(leader) = self.leader.take() {
            // At once: a little later, the group's number may be another one's.
            signal_group(leader, Signal::KILL);
            self.supervisor.0.guard.ended(leader);
        }
        status
    }

    /// The error that tells how the program ended, once its output has.
    pub async fn ended(&mut self) -> AgentError {
        let status = tokio::time::timeout(GRACE, self.exited()).await.ok().flatten();
        // Its words may come after its end; whatever it started may hold them open for ever.
        if !self.listening.is_finished() {
            let _ = tokio::time::timeout(GRACE, &mut self.listening).await;
        }
        let how = status.map_or_else(String::new, |status| format!(" ({status})"));
        AgentError::Ended { how, last_words: self.last_words() }
    }

    /// Remembers which processes there are, so that those of a turn can be told from those that serve all turns.
    pub async fn settle(&mut self) {
        let family = self.family.clone();
        self.settled = tokio::task::spawn_blocking(move || family.members()).await.unwrap_or_default();
    }

    /// Ends the processes that came since [`Supervision::settle`].
    pub async fn end_the_unsettled(&self) {
        let (family, settled) = (self.family.clone(), self.settled.clone());
        let _ = tokio::task::spawn_blocking(move || family.end(&settled, &HashSet::new(), &[])).await;
    }

    /// Ends the program, with a moment to do so by itself, and all that it started. Its input must be closed by now. Dropped
    /// before it completes, it goes on without the moment.
    pub async fn close(mut self) {
        let family = self.family.clone();
        let mut known = tokio::task::spawn_blocking(move || family.members()).await.unwrap_or_default();
        let own = self.leader.and_then(|leader| u32::try_from(leader.as_raw_pid()).ok());
        if tokio::time::timeout(GRACE, self.exited()).await.is_ok() {
            // Its own number may be somebody else's by now.
            known.retain(|pid| Some(*pid) != own);
        }
        let (family, groups) = (self.family.clone(), self.leader.into_iter().collect::<Vec<_>>());
        let _ = tokio::task::spawn_blocking(move || family.end(&HashSet::new(), &known, &groups)).await;
        self.exited().await;
        self.child = None;
    }
}

impl Drop for Supervision {
    fn drop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        tracing::debug!(program = %self.program, "an agent's program is ended");
        let (family, leader, supervisor) = (self.family.clone(), self.leader.take(), self.supervisor.clone());
        let runtime = tokio::runtime::Handle::try_current();
        // Whoever drops it may be on a thread that must not wait. The program goes with its family: as long as it lives, its
        // children can be told.
        std::thread::spawn(move || {
            let groups: Vec<_> = leader.into_iter().collect();
            family.end(&HashSet::new(), &HashSet::new(), &groups);
            groups.into_iter().for_each(|leader| supervisor.0.guard.ended(leader));
            if let Ok(runtime) = runtime {
                runtime.spawn(async move { child.wait().await });
            }
        });
    }
}

/// Reads to the end, and keeps the last of it.
async fn remember(mut stderr: impl AsyncRead + Unpin, last_words: Arc<Mutex<VecDeque<u8>>>) {
    let mut room = [0; 1024];
    while let Ok(read @ 1..) = stderr.read(&mut room).await {
        let mut words = last_words.lock();
        words.extend(&room[..read]);
        let excess = words.len().saturating_sub(LAST_WORDS);
        words.drain(..excess);
    }
}
