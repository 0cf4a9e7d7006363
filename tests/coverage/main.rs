//! Whether the contract tests put every promise of the protocol to the proof, on both kinds of database.
//!
//! Judged by what the harness saw real servers do, not by what tests claim to be about; so it runs after them, and
//! `tests/run contract` sees to that.

mod operations;
mod sockets;

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use flightdeck_tests::Kind;
use flightdeck_tests::coverage::{Aspect, sightings};

/// Fails, and names what is missing, unless each of `wanted` was seen: pairs of a subject and what should be seen of it.
fn ensure_seen(database: Kind, aspect: Aspect, wanted: impl IntoIterator<Item = (String, String)>) -> Result<()> {
    let seen: BTreeSet<_> = sightings()?
        .into_iter()
        .filter(|sighting| sighting.database == database.as_str() && sighting.aspect == aspect)
        .map(|sighting| (sighting.subject, sighting.what))
        .collect();
    let missing: Vec<_> = wanted.into_iter().filter(|pair| !seen.contains(pair)).collect();
    let missing: Vec<_> = missing.into_iter().map(|(subject, what)| format!("{subject}: {what}")).collect();
    ensure!(missing.is_empty(), "no test saw this; write one:\n{}", missing.join("\n"));
    Ok(())
}

/// Turns each `fn name(database: Kind) -> Result<()>` into two tests, `name::sqlite` and `name::postgres`.
macro_rules! on_each_database {
    ($($name:ident)+) => {$(
        mod $name {
            #[test]
            fn sqlite() -> anyhow::Result<()> {
                super::$name(flightdeck_tests::Kind::Sqlite)
            }

            #[test]
            fn postgres() -> anyhow::Result<()> {
                super::$name(flightdeck_tests::Kind::Postgres)
            }
        }
    )+};
}

pub(crate) use on_each_database;
