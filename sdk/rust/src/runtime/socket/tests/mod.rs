//! Tests of sockets, with a small protocol of their own. The machine is tested without any connection, the driver with
//! scripted ones in paused time, and the real transport against a server of a few lines.

mod bench;
mod chat;
mod delivery;
mod driver;
mod queue;
mod raw;
mod session;
mod simulation;
mod transitions;
mod upgrade;
