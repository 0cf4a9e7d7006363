//! The rules of the profile that need more than one file, or more than one place of a file.
//!
//! Each module holds the rules about one thing and knows nothing of the others; the order below does not matter.

pub mod close_codes;
pub mod errors;
pub mod examples;
pub mod messages;
pub mod names;
pub mod operations;
pub mod pagination;
pub mod parameters;
pub mod resume;
pub mod routes;
pub mod sockets;
pub mod types;
pub mod unions;
pub mod verbs;

use crate::diagnostic::Problems;
use crate::document::Documents;
use crate::source::Sources;

/// Which rules may be left out.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Do not ask for an example of every operation and socket, for a spec that is still being written.
    pub without_examples: bool,
}

/// Checks every rule.
pub fn check(sources: &Sources, documents: &Documents, options: Options, problems: &mut Problems) {
    types::check(documents, problems);
    unions::check(documents, problems);
    routes::check(documents, problems);
    operations::check(documents, problems);
    parameters::check(documents, problems);
    pagination::check(documents, problems);
    errors::check(sources, documents, problems);
    sockets::check(sources, documents, problems);
    messages::check(documents, problems);
    close_codes::check(sources, documents, problems);
    resume::check(documents, problems);
    names::check(documents, problems);
    examples::check(sources, documents, options, problems);
}
