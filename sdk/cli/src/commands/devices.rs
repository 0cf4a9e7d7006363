//! Who decided, by name.

use std::collections::HashMap;

use flightdeck_sdk::Client;
use flightdeck_sdk::generated::devices::ListDevicesParameters;
use flightdeck_sdk::types::Approval;
use futures_util::StreamExt as _;
use uuid::Uuid;

/// The names of devices.
#[derive(Debug, Default)]
pub(super) struct DeviceNames(HashMap<Uuid, String>);

impl DeviceNames {
    /// Asks for those that the caller can see, if anybody of them is needed. Names are a comfort: without them ids
    /// are shown.
    pub(super) async fn for_approvals(client: &Client, approvals: &[Approval]) -> Self {
        if approvals.iter().all(|approval| approval.decided_by_device_id.is_none()) {
            return Self::default();
        }
        let parameters = ListDevicesParameters::default().with_include_revoked(true);
        let mut devices = client.devices().list_devices_stream(&parameters).take(1_000);
        let mut names = HashMap::new();
        while let Some(Ok(device)) = devices.next().await {
            if let Some(name) = device.name {
                names.insert(device.device_id, name);
            }
        }
        Self(names)
    }

    /// Who decided an approval. Not yet safe for a terminal.
    pub(super) fn decider(&self, approval: &Approval) -> String {
        match approval.decided_by_device_id {
            None => "the machine itself".to_owned(),
            Some(id) => self.0.get(&id).cloned().unwrap_or_else(|| format!("device {id}")),
        }
    }
}
