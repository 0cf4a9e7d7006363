//! Devices: listing, changing, revoking.

use anyhow::{Result, ensure};
use flightdeck_sdk::Field;
use flightdeck_sdk::generated::devices::ListDevicesParameters;
use flightdeck_sdk::types::{DeviceUpdate, PairingCompletion, PairingStart, Platform};
use flightdeck_tests::workspace::bearing;
use flightdeck_tests::{PairedWorkspace, TestServer, for_each_database};
use futures_util::TryStreamExt;
use uuid::Uuid;

use crate::support::refused;

/// One more device of the workspace: its id and its token.
async fn add_device(server: &TestServer, workspace: &PairedWorkspace) -> Result<(Uuid, String)> {
    let started = workspace.machine.pairing().start_pairing(&PairingStart::new("m", "f", "d")).await?;
    let completion = PairingCompletion::new(started.pair_token, Platform::Web, "");
    let completed = server.client().pairing().complete_pairing(&completion).await?;
    Ok((completed.device_id, completed.device_token))
}

for_each_database! {
    /// Left out, null and a value are three different things.
    async fn a_field_is_left_alone_cleared_or_set(database) {
        let server = TestServer::start(database).await?;
        let workspace = server.pair().await?;
        let devices = workspace.device.devices();
        let id = workspace.device_id;
        let set = DeviceUpdate::default().with_name(Field::Value("Ada's phone".to_owned()));
        ensure!(devices.update_device(&id, &set).await?.name.as_deref() == Some("Ada's phone"), "it was not set");
        let other = DeviceUpdate::default().with_push_token(Field::Value("token".to_owned()));
        ensure!(devices.update_device(&id, &other).await?.name.as_deref() == Some("Ada's phone"), "it was not left alone");
        let nothing = DeviceUpdate::default();
        ensure!(devices.update_device(&id, &nothing).await?.name.as_deref() == Some("Ada's phone"), "it was not left alone");
        let clear = DeviceUpdate::default().with_name(Field::Null);
        ensure!(devices.update_device(&id, &clear).await?.name.is_none(), "it was not cleared");
        ensure!(devices.update_device(&id, &nothing).await?.name.is_none(), "it came back");
        let empty = DeviceUpdate::default().with_name(Field::Value(String::new()));
        refused(devices.update_device(&id, &empty).await, "invalid_request")?;
    }

    async fn a_revoked_device_is_out_at_once_and_may_be_revoked_again(database) {
        let server = TestServer::start(database).await?;
        let workspace = server.pair().await?;
        let (id, token) = add_device(&server, &workspace).await?;
        let phone = server.client().with_credentials(bearing(&token));
        phone.runs().list_runs(&Default::default()).await?;
        workspace.device.devices().revoke_device(&id).await?;
        refused(phone.runs().list_runs(&Default::default()).await, "device_revoked")?;
        let revoked_at = async || {
            let all = ListDevicesParameters::default().with_include_revoked(true);
            let devices: Vec<_> = workspace.device.devices().list_devices_stream(&all).try_collect().await?;
            anyhow::Ok(devices.into_iter().find(|device| device.device_id == id).and_then(|device| device.revoked_at))
        };
        let first = revoked_at().await?;
        server.advance(std::time::Duration::from_secs(60));
        workspace.device.devices().revoke_device(&id).await?;
        ensure!(first.is_some() && revoked_at().await? == first, "revoking it again moved the time");
    }

    async fn a_device_may_revoke_itself(database) {
        let server = TestServer::start(database).await?;
        let workspace = server.pair().await?;
        workspace.device.devices().revoke_device(&workspace.device_id).await?;
        refused(workspace.device.devices().list_devices(&Default::default()).await, "device_revoked")?;
    }

    async fn the_list_has_the_caller_s_companions_and_marks_the_caller(database) {
        let server = TestServer::start(database).await?;
        let workspace = server.pair().await?;
        let stranger = server.pair().await?;
        let mut ids = vec![workspace.device_id];
        for _ in 0..6 {
            server.advance(std::time::Duration::from_secs(1));
            ids.push(add_device(&server, &workspace).await?.0);
        }
        let gone = ids.remove(3);
        workspace.machine.devices().revoke_device(&gone).await?;
        ids.reverse();

        let pages = ListDevicesParameters::default().with_limit(2);
        for caller in [&workspace.device, &workspace.machine] {
            let devices: Vec<_> = caller.devices().list_devices_stream(&pages).try_collect().await?;
            let listed: Vec<_> = devices.iter().map(|device| device.device_id).collect();
            ensure!(listed == ids, "listed {listed:?} instead of {ids:?}");
            ensure!(!listed.contains(&stranger.device_id), "a stranger is listed");
        }
        let devices = workspace.device.devices().list_devices(&Default::default()).await?.items;
        for device in devices {
            ensure!(device.current == (device.device_id == workspace.device_id), "{device:?}");
            ensure!(device.workspace_ids == [workspace.workspace_id], "{device:?}");
        }
    }
}
