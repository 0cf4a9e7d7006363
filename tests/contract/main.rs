//! Contract tests: whatever the spec says, the server does.
//!
//! One module for each surface, named as it is everywhere else; beside them what goes across surfaces. Every answer is
//! judged by the harness, so a test here is about what is right in particular.

mod support;

// The surfaces.
mod agents;
mod approvals;
mod bridge;
mod chats;
mod cockpit;
mod companion;
mod devices;
mod health;
mod hub;
mod mobile;
mod pairing;
mod runs;
mod workspaces;

// What goes across them.
mod authorisation;
mod examples;
mod idempotency;
mod malformed;
mod parity;
mod signatures;
mod sockets;
