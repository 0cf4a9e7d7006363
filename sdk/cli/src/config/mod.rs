//! Where the CLI keeps what it knows, and which value counts when several say different things.
//!
//! - `places`: the folders and files.
//! - `private_file`: reading and writing files that nobody else may read.
//! - `file`: `config.toml`, which the user writes.
//! - `credentials`: `credentials.json`, which pairing and `run` write.
//! - `companion_token`: what the companion's surface asks for.
//! - `machine`: the machine's own id.
//! - `effective`: flag, environment, credential, file and default, put in order.

mod companion_token;
mod credentials;
mod effective;
mod file;
mod machine;
mod places;
mod private_file;

pub(crate) use companion_token::CompanionToken;
pub(crate) use credentials::{Credentials, DeviceCredential, KeptTask, ProjectCredential};
pub(crate) use effective::{Effective, Flags, Source, connect, connect_paired, connect_signed};
pub(crate) use file::{CompanionConfig, ConfigFile, Delivery, Gate, HookConfig, WhenUnreachable};
pub(crate) use machine::machine_id;
pub(crate) use places::Places;
pub(crate) use private_file::{create_private_folder, read_private, replace_keeping_mode, write_private};
