//! Generated files and the disk: what should be there, what is there, and how one becomes the other.
//!
//! [`plan`] compares and touches nothing, [`mod@write`] carries a plan out, [`manifest`] remembers what was generated.

pub mod manifest;
pub mod plan;
pub mod write;

use anyhow::Context as _;

use crate::compile::Compilation;
use crate::target::{OutputFile, rust, rust_sdk, rust_server};
use crate::{bundle, ir};

pub use manifest::Manifest;
pub use plan::{Change, Plan};

/// Every file that a spec turns into, sorted by path; the manifest is the last thing that [`plan`] adds.
///
/// # Errors
/// When a target fails, when two targets want the same file, or when one wants a file outside the repository.
pub fn produce(compilation: &Compilation, protocol: &ir::Protocol) -> anyhow::Result<Vec<OutputFile>> {
    let mut files = bundle::emit(&compilation.sources, &compilation.documents, protocol)?;
    files.extend(rust_server::emit(protocol).context("the target rust_server failed")?);
    files.extend(rust_sdk::emit(protocol).context("the target rust_sdk failed")?);
    rust::format(&mut files)?;
    sorted(files)
}

/// Sorts files and refuses those that collide or lead out of the repository.
///
/// # Errors
/// As [`produce`].
pub fn sorted(mut files: Vec<OutputFile>) -> anyhow::Result<Vec<OutputFile>> {
    files.sort_by(|one, other| one.path.cmp(&other.path));
    for file in &files {
        anyhow::ensure!(
            plan::is_generated_path(&plan::text_of(&file.path)),
            "a target wants to write {}, which is in no `generated` folder of the repository",
            file.path.display()
        );
    }
    for pair in files.windows(2) {
        anyhow::ensure!(
            pair[0].path != pair[1].path,
            "two targets, or one target twice, want to write {}",
            pair[0].path.display()
        );
    }
    Ok(files)
}
