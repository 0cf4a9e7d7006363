//! Pairing: how a machine and a device come to trust each other, and nobody else.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use flightdeck_sdk::generated::pairing::GetPairingResultParameters;
use flightdeck_sdk::types::{PairingCompletion, PairingStart, PairingStarted, PairingStatus, Platform};
use flightdeck_tests::{Kind, TestServer, block_on, for_each_database};

use crate::support::refused;

const LIFETIME: Duration = Duration::from_secs(10 * 60);

async fn start(server: &TestServer) -> Result<PairingStarted> {
    let start = PairingStart::new("ada-laptop", "3f1d8c", "flightdeck on ada-laptop");
    Ok(server.client().pairing().start_pairing(&start).await?)
}

fn completion(started: &PairingStarted) -> PairingCompletion {
    PairingCompletion::new(started.pair_token.clone(), Platform::Android, "push-token")
}

for_each_database! {
    async fn both_screens_show_the_same_four_characters(database) {
        let server = TestServer::start(database).await?;
        let started = start(&server).await?;
        let completed = server.client().pairing().complete_pairing(&completion(&started)).await?;
        ensure!(started.match_code == completed.match_code, "{} and {}", started.match_code, completed.match_code);
        ensure!(started.match_code.chars().count() == 4, "{}", started.match_code);
    }

    async fn a_token_expires_after_ten_minutes(database) {
        let server = TestServer::start(database).await?;
        let in_time = start(&server).await?;
        let too_late = start(&server).await?;
        server.advance(LIFETIME - Duration::from_secs(1));
        server.client().pairing().complete_pairing(&completion(&in_time)).await?;
        server.advance(Duration::from_secs(1));
        refused(server.client().pairing().complete_pairing(&completion(&too_late)).await, "pair_token_invalid")?;
    }

    async fn of_many_devices_with_the_same_token_one_is_paired(database) {
        let server = TestServer::start(database).await?;
        let completion = completion(&start(&server).await?);
        let client = server.client();
        let attempts = (0..16).map(|_| async { client.pairing().complete_pairing(&completion).await });
        let outcomes = futures_util::future::join_all(attempts).await;
        let paired = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
        ensure!(paired == 1, "{paired} of 16 were paired");
        for outcome in outcomes.into_iter().filter(Result::is_err) {
            refused(outcome, "pair_token_invalid")?;
        }
        ensure!(server.count("devices").await? == 1, "a device is left over");
    }

    async fn the_machine_waits_and_is_told_at_once(database) {
        let server = TestServer::start(database).await?;
        let started = start(&server).await?;
        let client = server.client();
        let parameters = GetPairingResultParameters::default().with_timeout(60);
        let wait = client.pairing().get_pairing_result(&parameters).bearer(started.poll_token.as_str()).into_future();
        let wait = tokio::spawn(wait);
        client.pairing().complete_pairing(&completion(&started)).await?;
        // The server's clock stands still: only the completion can end the wait.
        let result = wait.await??;
        ensure!(result.status == PairingStatus::Completed, "{result:?}");
        ensure!(result.bridge_secret.is_some() && result.workspace_id.is_some(), "{result:?}");
        ensure!(result.platform == Some(Platform::Android), "{result:?}");
    }

    async fn a_machine_that_waits_in_vain_is_told_so(database) {
        let server = TestServer::start(database).await?;
        let started = start(&server).await?;
        let client = server.client();
        let parameters = GetPairingResultParameters::default().with_timeout(3);
        let wait = client.pairing().get_pairing_result(&parameters).bearer(started.poll_token.as_str());
        let result = server.hurry(wait.into_future()).await?;
        ensure!(result.status == PairingStatus::Pending, "{result:?}");
        ensure!(result.bridge_secret.is_none(), "{result:?}");
    }

    /// A machine that comes back late learns that it is too late, and much later nothing any more.
    async fn an_expired_pairing_says_so_for_an_hour(database) {
        const HOUR: Duration = Duration::from_secs(60 * 60);
        let server = TestServer::start(database).await?;
        let started = start(&server).await?;
        let client = server.client();
        let poll = |timeout: u64| {
            let parameters = GetPairingResultParameters::default().with_timeout(timeout);
            client.pairing().get_pairing_result(&parameters).bearer(started.poll_token.as_str()).into_future()
        };
        server.advance(LIFETIME - Duration::from_secs(10));
        // It waits beyond the end, and is told at the end.
        let result = server.hurry(poll(60)).await?;
        ensure!(result.status == PairingStatus::Expired, "{result:?}");
        server.advance(HOUR - Duration::from_secs(120));
        let result = poll(0).await?;
        ensure!(result.status == PairingStatus::Expired && result.bridge_secret.is_none(), "{result:?}");
        server.advance(Duration::from_secs(120));
        // The server forgets on its next round.
        let forgotten = server.hurry(async {
            loop {
                match poll(0).await {
                    Ok(result) => ensure!(result.status == PairingStatus::Expired, "{result:?}"),
                    refusal => return refused(refusal, "credential_invalid"),
                }
            }
        });
        tokio::time::timeout(Duration::from_secs(30), forgotten).await.context("it is never forgotten")??;
    }

    async fn the_pair_token_reads_no_outcome(database) {
        let server = TestServer::start(database).await?;
        let started = start(&server).await?;
        let client = server.client();
        client.pairing().complete_pairing(&completion(&started)).await?;
        let peek = client.pairing().get_pairing_result(&Default::default()).bearer(started.pair_token.as_str());
        refused(peek.await, "credential_invalid")?;
    }

    async fn machine_and_device_get_keys_of_their_own(database) {
        let server = TestServer::start(database).await?;
        let workspace = server.pair().await?;
        ensure!(workspace.secret != workspace.device_secret, "they share a key, so revoking one would end both");
    }

    async fn a_signed_pairing_adds_a_device_to_the_workspace(database) {
        let server = TestServer::start(database).await?;
        let workspace = server.pair().await?;
        let machine = workspace.machine.pairing();
        let started = machine.start_pairing(&PairingStart::new("ada-laptop", "3f1d8c", "x")).await?;
        let completed = server.client().pairing().complete_pairing(&completion(&started)).await?;
        ensure!(completed.workspace_id == workspace.workspace_id, "it is another workspace");
        ensure!(completed.device_id != workspace.device_id, "it is the same device");
        let result = machine.get_pairing_result(&Default::default()).bearer(started.poll_token.as_str()).await?;
        ensure!(result.bridge_secret.is_none(), "the machine has a key already");
    }

    async fn a_device_that_shows_its_token_keeps_its_identity(database) {
        let server = TestServer::start(database).await?;
        let first = server.pair().await?;
        let started = start(&server).await?;
        let completed = first.device.pairing().complete_pairing(&completion(&started)).await?;
        ensure!(completed.device_id == first.device_id, "it became another device");
        ensure!(completed.workspace_id != first.workspace_id, "it is the same workspace");
        let workspaces = first.device.workspaces().list_workspaces(&Default::default()).await?.items;
        ensure!(workspaces.len() == 2, "it sees {} workspaces", workspaces.len());
    }
}

/// Whoever gets hold of the database gets no credential.
#[test]
fn no_credential_is_stored_as_it_is() {
    block_on(async {
        let mut server = TestServer::start(Kind::Sqlite).await?;
        let started = start(&server).await?;
        let completed = server.client().pairing().complete_pairing(&completion(&started)).await?;
        let result = server.client().pairing().get_pairing_result(&Default::default());
        let result = result.bearer(started.poll_token.as_str()).await?;
        let secrets = [
            ("pair_token", started.pair_token),
            ("poll_token", started.poll_token),
            ("device_token", completed.device_token),
            ("the device's bridge_secret", completed.bridge_secret),
            ("the machine's bridge_secret", result.bridge_secret.context("it has one")?),
        ];
        server.stop().await;
        for entry in std::fs::read_dir(server.database().folder())? {
            let path = entry?.path();
            if path.is_dir() {
                // Repositories, which are nobody's secrets.
                continue;
            }
            let bytes = std::fs::read(&path)?;
            for (name, secret) in &secrets {
                let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
                ensure!(!found, "{name} is in {}", path.display());
            }
        }
        Ok(())
    });
}
