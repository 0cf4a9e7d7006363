//! What the words of the command line do.

mod approvals;
mod chat;
mod companion;
mod config;
mod devices;
mod doctor;
mod find;
mod gist;
mod install;
mod pair;
mod person;
mod runs;
mod session;
mod task;
mod unpair;
mod watch;

use std::process::ExitCode;

use anyhow::{Context as _, Result};

use crate::cli::{Cli, Command};
use crate::config::{Effective, Flags, Places};
use crate::term::Theme;

/// What every command needs.
pub(crate) struct Scene {
    pub(crate) json: bool,
    pub(crate) theme: Theme,
    pub(crate) effective: Effective,
    /// Where the user is.
    pub(crate) folder: std::path::PathBuf,
}

/// Runs a command.
pub(crate) fn run(cli: Cli) -> Result<ExitCode> {
    let places = Places::find()?;
    let folder = std::env::current_dir().context("could not find out which folder this is")?;
    let flags = Flags { url: cli.url, ..Flags::default() };
    if let Command::Doctor = cli.command {
        // It has to work where the settings do not.
        return block_on(doctor::run(&places, flags, &folder, cli.json)).map(|()| ExitCode::SUCCESS);
    }
    let effective = Effective::load(places, flags, &folder)?;
    let scene = Scene { json: cli.json, theme: Theme::detect(), effective, folder };
    let done = match cli.command {
        Command::Companion(companion) => return block_on(companion::run(&scene, companion)),
        Command::Pair(pair) => block_on(pair::run(&scene, pair)),
        Command::Unpair(unpair) => block_on(unpair::run(&scene, &unpair)),
        Command::Approvals(approvals) => block_on(approvals::run(&scene, approvals.command)),
        Command::Runs(runs) => block_on(runs::run(&scene, runs.command)),
        Command::Chat(chat) => block_on(chat::run(&scene, chat)),
        Command::Run(run) => block_on(task::run(&scene, run)),
        Command::Task(task) => block_on(task::take_up(&scene, task.command)),
        Command::Session(session) => block_on(session::run(&scene, session)),
        Command::Watch(watch) => block_on(watch::run(&scene, watch)),
        Command::Install(install) => install::install(&scene, &install),
        Command::Uninstall(uninstall) => install::uninstall(&scene, &uninstall),
        Command::Config => config::run(&scene),
        // They were dealt with before there was a scene.
        Command::Doctor | Command::Hook(_) | Command::CompanionKeeper => Ok(()),
    };
    done.map(|()| ExitCode::SUCCESS)
}

fn block_on<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}
