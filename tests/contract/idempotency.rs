//! `Idempotency-Key`, on every operation that takes one: by the document, not by a list kept here.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use flightdeck_api::generated::OPERATIONS;
use flightdeck_api::support::OperationInfo;
use flightdeck_tests::{Kind, Request, TestOptions, TestServer, for_each_database};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::examples::{Credential, Player};
use crate::support::{event, question};

const KEY: &str = "b3f0e1f6-1a57-4c55-9d5e-6f2f6f0f3a11";

/// Runs a check for each operation that takes a key, on a server of its own.
async fn each<Check>(database: Kind, check: Check) -> Result<()>
where
    Check: AsyncFn(&mut Player, &'static OperationInfo) -> Result<()>,
{
    let mut faults = Vec::new();
    for operation in OPERATIONS.iter().filter(|operation| operation.idempotent) {
        let mut player = Player::start(TestOptions::new(database)).await?;
        if let Err(error) = check(&mut player, operation).await {
            faults.push(format!("{}: {error:?}", operation.id));
        }
    }
    ensure!(faults.is_empty(), "{}", faults.join("\n\n"));
    Ok(())
}

/// The request of the operation's example, with the key; signed anew each time it is asked for.
async fn keyed(player: &mut Player, operation: &OperationInfo) -> Result<Request> {
    Ok(player.ready(operation, Credential::OfTheExample).await?.header("Idempotency-Key", KEY))
}

/// The same with another body: one text in it is longer.
async fn keyed_otherwise(player: &mut Player, operation: &OperationInfo) -> Result<Request> {
    let request = keyed(player, operation).await?;
    let mut body: Value = serde_json::from_slice(request.body.as_deref().unwrap_or_default())?;
    // What a session is about, and which command runs, is not just any text.
    let other = match operation.id {
        "createSession" => Some(("label", "Otherwise")),
        "runCommand" => Some(("cmd", "pwd")),
        _ => None,
    };
    if let Some((name, value)) = other {
        body[name] = json!(value);
        return Ok(request.json(&body));
    }
    let texts = ["instruction", "display_name", "device_name", "event_type", "command", "content"];
    // A chat needs no text at all.
    if operation.id == "createChat" {
        body["title"] = json!("Otherwise");
        return Ok(request.json(&body));
    }
    let name = texts
        .iter()
        .find(|name| body.get(**name).is_some())
        .context("no text of this body is in the list here; add one")?;
    body[*name] = json!(format!("{} otherwise", body[*name].as_str().unwrap_or_default()));
    let signed = request.header_text("X-Signature").is_some();
    let request = request.json(&body);
    Ok(if signed { player.sign(request)? } else { request })
}

for_each_database! {
    async fn the_same_key_and_request_are_answered_the_same(database) {
        each(database, async |player, operation| {
            let request = keyed(player, operation).await?;
            let first = player.server.send(&request).await?.success()?;
            for _ in 0..3 {
                let request = keyed(player, operation).await?;
                let again = player.server.send(&request).await?.success()?;
                ensure!(again == first, "{first} became {again}");
            }
            Ok(())
        })
        .await?;
    }

    async fn thirty_two_at_once_do_it_once(database) {
        each(database, async |player, operation| {
            let mut requests = Vec::new();
            for _ in 0..32 {
                requests.push(keyed(player, operation).await?);
            }
            let answers = requests.iter().map(|request| player.server.send(request));
            let mut bodies = Vec::new();
            for answer in futures_util::future::try_join_all(answers).await? {
                bodies.push(answer.success()?);
            }
            ensure!(bodies.iter().all(|body| *body == bodies[0]), "they differ: {bodies:?}");
            Ok(())
        })
        .await?;
    }

    async fn the_same_key_for_another_request_is_refused(database) {
        each(database, async |player, operation| {
            let request = keyed(player, operation).await?;
            player.server.send(&request).await?.success()?;
            let other = keyed_otherwise(player, operation).await?;
            player.server.send(&other).await?.refused("idempotency_key_reused")?;
            // The first request stands.
            let request = keyed(player, operation).await?;
            player.server.send(&request).await?.success()?;
            Ok(())
        })
        .await?;
    }

    async fn a_key_outlives_a_restart(database) {
        each(database, async |player, operation| {
            let request = keyed(player, operation).await?;
            let first = player.server.send(&request).await?.success()?;
            let before = player.server.address().to_owned();
            player.server.restart().await?;
            let request = keyed(player, operation).await?;
            let again = player.server.send(&request).await?.success()?;
            // It is another server at another address, and says where it is.
            let first = first.to_string().replace(&before, player.server.address());
            let again = again.to_string();
            ensure!(again == first, "{first} became {again}");
            let other = keyed_otherwise(player, operation).await?;
            player.server.send(&other).await?.refused("idempotency_key_reused")?;
            Ok(())
        })
        .await?;
    }

    /// Nobody repeats a request for a whole day; what was kept for that is forgotten.
    async fn a_key_is_forgotten_after_a_day(database) {
        const DAY: Duration = Duration::from_secs(24 * 60 * 60);
        let server = TestServer::start(database).await?;
        let workspace = server.pair().await?;
        let run_id = Uuid::new_v4();
        for (target, body, table) in [
            ("/bridge/event", event(workspace.workspace_id, run_id), None),
            ("/bridge/approval/request", question(workspace.workspace_id, run_id), Some("approvals")),
            ("/pair/start", json!({"machine_id": "m", "workspace_fingerprint": "f", "display_name": "d"}), None),
        ] {
            let send = async || {
                let request = Request::post(target, &body).header("Idempotency-Key", KEY);
                server.send(&request.sign(&workspace.signer(&server))).await?.success()
            };
            let first = send().await?;
            server.advance(DAY - Duration::from_secs(60));
            ensure!(send().await? == first, "{target}: it was forgotten too early");
            server.advance(Duration::from_secs(120));
            // The server forgets on its next round.
            let forgotten = server.hurry(async {
                loop {
                    let answer = send().await?;
                    if answer != first {
                        return anyhow::Ok(answer);
                    }
                }
            });
            let again = tokio::time::timeout(Duration::from_secs(30), forgotten).await;
            let again = again.with_context(|| format!("{target}: it is still answered with {first}"))??;
            if let Some(table) = table {
                ensure!(server.count(table).await? == 2, "{target}: no new row was opened");
            }
            ensure!(send().await? == again, "{target}: the key is not remembered anew");
        }
    }

    /// Two that happen to choose the same key do not meet.
    async fn a_key_belongs_to_whoever_used_it(database) {
        let server = TestServer::start(database).await?;
        let mut events = Vec::new();
        for workspace in [server.pair().await?, server.pair().await?] {
            let body = event(workspace.workspace_id, Uuid::new_v4());
            let request = Request::post("/bridge/event", &body).header("Idempotency-Key", KEY);
            let answer = server.send(&request.sign(&workspace.signer(&server))).await?.success()?;
            events.push(answer["event_id"].clone());
        }
        ensure!(events[0] != events[1], "one was answered with what the other did");
    }

    /// What was refused was not done, so the key is still free.
    async fn a_refusal_does_not_use_up_the_key(database) {
        let server = TestServer::start(database).await?;
        let workspace = server.pair().await?;
        let mut body = event(workspace.workspace_id, Uuid::new_v4());
        body["provider"] = json!("");
        let request = |body: &Value| {
            let request = Request::post("/bridge/event", body).header("Idempotency-Key", KEY);
            request.sign(&workspace.signer(&server))
        };
        server.send(&request(&body)).await?.refused("invalid_request")?;
        body["provider"] = json!("claude_code");
        server.send(&request(&body)).await?.success()?;
    }

    async fn a_key_has_to_be_one(database) {
        let server = TestServer::start(database).await?;
        let workspace = server.pair().await?;
        let body = event(workspace.workspace_id, Uuid::new_v4());
        for wrong in [String::new(), "x".repeat(256)] {
            let request = Request::post("/bridge/event", &body).header("Idempotency-Key", wrong);
            server.send(&request.sign(&workspace.signer(&server))).await?.refused("invalid_request")?;
        }
    }
}
