//! Writes down what was seen: which operation answered with which status and code, on which kind of database.
//!
//! Tests run in parallel and in several programs, so each program keeps a file of its own in the folder that
//! `FLIGHTDECK_TEST_COVERAGE` names. Only the judge writes there, and only about real answers of a real server, so
//! nothing is covered by being claimed. `tests/run` makes the folder anew for each run.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::sync::Mutex;

use anyhow::{Context, Result, ensure};

use crate::Kind;

const FOLDER: &str = "FLIGHTDECK_TEST_COVERAGE";

/// One kind of answer of one operation.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sighting {
    pub database: String,
    /// Empty for an answer outside any operation.
    pub operation: String,
    pub status: u16,
    /// Empty for a success.
    pub code: String,
}

static SEEN: Mutex<BTreeSet<Sighting>> = Mutex::new(BTreeSet::new());

/// Remembers an answer.
pub(crate) fn saw(database: Kind, operation: Option<&str>, status: u16, code: Option<&str>) {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let sighting = Sighting {
        database: database.as_str().to_owned(),
        operation: operation.unwrap_or_default().to_owned(),
        status,
        code: code.unwrap_or_default().to_owned(),
    };
    let mut seen = SEEN.lock().expect("no test panics while it notes what it saw");
    if seen.contains(&sighting) {
        return;
    }
    let Sighting { database, operation, status, code } = &sighting;
    let path = PathBuf::from(folder).join(format!("{}.tsv", std::process::id()));
    let line = format!("{database}\t{operation}\t{status}\t{code}\n");
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
            let fields: Vec<_> = line.split('\t').collect();
            let [database, operation, status, code] = fields[..] else {
                anyhow::bail!("{line:?} does not tell what was seen");
            };
            sightings.insert(Sighting {
                database: database.to_owned(),
                operation: operation.to_owned(),
                status: status.parse().with_context(|| format!("{status:?} is not a status"))?,
                code: code.to_owned(),
            });
        }
    }
    ensure!(!sightings.is_empty(), "not one answer was seen: the contract tests have not run");
    Ok(sightings)
}
