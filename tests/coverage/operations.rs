//! Operations: their successes and refusals.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use flightdeck_api::generated::OPERATIONS;
use flightdeck_tests::coverage::{Aspect, sightings};
use flightdeck_tests::{Kind, document, spec};

use crate::{ensure_seen, on_each_database};

fn every_operation_has_succeeded(database: Kind) -> Result<()> {
    let wanted = OPERATIONS.iter().flat_map(|operation| {
        document::successes(operation).into_iter().map(|status| (operation.id.to_owned(), status.to_string()))
    });
    ensure_seen(database, Aspect::Success, wanted)
}

fn every_declared_error_has_been_provoked(database: Kind) -> Result<()> {
    let mut wanted = Vec::new();
    for operation in OPERATIONS {
        let codes = spec::declared_errors(operation.surface, operation.id)?;
        wanted.extend(codes.into_iter().map(|code| (operation.id.to_owned(), code)));
    }
    ensure_seen(database, Aspect::Refusal, wanted)
}

/// A refusal that follows from an operation's shape is the same everywhere, so one sight of it is enough; those of
/// credentials are looked at operation by operation in the authorisation tests.
fn every_implied_error_has_been_provoked(database: Kind) -> Result<()> {
    let seen: BTreeSet<_> = sightings()?
        .into_iter()
        .filter(|sighting| sighting.database == database.as_str() && sighting.aspect == Aspect::Refusal)
        .map(|sighting| sighting.what)
        .collect();
    let missing: Vec<_> = spec::implied_errors()?.into_iter().filter(|code| !seen.contains(code)).collect();
    ensure!(missing.is_empty(), "no test provoked {missing:?}; write one");
    Ok(())
}

on_each_database! {
    every_operation_has_succeeded
    every_declared_error_has_been_provoked
    every_implied_error_has_been_provoked
}
