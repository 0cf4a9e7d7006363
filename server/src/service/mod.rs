//! The rules. Each file holds those of one noun; surfaces call them, whatever protocol they speak.
//!
//! A service takes what it needs to know of the caller as a [`Scope`](crate::store::workspaces::Scope) or an id, never
//! as a credential. It refuses with codes of the catalogue.

pub mod agents;
pub mod approvals;
pub mod chats;
pub mod commands;
pub mod companion;
pub mod devices;
pub mod home;
pub mod hub;
mod idempotency;
pub mod paging;
pub mod pairing;
pub mod patience;
mod programs;
pub mod repo;
pub mod runs;
pub mod sessions;
pub mod streams;
mod tagged;
pub mod tasks;
pub mod terminal;
pub mod upkeep;
pub mod workspaces;

pub use idempotency::claim;
