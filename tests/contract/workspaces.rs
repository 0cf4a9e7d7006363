//! Workspaces: who sees which.

use anyhow::ensure;
use flightdeck_sdk::generated::workspaces::ListWorkspacesParameters;
use flightdeck_sdk::types::{PairingCompletion, PairingStart, Platform};
use flightdeck_tests::{TestServer, for_each_database};
use futures_util::TryStreamExt;

use crate::support::refused;

for_each_database! {
    async fn a_machine_sees_its_workspace_and_a_device_all_that_it_was_paired_with(database) {
        let server = TestServer::start(database).await?;
        let workspace = server.pair().await?;
        let stranger = server.pair().await?;
        let mut ids = vec![workspace.workspace_id];
        for index in 0..5 {
            server.advance(std::time::Duration::from_secs(1));
            let start = PairingStart::new("m", format!("project-{index}"), format!("Project {index}"));
            let started = server.client().pairing().start_pairing(&start).await?;
            let completion = PairingCompletion::new(started.pair_token, Platform::Ios, "");
            ids.insert(0, workspace.device.pairing().complete_pairing(&completion).await?.workspace_id);
        }
        let pages = ListWorkspacesParameters::default().with_limit(2);
        let seen = workspace.device.workspaces().list_workspaces_stream(&pages);
        let seen: Vec<_> = seen.map_ok(|workspace| workspace.workspace_id).try_collect().await?;
        ensure!(seen == ids, "the device sees {seen:?} instead of {ids:?}");

        let seen = workspace.machine.workspaces().list_workspaces(&pages).await?.items;
        ensure!(seen.len() == 1 && seen[0].workspace_id == workspace.workspace_id, "the machine sees {seen:?}");
        refused(stranger.device.workspaces().get_workspace(&workspace.workspace_id).await, "workspace_not_found")?;
        refused(stranger.machine.workspaces().get_workspace(&workspace.workspace_id).await, "workspace_not_found")?;
    }
}
