//! Starting the server: what it says, what it serves, what it refuses to start with.

use anyhow::{Context, Result, ensure};
use flightdeck_sdk::types::{Decision, DecisionVerb};
use flightdeck_tests::database::TestDatabase;
use flightdeck_tests::{Kind, PairedWorkspace, Request, ServerProcess, block_on, document, for_each_database};
use serde_json::Value;
use uuid::Uuid;

for_each_database! {
    async fn it_serves_the_document_that_the_spec_gives(database) {
        let store = TestDatabase::create(database).await?;
        let server = ServerProcess::on(&store, &[]).await?;
        let answer = Request::get("/openapi.json").send(server.address()).await?;
        let served: Value = serde_json::from_slice(&answer.body)?;
        ensure!(served == *document::document(), "the document served is another one");
        let page = Request::get("/docs").send(server.address()).await?;
        ensure!((200..400).contains(&page.status), "/docs was answered {}", page.status);
    }

    /// From pairing to a decision, and not one credential in what the server prints, even at its most talkative.
    async fn it_logs_no_credential(database) {
        let store = TestDatabase::create(database).await?;
        let settings = [("FLIGHTDECK_LOG", "trace"), ("HMAC_SECRET", "a-secret-that-must-not-be-seen-anywhere")];
        let mut server = ServerProcess::on(&store, &settings).await?;
        let workspace = PairedWorkspace::pair(&server.client(database)).await?;
        let question = flightdeck_sdk::types::ApprovalRequest::new(Uuid::new_v4(), "ls", "/");
        let question = question.with_workspace_id(workspace.workspace_id);
        let asked = workspace.machine.bridge().request_approval(&question).await?;
        workspace.device.approvals().decide_approval(&asked.approval_id, &Decision::new(DecisionVerb::Approve)).await?;
        let wrong = Request::get("/v1/runs").bearer("a-token-that-must-not-be-seen-either");
        ensure!(wrong.send(server.address()).await?.status == 401, "a made-up token opened something");
        server.terminate().await?;

        let output = server.output();
        ensure!(output.lines().count() > 5, "it logged hardly anything, so this proves nothing:\n{output}");
        for secret in [
            workspace.secret.as_str(),
            &workspace.device_secret,
            &workspace.device_token,
            "a-secret-that-must-not-be-seen-anywhere",
            "a-token-that-must-not-be-seen-either",
        ] {
            ensure!(!output.contains(secret), "the log holds a credential");
        }
    }
}

/// What `start` prints when it refuses, which it must do at once.
async fn refusal(settings: &[(&str, &str)]) -> Result<String> {
    let folder = tempfile::tempdir()?;
    let folder = folder.path().to_string_lossy().into_owned();
    let mut all = vec![("FLIGHTDECK_DATA_DIR", folder.as_str())];
    all.extend(settings);
    let refused = ServerProcess::start(&all).await.err().with_context(|| format!("it starts with {settings:?}"))?;
    Ok(refused.to_string())
}

#[test]
fn a_wrong_setting_is_named_with_its_value() {
    block_on(async {
        for (name, value) in [
            ("PORT", "http"),
            ("HOST", "everywhere"),
            ("FLIGHTDECK_ENV", "prod"),
            ("FLIGHTDECK_MAX_BODY_BYTES", "1 MiB"),
            ("CORS_ORIGINS", "https://example.org/app"),
            ("FLIGHTDECK_APPROVAL_TTL_SECONDS", "0"),
        ] {
            let message = refusal(&[(name, value)]).await?;
            let flag =
                name.trim_start_matches("FLIGHTDECK_").to_lowercase().replace('_', "-").replace("env", "environment");
            let named = message.contains(name) || message.contains(&format!("--{flag}"));
            ensure!(named && message.contains(value), "{name}={value} was refused with {message}");
        }
        Ok(())
    });
}

#[test]
fn production_starts_with_no_secret_missing() {
    block_on(async {
        for secret in [None, Some("change_me"), Some("hunter2")] {
            let mut settings = vec![("FLIGHTDECK_ENV", "production")];
            settings.extend(secret.map(|secret| ("HMAC_SECRET", secret)));
            let message = refusal(&settings).await?;
            ensure!(message.contains("HMAC_SECRET"), "{message}");
            ensure!(!secret.is_some_and(|secret| message.contains(secret)), "the message shows the secret: {message}");
        }
        Ok(())
    });
}

#[test]
fn it_needs_nothing_but_a_folder() {
    block_on(async {
        let folder = tempfile::tempdir()?;
        let folder = folder.path().join("not/there/yet");
        let path = folder.to_string_lossy().into_owned();
        let server = ServerProcess::start(&[("FLIGHTDECK_DATA_DIR", &path)]).await?;
        server.client(Kind::Sqlite).health().get_readiness().await?;
        ensure!(server.url().starts_with("http://127.0.0.1:"), "it listens on {}", server.url());
        Ok(())
    });
}
