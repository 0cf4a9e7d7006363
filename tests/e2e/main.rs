//! Whole journeys through the real programs, started as a person starts them.

mod agents;
mod approval;
mod chats;
mod cockpit;
mod companion;
mod companion_cli;
mod half_open;
mod killed;
mod machine;
mod pty;
mod replicas;
mod run_cli;
mod secrets;
mod start;
mod watch_cli;
