//! Whether the contract tests put every promise of the protocol to the proof, on both kinds of database.
//!
//! Judged by what the harness saw real servers answer, not by what tests claim to be about; so it runs after them, and
//! `tests/run contract` sees to that.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use flightdeck_api::generated::OPERATIONS;
use flightdeck_tests::coverage::{Sighting, sightings};
use flightdeck_tests::{Kind, document, spec};

/// What is missing, for a list of pairs of an operation and what was seen of it.
fn missing(database: Kind, seen: &BTreeSet<Sighting>, wanted: impl Iterator<Item = (String, String)>) -> Vec<String> {
    let seen: BTreeSet<_> = seen
        .iter()
        .filter(|sighting| sighting.database == database.as_str())
        .map(|sighting| match sighting.code.as_str() {
            "" => (sighting.operation.clone(), sighting.status.to_string()),
            code => (sighting.operation.clone(), code.to_owned()),
        })
        .collect();
    wanted.filter(|pair| !seen.contains(pair)).map(|(operation, answer)| format!("{operation}: {answer}")).collect()
}

fn successes(database: Kind) -> Result<()> {
    let wanted = OPERATIONS.iter().flat_map(|operation| {
        document::successes(operation).into_iter().map(|status| (operation.id.to_owned(), status.to_string()))
    });
    let missing = missing(database, &sightings()?, wanted);
    ensure!(missing.is_empty(), "no test saw these answers; write one:\n{}", missing.join("\n"));
    Ok(())
}

fn declared(database: Kind) -> Result<()> {
    let mut wanted = Vec::new();
    for operation in OPERATIONS {
        let codes = spec::declared_errors(operation.surface, operation.id)?;
        wanted.extend(codes.into_iter().map(|code| (operation.id.to_owned(), code)));
    }
    let missing = missing(database, &sightings()?, wanted.into_iter());
    ensure!(missing.is_empty(), "no test provoked these refusals; write one:\n{}", missing.join("\n"));
    Ok(())
}

/// A refusal that follows from an operation's shape is the same everywhere, so one sight of it is enough; those of
/// credentials are looked at operation by operation in the authorisation tests.
fn implied(database: Kind) -> Result<()> {
    let seen: BTreeSet<_> = sightings()?
        .into_iter()
        .filter(|sighting| sighting.database == database.as_str())
        .map(|sighting| sighting.code)
        .collect();
    let missing: Vec<_> = spec::implied_errors()?.into_iter().filter(|code| !seen.contains(code)).collect();
    ensure!(missing.is_empty(), "no test provoked {missing:?}; write one");
    Ok(())
}

mod every_operation_has_succeeded {
    use super::{Kind, Result, successes};

    #[test]
    fn sqlite() -> Result<()> {
        successes(Kind::Sqlite)
    }

    #[test]
    fn postgres() -> Result<()> {
        successes(Kind::Postgres)
    }
}

mod every_declared_error_has_been_provoked {
    use super::{Kind, Result, declared};

    #[test]
    fn sqlite() -> Result<()> {
        declared(Kind::Sqlite)
    }

    #[test]
    fn postgres() -> Result<()> {
        declared(Kind::Postgres)
    }
}

mod every_implied_error_has_been_provoked {
    use super::{Kind, Result, implied};

    #[test]
    fn sqlite() -> Result<()> {
        implied(Kind::Sqlite)
    }

    #[test]
    fn postgres() -> Result<()> {
        implied(Kind::Postgres)
    }
}
