//! A machine and a device that have been paired, each with a client of its own.

use anyhow::{Context, Result};
use flightdeck_sdk::types::{PairingCompletion, PairingStart, Platform};
use flightdeck_sdk::{Client, Credentials, Secret, WorkspaceCredentials};
use uuid::Uuid;

use crate::raw::Signer;
use crate::server::TestServer;

/// A workspace, and the two that trust each other in it.
#[derive(Debug, Clone)]
pub struct PairedWorkspace {
    /// Signs, as a hook runner does.
    pub machine: Client,
    /// Sends its device token, as a phone does.
    pub device: Client,
    pub workspace_id: Uuid,
    /// The machine's key.
    pub secret: String,
    /// The device's own key.
    pub device_secret: String,
    pub device_id: Uuid,
    pub device_token: String,
}

impl PairedWorkspace {
    /// Pairs a new machine with a new device, by a client without credentials.
    ///
    /// # Errors
    /// The server refuses.
    pub async fn pair(anyone: &Client) -> Result<Self> {
        let start = PairingStart::new(format!("machine-{}", Uuid::new_v4()), "project", "A test's workspace");
        let started = anyone.pairing().start_pairing(&start).await.context("starting a pairing")?;
        let completion = PairingCompletion::new(started.pair_token, Platform::Ios, "");
        let completed = anyone.pairing().complete_pairing(&completion).await.context("completing a pairing")?;
        let result = anyone
            .pairing()
            .get_pairing_result(&Default::default())
            .bearer(started.poll_token)
            .await
            .context("reading a pairing's outcome")?;
        let secret = result.bridge_secret.context("a completed pairing gives the machine its key")?;
        Ok(Self {
            machine: anyone.with_credentials(signing(completed.workspace_id, &secret)),
            device: anyone.with_credentials(bearing(&completed.device_token)),
            workspace_id: completed.workspace_id,
            secret,
            device_secret: completed.bridge_secret,
            device_id: completed.device_id,
            device_token: completed.device_token,
        })
    }

    /// Signs hand-made requests with the machine's key, now.
    #[must_use]
    pub fn signer(&self, server: &TestServer) -> Signer {
        Signer { workspace_id: self.workspace_id, secret: self.secret.clone(), now: server.now() }
    }
}

/// The credentials of a machine.
#[must_use]
pub fn signing(workspace_id: Uuid, secret: &str) -> Credentials {
    let workspace = WorkspaceCredentials { workspace_id, bridge_secret: Secret::from(secret) };
    Credentials { workspace: Some(workspace), ..Credentials::default() }
}

/// The credentials of a device.
#[must_use]
pub fn bearing(token: &str) -> Credentials {
    Credentials { device_token: Some(Secret::from(token)), ..Credentials::default() }
}

/// The credentials of a device that only says its name.
#[must_use]
pub fn claiming(device_id: Uuid) -> Credentials {
    Credentials { device_id: Some(device_id), ..Credentials::default() }
}
