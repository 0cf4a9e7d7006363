//! `flightdeck companion`: an agent's CLI that people can follow and talk to from elsewhere, while it runs in this
//! terminal as if nothing else were there.
//!
//! - `session` is the loop that moves everything. It works for one agent after the other, if it is told to start anew.
//!   `desk` is its conversation with the server.
//! - `agent` is the program in its pseudo-terminal; `group` and `keeper` see to it that nothing of it is left behind.
//! - `terminal` is the person's own, `control` what agents do to it, `signals` and `notices` the rest of what passes
//!   between the person and the companion.
//! - `screen` turns output into lines, `transcript` says which of them are new, `mirror` gets them to the server.
//! - `link` is the way to the server, `inbox` says what an event means, `typist` types messages into the agent, `place`
//!   remembers how far that is.

mod agent;
mod control;
mod desk;
mod group;
mod inbox;
mod keeper;
mod link;
mod mirror;
mod notices;
mod place;
mod screen;
mod session;
mod signals;
mod terminal;
mod transcript;
mod typist;

pub(crate) use keeper::run as keep;

use std::ffi::OsString;
use std::path::Path;
use std::time::Instant;

use anyhow::Result;
use flightdeck_sdk::Client;

use crate::config::{CompanionToken, Places};
use crate::project;
use link::{Identity, Link};
use place::Place;
use session::Session;

/// How large a terminal is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Size {
    columns: u16,
    rows: u16,
}

/// What a companion is started with.
pub(crate) struct Options {
    pub(crate) client: Client,
    pub(crate) url: String,
    pub(crate) token: CompanionToken,
    /// What people see; by default the machine's name and the program's.
    pub(crate) name: Option<String>,
    /// The agent's program and its arguments.
    pub(crate) command: Vec<OsString>,
}

/// Runs an agent until it ends; answers with its exit code.
pub(crate) async fn run(places: &Places, options: Options) -> Result<u8> {
    let began = Instant::now();
    let program = program(&options.command);
    let name = options.name.filter(|name| !name.trim().is_empty()).unwrap_or_else(|| usual_name(&program));
    let name = name.trim().to_owned();
    let place = Place::open(places, &options.url, &name)?;
    let link = Link::new(options.client, options.token, Identity { name, program });
    Session { command: options.command, url: options.url, link, place, began }.run().await
}

/// The program's name, without its folder.
fn program(command: &[OsString]) -> String {
    let program = command.first().map(|program| Path::new(program).file_name().unwrap_or(program));
    program.map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

fn usual_name(program: &str) -> String {
    let name = project::host_name().map_or_else(|| program.to_owned(), |host| format!("{host} {program}"));
    name.chars().filter(|letter| !letter.is_control()).take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_is_called_after_its_machine_and_its_program() {
        assert_eq!(program(&["/usr/bin/claude".into(), "--resume".into()]), "claude");
        let name = usual_name("claude");
        assert!(name.ends_with(" claude") && !name.starts_with(' '), "{name}");
    }
}
