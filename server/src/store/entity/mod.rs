//! One sea-orm entity per table of `migrations`.

pub mod agent;
pub mod approval;
pub mod bridge_key;
pub mod chat;
pub mod device;
pub mod event;
pub mod fact;
pub mod hub_connection;
pub mod hub_subscription;
pub mod idempotency_key;
pub mod nonce;
pub mod pairing;
pub mod run;
pub mod session;
pub mod stream;
pub mod task;
pub mod task_patch;
pub mod turn;
pub mod workspace;
pub mod workspace_device;
