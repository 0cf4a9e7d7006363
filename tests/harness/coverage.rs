//! Writes down what was seen: what an operation answered, what went over a socket, on which kind of database.
//!
//! Tests run in parallel and in several programs, so each program keeps a file of its own in the folder that
//! `FLIGHTDECK_TEST_COVERAGE` names. Only the judge writes there, and only about what a real server did, so nothing is
//! covered by being claimed. `tests/run` makes the folder anew for each run.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::sync::Mutex;

use anyhow::{Context, Result, ensure};

use crate::Kind;

const FOLDER: &str = "FLIGHTDECK_TEST_COVERAGE";

/// One thing that was seen.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sighting {
    pub database: String,
    /// An operation's id or a socket's name; empty for an answer outside either.
    pub subject: String,
    pub aspect: Aspect,
    /// A status, a code, or a message's name.
    pub what: String,
}

/// What can be seen of an operation or a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Aspect {
    /// An operation answered with this success status.
    Success,
    /// An operation, or the request that opens a socket, was refused with this code.
    Refusal,
    /// A client said this.
    ClientMessage,
    /// The server said this.
    ServerMessage,
    /// The server answered a message with this code.
    Fault,
    /// A socket ended with this close code.
    Close,
}

impl Aspect {
    const ALL: [Self; 6] =
        [Self::Success, Self::Refusal, Self::ClientMessage, Self::ServerMessage, Self::Fault, Self::Close];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Refusal => "refusal",
            Self::ClientMessage => "client message",
            Self::ServerMessage => "server message",
            Self::Fault => "fault",
            Self::Close => "close",
        }
    }
}

static SEEN: Mutex<BTreeSet<Sighting>> = Mutex::new(BTreeSet::new());

/// Remembers what was seen.
pub(crate) fn saw(database: Kind, subject: &str, aspect: Aspect, what: &str) {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let database = database.as_str().to_owned();
    let sighting = Sighting { database, subject: subject.to_owned(), aspect, what: what.to_owned() };
    let mut seen = SEEN.lock().expect("no test panics while it notes what it saw");
    if seen.contains(&sighting) {
        return;
    }
    let path = PathBuf::from(folder).join(format!("{}.tsv", std::process::id()));
    let line = format!("{}\t{subject}\t{}\t{what}\n", sighting.database, aspect.as_str());
    let written =
        OpenOptions::new().create(true).append(true).open(&path).and_then(|mut file| file.write_all(line.as_bytes()));
    written.unwrap_or_else(|error| panic!("what was seen can't be written to {}: {error}", path.display()));
    seen.insert(sighting);
}

/// Everything that the run's tests saw.
///
/// # Errors
/// The folder is missing or empty: the tests have not run.
pub fn sightings() -> Result<BTreeSet<Sighting>> {
    let folder = std::env::var_os(FOLDER).with_context(|| {
        format!("{FOLDER} is not set: this judges what the contract tests saw; run `tests/run contract`")
    })?;
    let mut sightings = BTreeSet::new();
    for entry in fs::read_dir(&folder).with_context(|| format!("reading {}", PathBuf::from(&folder).display()))? {
        for line in fs::read_to_string(entry?.path())?.lines() {
            sightings.insert(parse(line).with_context(|| format!("{line:?} does not tell what was seen"))?);
        }
    }
    ensure!(!sightings.is_empty(), "nothing was seen: the contract tests have not run");
    Ok(sightings)
}

fn parse(line: &str) -> Option<Sighting> {
    let fields: Vec<_> = line.split('\t').collect();
    let [database, subject, aspect, what] = fields[..] else { return None };
    let aspect = Aspect::ALL.into_iter().find(|known| known.as_str() == aspect)?;
    Some(Sighting { database: database.to_owned(), subject: subject.to_owned(), aspect, what: what.to_owned() })
}
