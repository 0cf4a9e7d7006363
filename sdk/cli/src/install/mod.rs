//! `flightdeck install` and `uninstall`: our hooks in Claude Code's settings, beside everybody else's.
//!
//! - `json_text` finds the places in a JSON text and changes nothing but them.
//! - `hooks` says which hooks are ours, and how to recognise them.
//! - `merge` puts them into a settings text and takes them out again.
//! - `settings` is the file: where it is, how it is replaced, and what it was before.

mod hooks;
mod json_text;
mod merge;
mod settings;

pub(crate) use hooks::{Installed, Plan, installed_in};
pub(crate) use merge::with_hooks;
pub(crate) use settings::{Scope, Settings};
