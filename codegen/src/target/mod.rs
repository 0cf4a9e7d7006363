//! Back ends: from the neutral model to files of one language.
//!
//! Each target lowers the model once more, to names, types and literals of its language, and fills templates that
//! decide nothing. What targets of one language share has a module of that language ([`rust`]); what all share is
//! here. A further language is a sibling folder with an `emit` of its own.

pub mod output_file;
pub mod rust;
pub mod rust_sdk;
pub mod rust_server;
mod scope;
mod text;

pub use output_file::OutputFile;
