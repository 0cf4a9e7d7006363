//! Servers that are killed, stopped, starved and crowded: what was acknowledged stays, and nothing is stuck.

mod channel;
mod chats;
mod crowd;
mod drip;
mod followers;
mod following;
mod kill;
mod opening;
mod stop;
mod trimmed;
