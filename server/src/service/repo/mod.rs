//! A person's git repositories: which may be opened, what has changed in them, and how a change is put in or taken out.
//!
//! All of it is done by the `git` program, never by a library. Hooks, clean and smudge filters, attributes, worktrees,
//! signatures and the formats of the index then behave as the person's own git does; a library lags behind each of them,
//! and differs where nobody looks. Git is started directly, never through a shell.
//!
//! A [`Repository`] is held by a handle to its folder, and what is done in it goes through that handle. What a task is,
//! what a person decided, and which HTTP code an error becomes do not belong here.

mod allow;
mod apply;
mod beneath;
mod branch;
mod compose;
mod diff;
mod error;
mod git;
mod journal;
mod land;
mod locks;
mod parse;
mod quote;
mod repository;
mod revert;
mod snapshot;
mod worktree;

#[cfg(test)]
mod tests;

pub use allow::Allowlist;
pub use apply::{Apply, Receipt, Selected};
pub use diff::{Diff, FilePatch, Hunk, Kind, MAX_DIFF_BYTES, MAX_DIFF_FILES, MAX_DIFF_LINES};
pub use error::{ApplyError, RepoError};
pub use repository::{Directory, Repository};
pub use worktree::Worktree;
