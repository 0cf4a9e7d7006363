//! The rules of the house, as tests: which part may use which, how files are named, how long they may be.
//!
//! They read the source, not the types: what they forbid compiles well enough.

mod arrows;
mod files;
mod nouns;
