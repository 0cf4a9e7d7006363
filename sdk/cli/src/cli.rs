//! The command line: its words, and the help that explains them. What they do is in `commands`.

mod cockpit;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use flightdeck_sdk::types::{ApprovalStatus, RunStatus};

pub(crate) use self::cockpit::{RunArguments, SessionArguments, Task, TaskCommand};
use crate::config::{Gate, WhenUnreachable};
use crate::install::Scope;

const EXAMPLES: &str = "\
Examples:
  flightdeck pair                         pair this project; scan the code with your phone
  flightdeck pair --self                  pair it and decide from this terminal
  flightdeck install claude-code          let Claude Code ask Flightdeck
  flightdeck approvals                    what waits for you
  flightdeck approvals approve 3f2a --note \"but use the staging database\"
  flightdeck watch                        see what happens, as it happens
  flightdeck chat                         talk with an agent that the server runs
  flightdeck run \"add a test\"            let an agent work on a branch of its own, and review it
  flightdeck companion -- claude          follow and talk to an agent from elsewhere
  flightdeck doctor                       find out why something does not work

Environment:
  FLIGHTDECK_URL                  the server (default http://127.0.0.1:8787)
  FLIGHTDECK_CONFIG_DIR           config.toml and credentials.json (default ~/.config/flightdeck)
  FLIGHTDECK_STATE_DIR            logs and open questions (default ~/.local/state/flightdeck)
  FLIGHTDECK_WORKSPACE_ID, FLIGHTDECK_BRIDGE_SECRET, FLIGHTDECK_DEVICE_TOKEN
                                  credentials, instead of those that pairing stored
  FLIGHTDECK_COMPANION_TOKEN, COMPANION_TOKEN
                                  what the companion and agents\' streams ask for
  NO_COLOR                        no colours

Exit codes: 0 done · 1 failed · 2 wrong usage · 3 not paired, or not accepted · 4 server unreachable
  5 decided differently before · 130 interrupted";

/// The control plane for coding agents, from a terminal.
#[derive(Debug, Parser)]
#[command(name = "flightdeck", version, about, after_help = EXAMPLES, max_term_width = 100)]
pub(crate) struct Cli {
    /// Print JSON instead of text for people.
    #[arg(long, global = true)]
    pub(crate) json: bool,

    /// The server's address.
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) url: Option<String>,

    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Pair this project with a phone, a browser, or this very machine.
    Pair(Pair),
    /// Forget the pairing of this project, or this machine's device.
    Unpair(Unpair),
    /// See and decide what agents ask.
    Approvals(Approvals),
    /// See what agents do.
    Runs(Runs),
    /// Follow streams, and see each event as it happens.
    Watch(Watch),
    /// Talk with an agent that the server runs.
    Chat(ChatArguments),
    /// Let an agent change a repository; review what it changed, and commit what is wanted.
    Run(RunArguments),
    /// Take up what `run` has left for later.
    Task(Task),
    /// Open a session on a repository, for a phone or a program.
    Session(SessionArguments),
    /// Run an agent here that people can follow and talk to from elsewhere.
    Companion(Companion),
    /// Add Flightdeck's hooks to an agent's settings.
    Install(Install),
    /// Take Flightdeck's hooks out of an agent's settings again.
    Uninstall(Uninstall),
    /// Check that everything works, and say how to mend what does not.
    Doctor,
    /// Show the settings that count here, and where each comes from.
    Config,
    /// What agents run on their events; not for people.
    Hook(Hook),
    /// What a companion leaves beside it, to end its agent if it is killed.
    #[command(hide = true)]
    CompanionKeeper,
}

const PAIR_EXAMPLES: &str = "\
Examples:
  flightdeck pair --url http://192.168.1.20:8787   an address that the phone can reach
  flightdeck pair --self                           no phone: this terminal decides
  flightdeck pair --add-device                     one more device for this project
  flightdeck pair --add-device --self              … namely this terminal, so that it may decide
  flightdeck pair complete K7Q2-…                  in another terminal, in place of the phone";

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, after_help = PAIR_EXAMPLES)]
pub(crate) struct Pair {
    /// What people see this project as [default: folder and machine].
    #[arg(long)]
    pub(crate) name: Option<String>,

    /// Add a device to the workspace that this project is paired with already.
    #[arg(long)]
    pub(crate) add_device: bool,

    /// Pair anew although the project is paired already; this leads to another workspace.
    #[arg(long, conflicts_with = "add_device")]
    pub(crate) replace: bool,

    /// Complete the pairing from here: this machine becomes the device that decides.
    #[arg(long, visible_alias = "self", value_name = "NAME", num_args = 0..=1, default_missing_value = "")]
    pub(crate) as_device: Option<String>,

    /// Draw the QR code for a terminal with a light background.
    #[arg(long)]
    pub(crate) light: bool,

    #[command(subcommand)]
    pub(crate) command: Option<PairCommand>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PairCommand {
    /// Complete a pairing as a device, with the token that the other terminal shows.
    Complete {
        /// The token, or the whole text of the QR code.
        token: String,
        /// What people call this device [default: the machine's name].
        #[arg(long)]
        name: Option<String>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Unpair {
    /// Revoke the device that this machine is, instead of forgetting the project.
    #[arg(long)]
    pub(crate) device: bool,
}

const APPROVALS_EXAMPLES: &str = "\
An ID may be shortened to its first letters, as long as it stays unique.

The key of this machine may look and ask, but not decide, because agents have it too. A device decides: the phone, or
this terminal after `flightdeck pair --self` (in a paired project: `flightdeck pair --add-device --self`).

Examples:
  flightdeck approvals                       what waits
  flightdeck approvals list --all            and what was decided
  flightdeck approvals approve 3f2a 77c0     several at once
  flightdeck approvals deny 3f2a --note \"not on a Friday\"";

#[derive(Debug, Args)]
#[command(after_help = APPROVALS_EXAMPLES)]
pub(crate) struct Approvals {
    #[command(subcommand)]
    pub(crate) command: Option<ApprovalsCommand>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ApprovalsCommand {
    /// List approvals; those that wait, unless said otherwise.
    List {
        /// Only those with this status: pending, approved, denied or expired; may be repeated.
        #[arg(long, value_parser = approval_status)]
        status: Vec<ApprovalStatus>,
        /// Those of every status.
        #[arg(long, conflicts_with = "status")]
        all: bool,
        /// How many at most.
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..=1_000))]
        limit: u64,
    },
    /// Show one approval with all its evidence.
    Show { id: String },
    /// Allow what an agent asks.
    Approve(Decide),
    /// Refuse what an agent asks.
    Deny(Decide),
}

#[derive(Debug, Args)]
pub(crate) struct Decide {
    /// The approvals.
    #[arg(required = true, value_name = "ID")]
    pub(crate) ids: Vec<String>,
    /// What the agent should know.
    #[arg(long)]
    pub(crate) note: Option<String>,
}

const RUNS_EXAMPLES: &str = "\
Examples:
  flightdeck runs list --status running
  flightdeck runs show 91bc
  flightdeck runs tail -f 91bc          Ctrl-C ends it";

#[derive(Debug, Args)]
#[command(after_help = RUNS_EXAMPLES)]
pub(crate) struct Runs {
    #[command(subcommand)]
    pub(crate) command: Option<RunsCommand>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RunsCommand {
    /// List runs, newest first.
    List {
        /// Only those with this status: running, finished, failed, stopped or unknown; may be repeated.
        #[arg(long, value_parser = run_status)]
        status: Vec<RunStatus>,
        /// How many at most.
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=1_000))]
        limit: u64,
    },
    /// Show one run.
    Show { id: String },
    /// Show a run's timeline.
    Tail {
        id: String,
        /// Go on with what happens next.
        #[arg(short, long)]
        follow: bool,
        /// Begin after this event.
        #[arg(long, value_name = "SEQ", default_value_t = 0)]
        since: u64,
    },
}

const WATCH_EXAMPLES: &str = "\
Streams:
  runs/ID                 a run; the letters that `flightdeck runs` shows will do, also without `runs/`
  chats/ID                a chat; a part of its id will do, and so does chats/last
  approvals/WORKSPACE     the approvals of a workspace
  workspaces/WORKSPACE    what happens to a workspace: its devices come and go
  agents/ID               an agent of the companion; its name will do
  channels/CHANNEL        a channel of the hub: channels/global, channels/topics/deployments, …

Without a stream: the approvals and the news of the workspaces that can be seen from here. Ctrl-C
ends it.

Runs, approvals and workspaces are for devices (`flightdeck pair --self`), agents and channels for
whoever has the companion token (FLIGHTDECK_COMPANION_TOKEN). A server in development on this
machine asks for neither.

Examples:
  flightdeck watch
  flightdeck watch 91bc --since 0                 a run from its beginning
  flightdeck watch channels/global --json | jq .type";

#[derive(Debug, Args)]
#[command(after_help = WATCH_EXAMPLES)]
pub(crate) struct Watch {
    /// What to follow.
    #[arg(value_name = "STREAM")]
    pub(crate) streams: Vec<String>,

    /// Begin after this event, 0 for the first [default: with what happens next].
    #[arg(long, value_name = "SEQ")]
    pub(crate) since: Option<u64>,
}

const CHAT_EXAMPLES: &str = "\
The agent runs on the server's machine, and goes on when this terminal is gone: `--chat last` takes the
conversation up again. When the agent asks before it does something, `y` or `n` and a note answer.
Ctrl-C cancels the turn that runs, a second one leaves; Ctrl-D leaves when everything is answered.

With a message, it is said, and the command ends with the turn: 0 if it finished, 1 if not.

Examples:
  flightdeck chat                                  a new chat with the server's default agent
  flightdeck chat --agent claude-code why does the build fail
  flightdeck chat --chat last                      go on where it was
  flightdeck chat --research \"Short Term Reversal\"
  flightdeck chat --list";

#[derive(Debug, Args)]
#[command(after_help = CHAT_EXAMPLES)]
pub(crate) struct ChatArguments {
    /// What to say; without it, what is typed.
    #[arg(value_name = "MESSAGE", trailing_var_arg = true)]
    pub(crate) message: Vec<String>,

    /// A chat to go on with: its id, a part of it, or `last` [default: a new one].
    #[arg(long, value_name = "CHAT", conflicts_with_all = ["agent", "title"])]
    pub(crate) chat: Option<String>,

    /// The agent of a new chat, by its name on the server; `flightdeck doctor` shows them.
    #[arg(long, value_name = "NAME")]
    pub(crate) agent: Option<String>,

    /// The title of a new chat.
    #[arg(long, value_name = "TITLE")]
    pub(crate) title: Option<String>,

    /// Start a research on a topic, in a repository of its own.
    #[arg(long, value_name = "TOPIC", conflicts_with = "message")]
    pub(crate) research: Option<String>,

    /// List the chats.
    #[arg(long, conflicts_with_all = ["message", "chat", "agent", "title", "research"])]
    pub(crate) list: bool,
}

const COMPANION_EXAMPLES: &str = "\
The agent runs in this terminal as it always does. What it says goes to the server as text, and
messages that people send to it are typed in. If the server is away, the agent runs all the same.
The companion ends with the agent's exit code.

The name is the agent's identity: a companion of the same name goes on where the last one was, and
types what was sent in between. Two of the same name on one machine are refused.

The server may ask for its companion token: in FLIGHTDECK_COMPANION_TOKEN, COMPANION_TOKEN or a file.

Examples:
  flightdeck companion -- claude
  flightdeck companion --name \"the build machine\" -- codex --full-auto
  flightdeck companion --token-file ~/.companion-token -- claude --continue";

#[derive(Debug, Args)]
#[command(after_help = COMPANION_EXAMPLES)]
pub(crate) struct Companion {
    /// What people see this agent as [default: this machine's name and the command's].
    #[arg(long)]
    pub(crate) name: Option<String>,

    /// The file that holds the companion token.
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,

    /// The agent's command, with its arguments.
    #[arg(required = true, trailing_var_arg = true, value_name = "COMMAND")]
    pub(crate) command: Vec<OsString>,
}

/// The agents whose settings we know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Agent {
    ClaudeCode,
}

const INSTALL_EXAMPLES: &str = "\
Other people's hooks, the order of the keys and the layout of the file stay as they are. The change is shown first,
and `flightdeck uninstall` takes back exactly that.

The gate, where the agent waits for a person:
  permission-request   when Claude Code itself would ask; phone and terminal race, the first answer counts
  pre-tool-use         before each tool call that changes something; only a person in Flightdeck may allow it
  none                 never; Flightdeck only watches

Examples:
  flightdeck install claude-code --dry-run
  flightdeck install claude-code --scope local --gate pre-tool-use --yes";

#[derive(Debug, Args)]
#[command(after_help = INSTALL_EXAMPLES)]
pub(crate) struct Install {
    pub(crate) agent: Agent,

    /// Whose settings.
    #[arg(long, value_enum, default_value_t = Scope::User)]
    pub(crate) scope: Scope,

    /// Where the agent waits for a person [default: as config.toml says, else permission-request].
    #[arg(long, value_enum)]
    pub(crate) gate: Option<Gate>,

    /// What happens when Flightdeck gives no verdict [default: as config.toml says, else ask].
    #[arg(long, value_enum)]
    pub(crate) when_unreachable: Option<WhenUnreachable>,

    /// How many seconds the agent waits there. A day, because a person may be asleep; the hook itself answers just
    /// before.
    #[arg(long, default_value_t = 86_400, value_parser = clap::value_parser!(u64).range(10..=2_592_000))]
    pub(crate) timeout: u64,

    /// Show the change, and make none.
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// Do not ask.
    #[arg(long, short)]
    pub(crate) yes: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Uninstall {
    pub(crate) agent: Agent,

    /// Whose settings.
    #[arg(long, value_enum, default_value_t = Scope::User)]
    pub(crate) scope: Scope,

    /// Show the change, and make none.
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// Do not ask.
    #[arg(long, short)]
    pub(crate) yes: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Hook {
    #[command(subcommand)]
    pub(crate) command: HookCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum HookCommand {
    /// Handle one event of Claude Code: JSON on stdin, at most one JSON answer on stdout. Exits with 0, unless the gate
    /// pre-tool-use could not be answered.
    ClaudeCode {
        /// Which event asks for an approval.
        #[arg(long, value_enum)]
        gate: Option<Gate>,
        /// How many seconds Claude Code waits for this hook.
        #[arg(long, value_name = "SECONDS")]
        timeout: Option<u64>,
        /// What to answer when the server gives no verdict.
        #[arg(long, value_enum)]
        when_unreachable: Option<WhenUnreachable>,
    },
    /// Send what a session's hooks have put into its outbox.
    #[command(hide = true)]
    Deliver {
        #[arg(long)]
        session: String,
    },
}

fn approval_status(text: &str) -> Result<ApprovalStatus, String> {
    one_of(ApprovalStatus::ALL, ApprovalStatus::as_str, text)
}

fn run_status(text: &str) -> Result<RunStatus, String> {
    one_of(RunStatus::ALL, RunStatus::as_str, text)
}

/// The value of the protocol that the user means, whichever case they typed it in.
fn one_of<T: Clone>(all: &[T], name: impl Fn(&T) -> &str, text: &str) -> Result<T, String> {
    let names = || all.iter().map(|value| name(value).to_lowercase()).collect::<Vec<_>>().join(", ");
    let found = all.iter().find(|value| name(value).eq_ignore_ascii_case(text));
    found.cloned().ok_or_else(|| format!("it is none of {}", names()))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn this_machine_can_be_the_device_with_and_without_a_name() {
        let device = |words: &[&str]| {
            let cli = Cli::try_parse_from([&["flightdeck", "pair"], words].concat()).expect("is valid");
            match cli.command {
                Command::Pair(pair) => pair.as_device,
                _ => None,
            }
        };
        assert_eq!(device(&[]), None);
        assert_eq!(device(&["--self"]), Some(String::new()));
        assert_eq!(device(&["--self", "--url", "http://h"]), Some(String::new()));
        assert_eq!(device(&["--as-device", "laptop"]), Some("laptop".into()));
    }
}
