//! From a spec to its model: ties the stages together, for the commands and for tests.

use std::collections::BTreeMap;
use std::path::Path;

use crate::diagnostic::{Diagnostic, Problems, render};
use crate::document::{self, Documents};
use crate::ir::Protocol;
use crate::lint::{self, Options};
use crate::lower;
use crate::source::{Raw, Sources, files, git};

/// A spec that has been read and checked.
#[derive(Debug)]
pub struct Compilation {
    pub sources: Sources,
    pub documents: Documents,
    /// Sorted by place.
    pub diagnostics: Vec<Diagnostic>,
    /// Absent when there are errors.
    pub protocol: Option<Protocol>,
}

impl Compilation {
    /// What was found, for a person to read.
    pub fn report(&self) -> String {
        render::human(&self.diagnostics, &self.sources)
    }
}

/// Reads and checks the spec in a folder. `label` is put before every path that is shown.
///
/// # Errors
/// When the folder cannot be read. Faults of the spec itself are diagnostics.
pub fn from_folder(folder: &Path, label: &str, options: Options) -> anyhow::Result<Compilation> {
    Ok(from_files(files::find(folder)?, label, options))
}

/// Reads and checks the spec that a folder held in a git revision.
///
/// # Errors
/// When git cannot give the files.
pub fn from_revision(folder: &Path, revision: &str, options: Options) -> anyhow::Result<Compilation> {
    Ok(from_files(git::find(folder, revision)?, revision, options))
}

/// Reads and checks a spec whose files are given.
pub fn from_files(found: BTreeMap<String, Raw>, label: &str, options: Options) -> Compilation {
    let mut problems = Problems::default();
    let sources = Sources::parse(label, found, &mut problems);
    let documents = document::read(&sources, &mut problems);
    lint::check(&sources, &documents, options, &mut problems);
    let protocol = (!problems.has_errors()).then(|| lower::lower(&documents));
    Compilation { sources, documents, diagnostics: problems.into_sorted(), protocol }
}
