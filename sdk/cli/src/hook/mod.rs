//! `flightdeck hook claude-code`: what Claude Code runs on its events.
//!
//! One event goes through here like this:
//!
//! - `input` reads it; `caller` makes sure that it is Claude Code's.
//! - `session` remembers the tool calls and questions that are open, in a small file; `correlate` says what the
//!   event means for them.
//! - `report` turns it into an event for the timeline, `compact` keeps that small.
//! - `outbox` stores what is to be sent, in order; `deliver` sends it from a process of its own, so that the agent
//!   never waits for the network.
//! - For the event that is the gate, `question` says what is asked, `gate` asks and waits, `ledger` is the server
//!   that it asks, `lifetime` notices when the agent does not want the answer any more.
//! - `answer` is what Claude Code understands. `run` holds it all together and prints at most one of them.
//! - `log` is where failures go: the agent never hears of them.

mod answer;
mod caller;
mod compact;
mod correlate;
mod deliver;
mod gate;
mod input;
mod ledger;
mod lifetime;
mod log;
mod outbox;
mod question;
mod report;
mod run;
mod session;

pub(crate) use deliver::deliver;
pub(crate) use run::{HookOptions, run};
