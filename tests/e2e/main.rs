//! Whole journeys through the real programs, started as a person starts them.

mod agent;
mod approval;
mod chats;
mod companion;
mod companion_cli;
mod half_open;
mod killed;
mod machine;
mod real_agent;
mod replicas;
mod secrets;
mod start;
mod watch_cli;
