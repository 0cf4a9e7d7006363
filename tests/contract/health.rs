//! Signs of life, readiness, metrics.

use std::time::{Duration, Instant};

use anyhow::ensure;
use flightdeck_tests::raw::Signer;
use flightdeck_tests::{Kind, Request, TestOptions, TestServer, block_on, for_each_database};

use crate::support::{ask, start_run};

for_each_database! {
    async fn the_server_describes_itself(database) {
        let server = TestServer::start(database).await?;
        let workspace = server.pair().await?;
        let run_id = start_run(&server, &workspace).await?;
        ask(&server, &workspace, run_id).await?;
        let health = workspace.device.health().get_server_health().await?;
        ensure!(health.database.as_str() == database.as_str(), "{health:?}");
        ensure!(health.pending_approvals == 1 && health.waiting_hooks == 0, "{health:?}");
    }

    async fn every_answer_names_its_request(database) {
        let server = TestServer::start(database).await?;
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..10 {
            let answer = server.send(&Request::get("/healthz")).await?;
            let id = answer.headers["x-request-id"].to_str()?.to_owned();
            ensure!(seen.insert(id), "two requests have the same name");
        }
    }

    /// Numbers only: whoever reads the metrics learns nothing about anybody.
    async fn metrics_hold_no_ids_and_no_texts(database) {
        let server = TestServer::start(database).await?;
        let workspace = server.pair().await?;
        let run_id = start_run(&server, &workspace).await?;
        let approval_id = ask(&server, &workspace, run_id).await?;
        let metrics = workspace.device.health().get_metrics().await?;
        for private in [
            run_id.to_string(),
            approval_id.to_string(),
            workspace.workspace_id.to_string(),
            workspace.device_id.to_string(),
            workspace.device_token.clone(),
            "cargo publish".to_owned(),
            "claude_code".to_owned(),
        ] {
            ensure!(!metrics.contains(&private), "the metrics hold {private}");
        }
        ensure!(metrics.trim_end().ends_with("# EOF"), "OpenMetrics ends with # EOF");
        for label in metrics.lines().filter(|line| !line.starts_with('#')) {
            ensure!(!label.contains("/v1/runs/") || label.contains("{run_id}"), "a label grows with the data: {label}");
        }
    }

    /// In development a client on the same machine needs no credential; nobody else does without.
    async fn metrics_are_read_without_a_credential_in_development_only(database) {
        let server = TestServer::start(database).await?;
        server.send(&Request::get("/metrics")).await?.success()?;
        let through_a_proxy = Request::get("/metrics").header("X-Forwarded-For", "203.0.113.7");
        server.send(&through_a_proxy).await?.refused("credential_missing")?;

        let server = TestServer::with(TestOptions::new(database).production()).await?;
        server.send(&Request::get("/metrics")).await?.refused("credential_missing")?;
        let workspace = server.pair().await?;
        server.send(&Request::get("/metrics").bearer("made-up")).await?.refused("credential_invalid")?;
        let by_name = Request::get("/metrics").header("X-Device-Id", workspace.device_id.to_string());
        ensure!(server.send(&by_name).await?.status == 401, "a name is enough");
        server.send(&Request::get("/metrics").bearer(&workspace.device_token)).await?.success()?;
    }
}

for_each_database! {
    /// Both keys of a workspace will do: numbers are nothing that only a person may see.
    async fn metrics_are_read_with_a_signature(database) {
        let server = TestServer::with(TestOptions::new(database).production()).await?;
        let workspace = server.pair().await?;
        let machine = workspace.signer(&server);
        let device = Signer { secret: workspace.device_secret.clone(), ..machine.clone() };
        for signer in [machine, device] {
            server.send(&Request::get("/metrics").sign(&signer)).await?.success()?;
            let forged = Signer { secret: "guessed".to_owned(), ..signer };
            server.send(&Request::get("/metrics").sign(&forged)).await?.refused("signature_invalid")?;
        }
    }
}

mod without_its_database {
    use anyhow::Result;

    use super::{Duration, Instant, Kind, Request, TestOptions, TestServer, block_on, ensure, start_run};

    /// It lives, says that it is not ready, refuses at once, and recovers by itself.
    async fn it_waits() -> Result<()> {
        let mut server = TestServer::with(TestOptions::new(Kind::Postgres).real_time()).await?;
        let workspace = server.pair().await?;
        server.database().take_away().await?;
        for request in [Request::get("/readyz"), Request::get("/v1/runs").bearer(&workspace.device_token)] {
            let started = Instant::now();
            server.send(&request).await?.refused("unavailable")?;
            let took = started.elapsed();
            ensure!(took < Duration::from_secs(8), "{} took {took:?}", request.target);
        }
        server.send(&Request::get("/healthz")).await?.success()?;
        server.database().give_back().await?;
        let deadline = Instant::now() + Duration::from_secs(10);
        while server.send(&Request::get("/readyz")).await?.status != 200 {
            ensure!(Instant::now() < deadline, "it does not recover");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        start_run(&server, &workspace).await?;
        Ok(())
    }

    /// SQLite has nobody who could go away.
    #[test]
    fn postgres() {
        block_on(it_waits());
    }
}
