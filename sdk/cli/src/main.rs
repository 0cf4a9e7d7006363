//! `flightdeck`: pairing, approvals and runs from a terminal, and the hook runner that agents call.
//!
//! - `cli` is the command line, `commands` what its words do, `exit` how they end.
//! - `companion` runs an agent that people can talk to from elsewhere.
//! - `hook` is the runner, `install` puts it into an agent's settings.
//! - `config` is what the CLI knows, `project` where it is, `term` what a person sees.
//!
//! Everything that reaches the server goes through the SDK.

mod cli;
mod commands;
#[cfg(unix)]
mod companion;
mod config;
mod exit;
mod hook;
mod install;
mod project;
mod term;

use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser as _;
use clap::error::ErrorKind;

use crate::cli::{Cli, Command, HookCommand};
use crate::config::Places;
use crate::exit::{Exit, Failure, describe, exit_of};
use crate::hook::HookOptions;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return wrong_usage(&error),
    };
    if let Command::Hook(hook) = cli.command {
        return run_hook(hook.command);
    }
    #[cfg(unix)]
    if let Command::CompanionKeeper = cli.command {
        companion::keep(std::io::stdin().lock());
        return ExitCode::SUCCESS;
    }
    match commands::run(cli) {
        Ok(code) => code,
        Err(error) => {
            term::remark(&format!("flightdeck: {}", term::block(&describe(&error), "")));
            exit_of(&error).into()
        }
    }
}

/// Help and version are no failures. And where an agent runs us as a hook, a usage error must not end with 2: agents
/// take that for a refusal of what they are about to do, and an old binary with new settings would refuse everything.
fn wrong_usage(error: &clap::Error) -> ExitCode {
    let _nobody_reads = error.print();
    let as_hook = std::env::args_os().nth(1).is_some_and(|word| word == "hook");
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => ExitCode::SUCCESS,
        _ if as_hook => Exit::Failed.into(),
        _ => Exit::Usage.into(),
    }
}

fn run_hook(command: HookCommand) -> ExitCode {
    match command {
        HookCommand::Deliver { session } => {
            match Places::find() {
                Ok(places) => hook::deliver(&places, session),
                Err(error) => term::remark(&format!("flightdeck: {error:#}")),
            }
            ExitCode::SUCCESS
        }
        HookCommand::ClaudeCode { gate, timeout, when_unreachable } => {
            let stdin = std::io::stdin();
            if stdin.is_terminal() {
                let failure = Failure::new(
                    Exit::Usage,
                    "this is what Claude Code runs, with an event on stdin; `flightdeck install claude-code` sets it up",
                );
                term::remark(&format!("flightdeck: {failure}"));
                return failure.exit.into();
            }
            let timeout = timeout.map(Duration::from_secs);
            hook::run(Places::find(), &HookOptions { gate, when_unreachable, timeout }, stdin.lock())
        }
    }
}
