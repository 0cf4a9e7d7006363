//! The Flightdeck server: see the README of the repository for what it is.
//!
//! `surface` decodes and authorises, `service` holds the rules, `log` and `store` keep what happened. `app` puts them
//! together, and [`start`] runs them.

mod app;
pub mod auth;
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
