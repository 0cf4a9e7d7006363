//! What the targets written in Rust share: identifiers, docs, literals, types, templates and the formatter.

pub(crate) mod documentation;
pub mod format;
pub(crate) mod identifier;
pub(crate) mod imports;
pub(crate) mod literal;
pub(crate) mod operation;
pub(crate) mod socket;
pub(crate) mod template;
pub(crate) mod types;

pub use format::format;
