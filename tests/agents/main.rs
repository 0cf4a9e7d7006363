//! The server's agents over real programs: sessions that were recorded with real agents, and programs that misbehave.
//!
//! The programs are the suite's own (`program`), so nothing has to be installed, but for the one agent of `real_agent`.

mod acp;
mod cancelled;
mod claude_code;
mod codex;
mod misbehaving;
mod odd_acp;
mod real_agent;
mod scripted;
mod steps;
mod telling;
