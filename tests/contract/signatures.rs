//! Signed requests: what the signature protects, and every way in which it can be wrong.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use flightdeck_tests::raw::Signer;
use flightdeck_tests::server::SERVER_SECRET;
use flightdeck_tests::{PairedWorkspace, Request, TestOptions, TestServer, for_each_database};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{ask, event, start_run};

/// How far a clock may be off.
const TOLERANCE: i64 = 5 * 60 * 1_000;

/// What starts a pairing.
fn pairing() -> Value {
    json!({"machine_id": "m", "workspace_fingerprint": "f", "display_name": "d"})
}

async fn paired(server: &TestServer) -> Result<(PairedWorkspace, Signer, Request)> {
    let workspace = server.pair().await?;
    let signer = workspace.signer(server);
    let request = Request::post("/bridge/event", &event(workspace.workspace_id, Uuid::new_v4()));
    Ok((workspace, signer, request))
}

for_each_database! {
    async fn a_clock_may_be_five_minutes_off_and_no_more(database) {
        let server = TestServer::start(database).await?;
        let (_, signer, request) = paired(&server).await?;
        for offset in [-TOLERANCE, TOLERANCE] {
            let at = Signer { now: signer.now + offset, ..signer.clone() };
            server.send(&request.clone().sign(&at)).await?.success()?;
            let beyond = Signer { now: at.now + offset.signum(), ..signer.clone() };
            server.send(&request.clone().sign(&beyond)).await?.refused("timestamp_skewed")?;
        }
    }

    async fn a_timestamp_is_a_number(database) {
        let server = TestServer::start(database).await?;
        let (_, signer, request) = paired(&server).await?;
        for wrong in ["soon", "1.5", "1e12", "0x18bcfe56800", "99999999999999999999999999", "2026-03-02T09:30:00Z"] {
            let request = request.clone().header("X-Timestamp", wrong).sign(&signer);
            server.send(&request).await?.refused("timestamp_invalid")?;
        }
    }

    async fn each_header_is_needed(database) {
        let server = TestServer::start(database).await?;
        let (_, signer, request) = paired(&server).await?;
        for header in ["X-Signature", "X-Timestamp", "X-Nonce"] {
            let request = request.clone().sign(&signer).without(header);
            server.send(&request).await?.refused("credential_missing")?;
        }
    }

    /// Who begins to sign has to sign in full, even where nobody needs to.
    async fn each_header_is_needed_where_a_signature_may_be_left_out(database) {
        let server = TestServer::start(database).await?;
        let (_, signer, _) = paired(&server).await?;
        let request = Request::post("/pair/start", &pairing());
        for header in ["X-Timestamp", "X-Nonce"] {
            let request = request.clone().sign(&signer).without(header);
            let answer = server.send(&request).await?;
            ensure!(answer.status == 401, "without {header} it was answered {}", answer.status);
            answer.refused("credential_missing")?;
        }
        server.send(&request).await?.success()?;
    }

    async fn a_nonce_works_once_even_across_a_restart(database) {
        let mut server = TestServer::start(database).await?;
        let (_, signer, request) = paired(&server).await?;
        let request = request.sign(&signer);
        server.send(&request).await?.success()?;
        server.send(&request).await?.refused("nonce_reused")?;
        server.restart().await?;
        server.send(&request).await?.refused("nonce_reused")?;
    }

    async fn of_many_at_once_with_the_same_nonce_one_gets_through(database) {
        let server = TestServer::start(database).await?;
        let (_, signer, request) = paired(&server).await?;
        let request = request.sign(&signer);
        let answers = futures_util::future::try_join_all((0..32).map(|_| server.send(&request))).await?;
        let through = answers.iter().filter(|answer| answer.status == 200).count();
        ensure!(through == 1, "{through} of 32 got through");
    }

    /// Somebody who can't sign must not be able to use up the nonces of somebody who can.
    async fn a_wrong_signature_does_not_use_up_a_nonce(database) {
        let server = TestServer::start(database).await?;
        let (_, signer, request) = paired(&server).await?;
        let request = request.sign(&signer);
        let forged = request.clone().header("X-Signature", "0".repeat(64));
        server.send(&forged).await?.refused("signature_invalid")?;
        server.send(&request).await?.success()?;
    }

    async fn the_signature_is_exact(database) {
        let server = TestServer::start(database).await?;
        let (_, signer, request) = paired(&server).await?;
        let right = request.clone().sign(&signer);
        let signature = right.header_text("X-Signature").unwrap_or_default().to_owned();
        for wrong in [
            format!("{signature}00"),
            format!("{signature}zz"),
            format!("{signature}, {signature}"),
            signature[..62].to_owned(),
            signature[..63].to_owned(),
            "z".repeat(64),
        ] {
            // A new nonce each time, so that only the signature can be at fault.
            let request = request.clone().sign(&signer).header("X-Signature", wrong);
            server.send(&request).await?.refused("signature_invalid")?;
        }
        server.send(&right).await?.success()?;
    }

    async fn every_byte_of_the_body_is_signed(database) {
        let server = TestServer::start(database).await?;
        let (_, signer, request) = paired(&server).await?;
        let body = request.body.clone().unwrap_or_default();
        let at = body.windows(11).position(|window| window == b"claude_code").expect("the event names its provider");
        for at in [at, at + 10] {
            let mut request = request.clone().sign(&signer);
            if let Some(body) = &mut request.body {
                body[at] = b'X';
            }
            server.send(&request).await?.refused("signature_invalid")?;
        }
        // White space does not change what the JSON means, and still is another body.
        let mut spaced = request.sign(&signer);
        spaced.body = Some([body, b" ".to_vec()].concat());
        server.send(&spaced).await?.refused("signature_invalid")?;
    }

    async fn timestamp_and_nonce_are_signed(database) {
        let server = TestServer::start(database).await?;
        let (_, signer, request) = paired(&server).await?;
        let other_time = request.clone().sign(&signer).header("X-Timestamp", (signer.now + 1).to_string());
        server.send(&other_time).await?.refused("signature_invalid")?;
        let other_nonce = request.sign(&signer).header("X-Nonce", "another");
        server.send(&other_nonce).await?.refused("signature_invalid")?;
    }

    async fn the_body_may_say_which_workspace_signs(database) {
        let server = TestServer::start(database).await?;
        let (_, signer, request) = paired(&server).await?;
        server.send(&request.sign(&signer).without("X-Workspace-Id")).await?.success()?;
    }

    async fn a_run_or_an_approval_may_say_which_workspace_signs(database) {
        let server = TestServer::start(database).await?;
        let workspace = server.pair().await?;
        let run_id = start_run(&server, &workspace).await?;
        let body = json!({"run_id": run_id, "command": "ls", "cwd": "/"});
        let signer = workspace.signer(&server);
        let request = Request::post("/bridge/approval/request", &body).sign(&signer).without("X-Workspace-Id");
        let answer = server.send(&request).await?.success()?;
        let approval_id = answer["approval_id"].as_str().unwrap_or_default();
        let wait = Request::get(format!("/bridge/approval/{approval_id}/wait?timeout=0"));
        server.send(&wait.sign(&signer).without("X-Workspace-Id")).await?.success()?;
    }

    async fn one_workspace_can_not_write_into_another(database) {
        let server = TestServer::start(database).await?;
        let mine = server.pair().await?;
        let other = server.pair().await?;
        let body = event(other.workspace_id, Uuid::new_v4());
        let header_says_mine = Request::post("/bridge/event", &body).sign(&mine.signer(&server));
        let body_says_other = header_says_mine.clone().without("X-Workspace-Id");
        for request in [header_says_mine, body_says_other] {
            let answer = server.send(&request).await?;
            ensure!((400..500).contains(&answer.status), "answered {}: {}", answer.status, answer.json());
        }
        ensure!(server.count("runs").await? == 0, "a run was created");
    }

    async fn an_unknown_workspace_is_refused(database) {
        let server = TestServer::start(database).await?;
        let (_, signer, _) = paired(&server).await?;
        let unknown = Signer { workspace_id: Uuid::new_v4(), ..signer };
        let request = Request::post("/bridge/event", &event(unknown.workspace_id, Uuid::new_v4())).sign(&unknown);
        server.send(&request).await?.refused("workspace_unknown")?;
        let request = request.header("X-Workspace-Id", "not-an-id");
        let answer = server.send(&request).await?;
        ensure!(matches!(answer.status, 400 | 401), "answered {}", answer.status);
    }

    /// Both keys of a workspace sign: the machine's, and the device's own, until the device is revoked.
    async fn a_revoked_device_no_longer_signs(database) {
        let server = TestServer::start(database).await?;
        let (workspace, machine, request) = paired(&server).await?;
        let device = Signer { secret: workspace.device_secret.clone(), ..machine.clone() };
        server.send(&request.clone().sign(&device)).await?.success()?;
        let revoke = Request::new("DELETE", format!("/v1/devices/{}", workspace.device_id)).sign(&machine);
        server.send(&revoke).await?.success()?;
        let answer = server.send(&request.clone().sign(&device)).await?;
        ensure!(answer.status == 401, "answered {}", answer.status);
        answer.refused("device_revoked")?;
        server.send(&request.sign(&machine)).await?.success()?;
    }

    async fn a_body_too_large_is_refused_before_anything_else(database) {
        let server = TestServer::with(TestOptions::new(database).set("FLIGHTDECK_MAX_BODY_BYTES", 1_000)).await?;
        let (workspace, signer, _) = paired(&server).await?;
        let mut body = event(workspace.workspace_id, Uuid::new_v4());
        body["payload"] = json!({"message": "x".repeat(1_000)});
        let request = Request::post("/bridge/event", &body);
        server.send(&request.clone().sign(&signer)).await?.refused("body_too_large")?;
        server.send(&request).await?.refused("body_too_large")?;
    }

    async fn the_server_s_secret_signs_for_requests_of_no_workspace(database) {
        let server = TestServer::with(TestOptions::new(database).set("HMAC_SECRET", SERVER_SECRET)).await?;
        let signer = Signer { workspace_id: Uuid::nil(), secret: SERVER_SECRET.to_owned(), now: server.now() };
        let request = Request::post("/pair/start", &pairing());
        for request in [request.clone(), Request::get("/v1/health")] {
            server.send(&request.sign(&signer).without("X-Workspace-Id")).await?.success()?;
        }

        let wrong = Signer { secret: "another secret".to_owned(), ..signer.clone() };
        let answer = server.send(&request.sign(&wrong).without("X-Workspace-Id")).await?;
        ensure!(answer.status == 401, "a wrong secret was answered {}", answer.status);

        // It opens no workspace: that is what workspaces have keys of their own for.
        let workspace = server.pair().await?;
        let signer = Signer { workspace_id: workspace.workspace_id, ..signer };
        let request = Request::post("/bridge/event", &event(workspace.workspace_id, Uuid::new_v4()));
        server.send(&request.sign(&signer)).await?.refused("signature_invalid")?;
    }

    /// Without a workspace there is nothing to list and nothing to decide.
    async fn the_server_s_secret_sees_and_decides_nothing(database) {
        let server = TestServer::with(TestOptions::new(database).set("HMAC_SECRET", SERVER_SECRET)).await?;
        let workspace = server.pair().await?;
        let run_id = start_run(&server, &workspace).await?;
        let approval_id = ask(&server, &workspace, run_id).await?;
        let signer = Signer { workspace_id: Uuid::nil(), secret: SERVER_SECRET.to_owned(), now: server.now() };
        let item = json!({"approval_id": approval_id, "decision": "APPROVE"});
        for request in [
            Request::get("/v1/workspaces"),
            Request::get("/v1/devices"),
            Request::get("/v1/runs"),
            Request::get("/v1/approvals"),
            Request::get(format!("/v1/approvals/{approval_id}")),
            Request::post(format!("/v1/approvals/{approval_id}/decision"), &json!({"decision": "APPROVE"})),
            Request::post("/v1/approvals/decisions", &json!({"decisions": [item]})),
        ] {
            let target = request.target.clone();
            let answer = server.send(&request.sign(&signer).without("X-Workspace-Id")).await?;
            answer.refused("workspace_unknown").context(target)?;
        }
        let approval = workspace.device.approvals().get_approval(&approval_id).await?;
        ensure!(approval.status.as_str() == "PENDING", "{approval:?}");
    }

    async fn a_request_that_was_recorded_is_worthless_later(database) {
        let server = TestServer::start(database).await?;
        let (_, signer, request) = paired(&server).await?;
        let request = request.sign(&signer);
        server.send(&request).await?.success()?;
        // Wherever nonces are forgotten, the timestamp has to be too old by then.
        for _ in 0..6 {
            server.advance(Duration::from_secs(60));
            let answer = server.send(&request).await?;
            ensure!(answer.status == 401, "answered {}", answer.status);
        }
    }
}
