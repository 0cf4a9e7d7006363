//! The words about tasks in repositories: `run`, `task` and `session`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use flightdeck_sdk::types::SessionVia;

use super::one_of;

const RUN_EXAMPLES: &str = "\
The agent works on the server's machine, in a worktree of its own: the files here stay as they are. When it
is done, each change is shown and asked about:
  y  apply this change            n  leave it out
  a  apply it and the rest of the file
  d  leave it out, and the rest of the file
  q  leave out everything that is left
What was chosen becomes one commit on the branch. Patches of which nothing was applied stay with the
server, and `flightdeck task` takes them up again; after a part, `task revert` comes first.

While the agent works, `y` or `n` and a note answer what it asks; while nothing is asked, lines are said to it. Ctrl-C
cancels the task, a second one leaves. Without a terminal nobody is asked: `--apply` applies everything,
else the patch is printed.

Examples:
  flightdeck run \"add a test for the parser\"
  flightdeck run \"fix the build\" --branch fix-build --agent claude-code --file build.rs
  flightdeck run \"update the docs\" --apply --message \"Update the docs\"
  flightdeck run \"update the docs\" --no-apply > docs.patch";

#[derive(Debug, Args)]
#[command(after_help = RUN_EXAMPLES)]
pub(crate) struct RunArguments {
    /// What the agent is to do.
    #[arg(required = true, value_name = "INSTRUCTION")]
    pub(crate) instruction: Vec<String>,

    /// The repository, on the server's machine.
    #[arg(long, value_name = "PATH", default_value = ".")]
    pub(crate) repo: PathBuf,

    /// The branch that the work is for; made if there is none of that name [default: the one that is checked out].
    #[arg(long)]
    pub(crate) branch: Option<String>,

    /// The agent, by its name on the server; `flightdeck doctor` shows them [default: the server's].
    #[arg(long, value_name = "NAME")]
    pub(crate) agent: Option<String>,

    /// A file in the repository that the agent should look at; may be repeated.
    #[arg(long, value_name = "FILE")]
    pub(crate) file: Vec<String>,

    /// Something the agent should keep in mind; may be repeated.
    #[arg(long, value_name = "TEXT")]
    pub(crate) hint: Vec<String>,

    /// Apply everything, without a review.
    #[arg(long, conflicts_with = "no_apply")]
    pub(crate) apply: bool,

    /// Apply nothing: print the patch.
    #[arg(long)]
    pub(crate) no_apply: bool,

    /// The commit's message [default: made from the instruction].
    #[arg(short, long)]
    pub(crate) message: Option<String>,

    /// Allow whatever the agent asks, without asking anybody.
    #[arg(long, short)]
    pub(crate) yes: bool,
}

const TASK_EXAMPLES: &str = "\
These are the tasks that `flightdeck run` started from here, as long as the server keeps their sessions. An ID
may be shortened to the letters that the list shows; `last` is the newest.

Examples:
  flightdeck task list
  flightdeck task show last
  flightdeck task apply 3f2a --message \"Add a test\"";

#[derive(Debug, Args)]
#[command(after_help = TASK_EXAMPLES)]
pub(crate) struct Task {
    #[command(subcommand)]
    pub(crate) command: Option<TaskCommand>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TaskCommand {
    /// List the tasks.
    List,
    /// Show a task, and its patch.
    Show { id: String },
    /// Review a task's changes, and commit what is wanted; without a terminal, everything.
    Apply {
        id: String,
        /// The commit's message [default: made from the instruction].
        #[arg(short, long)]
        message: Option<String>,
        /// Apply everything, without a review.
        #[arg(long, short)]
        yes: bool,
    },
    /// Commit the opposite of what was applied.
    Revert { id: String },
    /// Cancel a task: its agent is stopped, and what was not applied is gone.
    Cancel { id: String },
}

const SESSION_EXAMPLES: &str = "\
Whoever has a session's token may run commands and agents in its repository. It is printed with `--qr`
and `--json` only.

Examples:
  flightdeck session --qr --url http://192.168.1.20:8787   scan it with the phone
  flightdeck session --repo ~/src/project --json | jq .ws";

#[derive(Debug, Args)]
#[command(after_help = SESSION_EXAMPLES)]
pub(crate) struct SessionArguments {
    /// The repository, on the server's machine.
    #[arg(long, value_name = "PATH", default_value = ".")]
    pub(crate) repo: PathBuf,

    /// What people call the session.
    #[arg(long, value_name = "TEXT")]
    pub(crate) label: Option<String>,

    /// How its clients reach the server: direct, mobile or relay [default: mobile with --qr, else direct].
    #[arg(long, value_parser = session_via)]
    pub(crate) via: Option<SessionVia>,

    /// Draw the session, with its token, as a QR code for the phone.
    #[arg(long)]
    pub(crate) qr: bool,

    /// Draw the QR code for a terminal with a light background.
    #[arg(long, requires = "qr")]
    pub(crate) light: bool,
}

fn session_via(text: &str) -> Result<SessionVia, String> {
    one_of(SessionVia::ALL, SessionVia::as_str, text)
}
