//! The Flightdeck server: see the README of the repository for what it is.
//!
//! `surface` decodes and authorises, `service` holds the rules, `log` and `store` keep what happened. `app` puts them
//! together, and [`start`] runs them. `bus` is what servers on one database tell each other.

mod app;
pub mod auth;
pub mod bus;
pub mod clock;
pub mod config;
mod error;
pub mod http;
pub mod log;
pub mod metrics;
pub mod secret;
pub mod service;
pub mod store;
pub mod surface;

pub use app::{Running, start};
