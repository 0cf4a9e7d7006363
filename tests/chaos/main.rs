//! Servers that are killed, stopped, starved and crowded: what was acknowledged stays, and nothing is stuck.

mod crowd;
mod drip;
mod followers;
mod kill;
mod stop;
