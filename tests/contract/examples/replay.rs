//! Every example of the spec holds, and every example that has to be there is there.

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use flightdeck_api::generated::OPERATIONS;
use flightdeck_api::generated::errors::ErrorCode;
use flightdeck_tests::spec::{declared_errors, implied_errors};
use flightdeck_tests::{for_each_database, spec};
use futures_util::stream::{self, StreamExt};

use super::{example, player};

for_each_database! {
    /// Plays every example of every operation. One test, so that an operation that is added needs no line here; what
    /// fails is named, and one failure does not hide the others.
    async fn every_operation_does_as_its_examples_say(database) {
        let mut examples = Vec::new();
        for operation in OPERATIONS {
            examples.extend(example::names(operation)?.into_iter().map(|name| (operation, name)));
        }
        let played = examples.iter().map(async |(operation, name)| {
            let outcome = async {
                let example = example::load(operation, name)?;
                ensure!(example.operation.is_none(), "the file's name says already which operation this is about");
                player::play(database, Some(operation), &example).await
            };
            outcome.await.with_context(|| format!("{}/{}, {name}", operation.surface, operation.id))
        });
        report(side_by_side(played).await)?;
    }

    async fn every_error_happens_as_its_example_says(database) {
        let files = error_files()?;
        let played = files.iter().map(async |path| {
            let outcome = async {
                let (operation, example) = example::load_error(path)?;
                ensure!(example.response.error.as_deref() == stem(path), "the file's name is another code");
                player::play(database, operation, &example).await
            };
            outcome.await.with_context(|| path.display().to_string())
        });
        report(side_by_side(played).await)?;
    }
}

#[test]
fn every_operation_has_an_example_of_its_success_and_of_each_error_it_declares() -> Result<()> {
    let mut missing = Vec::new();
    for operation in OPERATIONS {
        let names: BTreeSet<_> = example::names(operation)?.into_iter().collect();
        let mut wanted = declared_errors(operation.surface, operation.id)?;
        wanted.push("success".to_owned());
        missing.extend(
            wanted.into_iter().filter(|name| !names.contains(name)).map(|name| format!("{}: {name}", operation.id)),
        );
    }
    ensure!(missing.is_empty(), "these examples are missing: {missing:?}");
    Ok(())
}

#[test]
fn every_error_that_no_operation_declares_itself_has_an_example() -> Result<()> {
    let mut wanted: BTreeSet<_> = implied_errors()?.into_iter().collect();
    for path in error_files()? {
        let code = stem(&path).context("a file has a name")?.to_owned();
        ensure!(wanted.remove(&code), "{} is about a code that nothing implies", path.display());
    }
    ensure!(wanted.is_empty(), "spec/examples/errors lacks {wanted:?}");
    Ok(())
}

#[test]
fn every_code_of_the_catalogue_is_generated() -> Result<()> {
    let catalogue = spec::read(&spec::folder().join("errors.yaml"))?;
    let written: BTreeSet<_> =
        catalogue.as_object().context("the catalogue is a mapping")?.keys().map(String::as_str).collect();
    let generated: BTreeSet<_> = ErrorCode::ALL.iter().map(|code| code.as_str()).collect();
    ensure!(written == generated, "the spec has {written:?}, the server {generated:?}");
    Ok(())
}

fn error_files() -> Result<Vec<PathBuf>> {
    let folder = spec::folder().join("examples/errors");
    let mut files = Vec::new();
    for entry in std::fs::read_dir(&folder).with_context(|| format!("reading {}", folder.display()))? {
        files.push(entry?.path());
    }
    files.sort();
    Ok(files)
}

fn stem(path: &std::path::Path) -> Option<&str> {
    path.file_stem()?.to_str()
}

/// Plays some at once, because each mostly waits; gives what failed.
async fn side_by_side(played: impl IntoIterator<Item = impl Future<Output = Result<()>>>) -> Vec<String> {
    const AT_ONCE: usize = 4;
    let outcomes: Vec<_> = stream::iter(played).buffer_unordered(AT_ONCE).collect().await;
    outcomes.into_iter().filter_map(Result::err).map(|error| format!("{error:?}")).collect()
}

fn report(mut faults: Vec<String>) -> Result<()> {
    faults.sort();
    ensure!(faults.is_empty(), "{} examples do not hold:\n\n{}", faults.len(), faults.join("\n\n"));
    Ok(())
}
