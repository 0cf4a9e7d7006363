//! What a person types. Each command is a function in [`commands`]; here are their arguments and exit codes.

pub mod commands;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::lint;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It did what it was asked to, and nothing is wrong.
    Done,
    /// The spec has faults; they have been shown.
    Faults,
    /// What was generated does not belong to this spec.
    Stale,
    /// The change breaks existing clients.
    Breaking,
}

impl Outcome {
    /// The process's exit code. 2 is clap's, for arguments that it cannot read.
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Faults => 1,
            Self::Stale => 4,
            Self::Breaking => 5,
        }
    }
}

/// Reads Flightdeck's protocol and writes the server's stubs, the SDKs and the bundled document.
#[derive(Debug, Parser)]
#[command(name = "cargo codegen", bin_name = "cargo codegen", version, after_help = EXIT_CODES)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
    #[command(flatten)]
    pub common: Common,
}

const EXIT_CODES: &str = "Exit codes: 0 done, 1 faults in the spec or a failure, 2 wrong arguments, \
                          4 generated files are stale, 5 a breaking change";

/// What every command takes.
#[derive(Debug, Clone, Args)]
pub struct Common {
    /// The spec's folder, relative to the root
    #[arg(long, global = true, default_value = "spec", value_name = "FOLDER")]
    pub spec: PathBuf,
    /// The repository's root [default: the nearest folder upwards that holds a Cargo workspace]
    #[arg(long, global = true, value_name = "FOLDER")]
    pub root: Option<PathBuf>,
    /// Don't ask for an example of every operation and socket
    #[arg(long, global = true)]
    pub without_examples: bool,
}

impl Common {
    /// The lint rules to leave out.
    pub const fn options(&self) -> lint::Options {
        lint::Options { without_examples: self.without_examples }
    }
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Write every generated file that is missing or different, and delete those that are not generated any more
    Generate {
        /// Say what would be done, and do nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Say whether the generated files belong to the spec; write nothing
    Check,
    /// Check the spec against the profile
    Lint {
        /// Print the diagnostics as a JSON array
        #[arg(long)]
        json: bool,
    },
    /// Print the neutral model of the protocol as JSON
    Ir,
    /// Say what changed since an older spec, and which changes break existing clients
    Diff {
        /// The older spec: a folder, or a git revision such as HEAD~1
        old: String,
        /// Print the changes as a JSON array
        #[arg(long)]
        json: bool,
    },
}

/// Runs the command line of this process.
#[expect(clippy::print_stderr, reason = "the last resort of a program that failed is its standard error")]
pub fn main() -> ExitCode {
    match commands::run(&Cli::parse(), &mut std::io::stdout().lock()) {
        Ok(outcome) => ExitCode::from(outcome.code()),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
