//! Servers that are killed, stopped and starved: what was acknowledged stays, and nothing is stuck.

mod kill;
mod stop;
