//! The `devices` surface.

use flightdeck_api::generated::devices::{DevicesApi, ListDevicesParameters};
use flightdeck_api::generated::types;
use flightdeck_api::support::{ApiError, Context};
use poem_openapi::types::MaybeUndefined;
use uuid::Uuid;

use super::convert;
use crate::auth::Authority;
use crate::service::devices::Devices;
use crate::store::devices::DeviceChange;

pub(super) struct DevicesSurface {
    pub(super) authority: Authority,
    pub(super) devices: Devices,
}

impl DevicesApi for DevicesSurface {
    async fn list_devices(
        &self,
        context: &Context,
        parameters: ListDevicesParameters,
    ) -> Result<types::DevicePage, ApiError> {
        let caller = self.authority.supervisor(context).await?;
        let slice = convert::slice(parameters.limit, parameters.cursor);
        let page = self.devices.list(&caller.scope(), parameters.include_revoked, &slice).await?;
        let current = caller.device_id();
        Ok(types::DevicePage {
            items: page.items.into_iter().map(|device| convert::device(device, current)).collect::<Result<_, _>>()?,
            next_cursor: page.next_cursor,
        })
    }

    async fn update_device(
        &self,
        context: &Context,
        device_id: Uuid,
        body: types::DeviceUpdate,
    ) -> Result<types::Device, ApiError> {
        let caller = self.authority.supervisor(context).await?;
        let change = DeviceChange { name: change(body.name), push_token: change(body.push_token) };
        let (scope, current) = (caller.scope(), caller.device_id());
        let device = self.devices.update(&scope, device_id, change, caller.into_nonce()).await?;
        convert::device(device, current)
    }

    async fn revoke_device(&self, context: &Context, device_id: Uuid) -> Result<(), ApiError> {
        let caller = self.authority.supervisor(context).await?;
        let scope = caller.scope();
        self.devices.revoke(&scope, device_id, caller.into_nonce()).await
    }
}

/// Absent leaves the field as it is, null clears it.
fn change(value: MaybeUndefined<String>) -> Option<Option<String>> {
    match value {
        MaybeUndefined::Undefined => None,
        MaybeUndefined::Null => Some(None),
        MaybeUndefined::Value(text) => Some(Some(text)),
    }
}
