//! SIGTERM: requests in flight are answered, waiters are sent away unharmed, and the process ends soon.

use std::time::{Duration, Instant};

use anyhow::ensure;
use flightdeck_sdk::generated::bridge::WaitForApprovalParameters;
use flightdeck_sdk::types::{ApprovalRequest, ApprovalStatus};
use flightdeck_tests::database::TestDatabase;
use flightdeck_tests::{PairedWorkspace, ServerProcess, for_each_database};
use tokio::net::TcpStream;
use uuid::Uuid;

const WAITERS: u64 = 100;

for_each_database! {
    async fn a_server_that_is_asked_to_end_ends_well(database) {
        let store = TestDatabase::create(database).await?;
        let mut server = ServerProcess::on(&store, &[]).await?;
        let workspace = PairedWorkspace::pair(&server.client(database)).await?;
        let question = ApprovalRequest::new(Uuid::new_v4(), "ls", "/").with_workspace_id(workspace.workspace_id);
        let asked = workspace.machine.bridge().request_approval(&question).await?;
        let parameters = WaitForApprovalParameters::default().with_timeout(600);
        let waiters: Vec<_> = (0..WAITERS)
            .map(|_| tokio::spawn(workspace.machine.bridge().wait_for_approval(&asked.approval_id, &parameters).into_future()))
            .collect();
        while workspace.device.health().get_server_health().await?.waiting_hooks < WAITERS {
            tokio::task::yield_now().await;
        }
        // Somebody who says nothing must not hold it up.
        let _silent = TcpStream::connect(server.address()).await?;

        let started = Instant::now();
        let code = server.terminate().await?;
        let took = started.elapsed();
        ensure!(code == Some(0), "it ended with {code:?}:\n{}", server.output());
        ensure!(took < Duration::from_secs(6), "it took {took:?}");
        for waiter in waiters {
            let verdict = waiter.await??;
            ensure!(verdict.status == ApprovalStatus::Pending, "{verdict:?}");
        }
    }
}
