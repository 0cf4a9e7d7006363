//! Flightdeck's code generator: reads `spec/`, checks it against the profile, and writes the server's stubs, the
//! SDKs and the bundled document.
//!
//! A run is a row of stages, each in a module of its own, each with one output:
//!
//! 1. [`source`]: files into trees whose every node knows its place;
//! 2. [`document`]: trees into typed documents, refusing whatever the profile does not know;
//! 3. [`lint`]: the rules that need more than one file;
//! 4. [`lower`]: documents into the neutral model, [`ir`];
//! 5. [`target`] and [`bundle`]: the model into files;
//! 6. [`output`]: files onto the disk.
//!
//! [`compile`] ties the first four together, [`diff`] compares two models, [`cli`] is what a person types.
//! `README.md` beside this crate explains how to add an input or a target.

pub mod bundle;
pub mod cli;
pub mod compile;
pub mod diagnostic;
pub mod diff;
pub mod document;
pub mod ir;
pub mod lint;
pub mod lower;
pub mod names;
pub mod output;
pub mod source;
pub mod target;
