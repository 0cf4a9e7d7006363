//! The bridge: what a hook runner reports, asks and is told.

use std::time::Duration;

use anyhow::{Context, ensure};
use flightdeck_sdk::generated::bridge::WaitForApprovalParameters;
use flightdeck_sdk::types::{
    Acknowledgement, AcknowledgementStage, ApprovalRequest, ApprovalStatus, ApprovalVerdict, Decision, DecisionVerb,
    ExpiryReason, RunStatus, Withdrawal,
};
use flightdeck_tests::{PairedWorkspace, Request, TestServer, for_each_database};
use serde_json::json;
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::support::{happened, question, refused, request};

/// A question that can be asked again.
fn repeatable(workspace: &PairedWorkspace, run_id: Uuid) -> ApprovalRequest {
    request(workspace, run_id).with_session_id("session-1").with_tool_use_id("toolu_01")
}

/// Waits in the background, for as long as the server lets anybody wait.
fn wait(
    workspace: &PairedWorkspace,
    approval_id: Uuid,
    seconds: u64,
) -> JoinHandle<flightdeck_sdk::Result<ApprovalVerdict>> {
    let parameters = WaitForApprovalParameters::default().with_timeout(seconds);
    tokio::spawn(workspace.machine.bridge().wait_for_approval(&approval_id, &parameters).into_future())
}

for_each_database! {
    async fn events_move_the_status_of_the_run(database) {
        let server = TestServer::start(database).await?;
        let workspace = server.pair().await?;
        for (event, status) in [
            ("RUN_STARTED", RunStatus::Running),
            ("RUN_FINISHED", RunStatus::Finished),
            ("RUN_FAILED", RunStatus::Failed),
            ("RUN_STOPPED", RunStatus::Stopped),
        ] {
            let run_id = Uuid::new_v4();
            workspace.machine.bridge().submit_event(&happened(&server, &workspace, run_id, event)).await?;
            let run = workspace.device.runs().get_run(&run_id).await?;
            ensure!(run.status == status, "{event} made it {}", run.status);
            ensure!(run.ended_at.is_some() == (status != RunStatus::Running), "{event}: {run:?}");
            // Anything else leaves the status as it is.
            workspace.machine.bridge().submit_event(&happened(&server, &workspace, run_id, "TOOL_USED")).await?;
            let run = workspace.device.runs().get_run(&run_id).await?;
            ensure!(run.status == status && run.last_seq == 2, "{event}: {run:?}");
        }
    }

    /// Two runs, 32 writers each: every event gets a place, none two, and there is no hole.
    async fn places_in_a_timeline_have_no_gaps_whoever_writes(database) {
        let server = TestServer::start(database).await?;
        let workspace = server.pair().await?;
        let runs = [Uuid::new_v4(), Uuid::new_v4()];
        let writes = (0..64).map(|writer| {
            let (server, workspace, run_id) = (&server, &workspace, runs[writer % 2]);
            async move {
                let mut places = Vec::new();
                for _ in 0..5 {
                    let event = happened(server, workspace, run_id, "TOOL_USED");
                    places.push((run_id, workspace.machine.bridge().submit_event(&event).await?.seq));
                }
                anyhow::Ok(places)
            }
        });
        let places: Vec<_> = futures_util::future::try_join_all(writes).await?.into_iter().flatten().collect();
        for run_id in runs {
            let mut seen: Vec<_> = places.iter().filter(|(run, _)| *run == run_id).map(|(_, seq)| *seq).collect();
            seen.sort_unstable();
            ensure!(seen == (1..=160).collect::<Vec<_>>(), "{seen:?}");
        }
    }

    async fn the_same_tool_use_finds_the_same_approval(database) {
        let server = TestServer::start(database).await?;
        let workspace = server.pair().await?;
        let run_id = Uuid::new_v4();
        let bridge = workspace.machine.bridge();
        let asked = bridge.request_approval(&repeatable(&workspace, run_id)).await?;
        let again = bridge.request_approval(&repeatable(&workspace, run_id)).await?;
        ensure!(asked.approval_id == again.approval_id, "it is another approval");

        let mut other_input = repeatable(&workspace, run_id);
        other_input.command = "cargo publish --dry-run".to_owned();
        let other_call = repeatable(&workspace, run_id).with_tool_use_id("toolu_02");
        let other_session = repeatable(&workspace, run_id).with_session_id("session-2");
        for other in [other_input, other_call, other_session] {
            let answer = bridge.request_approval(&other).await?;
            ensure!(answer.approval_id != asked.approval_id, "{other:?} found the approval of something else");
        }

        // A hook that died after the decision comes back, and finds the verdict.
        let decision = Decision::new(DecisionVerb::Deny);
        workspace.device.approvals().decide_approval(&asked.approval_id, &decision).await?;
        let back = bridge.request_approval(&repeatable(&workspace, run_id)).await?;
        ensure!(back.approval_id == asked.approval_id && back.status == ApprovalStatus::Denied, "{back:?}");
    }

    /// Time ran out, and the agent went on by itself: that answers this question and not the next one.
    async fn an_expired_question_is_asked_anew_even_if_it_was_consumed(database) {
        let server = TestServer::start(database).await?;
        let workspace = server.pair().await?;
        let run_id = Uuid::new_v4();
        let bridge = workspace.machine.bridge();
        let question = repeatable(&workspace, run_id).with_expires_in_seconds(30);
        let asked = bridge.request_approval(&question).await?;
        let verdict = server.hurry(wait(&workspace, asked.approval_id, 600)).await??;
        ensure!(verdict.status == ApprovalStatus::Expired, "{verdict:?}");
        let consumed = Acknowledgement::new(AcknowledgementStage::Consumed);
        bridge.acknowledge_approval(&asked.approval_id, &consumed).await?;

        let again = bridge.request_approval(&question).await?;
        ensure!(again.approval_id != asked.approval_id, "it found the expired one");
        ensure!(again.status == ApprovalStatus::Pending, "{again:?}");
        let decision = Decision::new(DecisionVerb::Approve);
        workspace.device.approvals().decide_approval(&again.approval_id, &decision).await?;
        let verdict = wait(&workspace, again.approval_id, 0).await??;
        ensure!(verdict.status == ApprovalStatus::Approved, "{verdict:?}");
    }

    /// What is kept for as long as the ledger has a limit of its own, below that of the body.
    async fn evidence_has_a_limit(database) {
        const LIMIT: usize = 65_536;
        let server = TestServer::start(database).await?;
        let workspace = server.pair().await?;
        let asking = |length: usize| {
            let frame = json!({"text": ""}).to_string().len();
            let mut body = question(workspace.workspace_id, Uuid::new_v4());
            body["context"] = json!({"text": "x".repeat(length - frame)});
            Request::post("/bridge/approval/request", &body).sign(&workspace.signer(&server))
        };
        server.send(&asking(LIMIT)).await?.success()?;
        let refusal = server.send(&asking(LIMIT + 1)).await?.refused("invalid_request")?;
        ensure!(refusal["details"][0]["path"] == "/context", "{refusal}");
        ensure!(server.count("approvals").await? == 1, "what was refused was kept");
    }

    async fn many_at_once_for_the_same_tool_use_get_one_approval(database) {
        let server = TestServer::start(database).await?;
        let workspace = server.pair().await?;
        let question = repeatable(&workspace, Uuid::new_v4());
        let bridge = workspace.machine.bridge();
        let asked = (0..16).map(|_| async { bridge.request_approval(&question).await });
        let answers = futures_util::future::try_join_all(asked).await?;
        ensure!(answers.iter().all(|answer| answer.approval_id == answers[0].approval_id), "{answers:?}");
        ensure!(server.count("approvals").await? == 1, "there are several rows");
    }

    async fn without_a_tool_use_id_every_question_is_new(database) {
        let server = TestServer::start(database).await?;
        let workspace = server.pair().await?;
        let run_id = Uuid::new_v4();
        let first = workspace.machine.bridge().request_approval(&request(&workspace, run_id)).await?;
        let second = workspace.machine.bridge().request_approval(&request(&workspace, run_id)).await?;
        ensure!(first.approval_id != second.approval_id, "they are the same");
        let run = workspace.device.runs().get_run(&run_id).await?;
        ensure!(run.pending_approvals == 2, "the first question of a run creates it: {run:?}");
    }

    async fn a_decision_releases_every_waiter(database) {
        let server = TestServer::start(database).await?;
        let workspace = server.pair().await?;
        let asked = workspace.machine.bridge().request_approval(&request(&workspace, Uuid::new_v4())).await?;
        let waiters: Vec<_> = (0..50).map(|_| wait(&workspace, asked.approval_id, 600)).collect();
        let decision = Decision::new(DecisionVerb::Approve).with_note("Go on.");
        workspace.device.approvals().decide_approval(&asked.approval_id, &decision).await?;
        for waiter in waiters {
            // The server's clock stands still: nothing but the decision ends a wait.
            let verdict = waiter.await??;
            ensure!(verdict.status == ApprovalStatus::Approved, "{verdict:?}");
            ensure!(verdict.note.as_deref() == Some("Go on."), "{verdict:?}");
        }
    }

    /// A wake-up that falls between looking and waiting must not be lost.
    async fn no_wake_up_is_lost(database) {
        let server = TestServer::start(database).await?;
        let workspace = server.pair().await?;
        let run_id = Uuid::new_v4();
        for round in 0..100_u64 {
            let asked = workspace.machine.bridge().request_approval(&request(&workspace, run_id)).await?;
            let waiter = wait(&workspace, asked.approval_id, 600);
            tokio::time::sleep(Duration::from_micros(round * 37 % 2_000)).await;
            let decision = Decision::new(DecisionVerb::Approve);
            workspace.device.approvals().decide_approval(&asked.approval_id, &decision).await?;
            let verdict = tokio::time::timeout(Duration::from_secs(10), waiter).await;
            let verdict = verdict.with_context(|| format!("the waiter of round {round} was not released"))???;
            ensure!(verdict.status == ApprovalStatus::Approved, "{verdict:?}");
        }
    }

    async fn a_wait_ends_as_pending_when_its_time_is_up(database) {
        let server = TestServer::start(database).await?;
        let workspace = server.pair().await?;
        let asked = workspace.machine.bridge().request_approval(&request(&workspace, Uuid::new_v4())).await?;
        let verdict = server.hurry(wait(&workspace, asked.approval_id, 5)).await??;
        ensure!(verdict.status == ApprovalStatus::Pending, "{verdict:?}");
        let verdict = wait(&workspace, asked.approval_id, 0).await??;
        ensure!(verdict.status == ApprovalStatus::Pending, "{verdict:?}");
    }

    async fn a_shutdown_sends_waiters_away_unharmed(database) {
        let mut server = TestServer::start(database).await?;
        let workspace = server.pair().await?;
        let asked = workspace.machine.bridge().request_approval(&request(&workspace, Uuid::new_v4())).await?;
        let waiter = wait(&workspace, asked.approval_id, 600);
        // The waiter is there once the server counts it.
        while workspace.device.health().get_server_health().await?.waiting_hooks == 0 {
            tokio::task::yield_now().await;
        }
        server.stop().await;
        let verdict = waiter.await??;
        ensure!(verdict.status == ApprovalStatus::Pending, "{verdict:?}");
    }

    async fn an_approval_expires_and_its_waiter_is_told(database) {
        let server = TestServer::start(database).await?;
        let workspace = server.pair().await?;
        let question = request(&workspace, Uuid::new_v4()).with_expires_in_seconds(30);
        let asked = workspace.machine.bridge().request_approval(&question).await?;
        let verdict = server.hurry(wait(&workspace, asked.approval_id, 600)).await??;
        ensure!(verdict.status == ApprovalStatus::Expired, "{verdict:?}");
        ensure!(verdict.expiry_reason == Some(ExpiryReason::Deadline), "{verdict:?}");
    }

    async fn withdrawing_tells_the_waiter_and_repeats_safely(database) {
        let server = TestServer::start(database).await?;
        let workspace = server.pair().await?;
        let bridge = workspace.machine.bridge();
        let asked = bridge.request_approval(&request(&workspace, Uuid::new_v4())).await?;
        let waiter = wait(&workspace, asked.approval_id, 600);
        let withdrawal = Withdrawal::default().with_reason("answered in the terminal");
        let withdrawn = bridge.withdraw_approval(&asked.approval_id, &withdrawal).await?;
        ensure!(withdrawn.expiry_reason == Some(ExpiryReason::Withdrawn), "{withdrawn:?}");
        ensure!(waiter.await?? == withdrawn, "the waiter was told something else");
        ensure!(bridge.withdraw_approval(&asked.approval_id, &withdrawal).await? == withdrawn, "repeating changed it");
    }

    async fn receipts_are_kept_once(database) {
        let server = TestServer::start(database).await?;
        let workspace = server.pair().await?;
        let bridge = workspace.machine.bridge();
        let asked = bridge.request_approval(&request(&workspace, Uuid::new_v4())).await?;
        let id = asked.approval_id;
        let consumed = Acknowledgement::new(AcknowledgementStage::Consumed);
        let delivered = Acknowledgement::new(AcknowledgementStage::Delivered);
        refused(bridge.acknowledge_approval(&id, &consumed).await, "approval_pending")?;
        workspace.device.approvals().decide_approval(&id, &Decision::new(DecisionVerb::Approve)).await?;

        let first = bridge.acknowledge_approval(&id, &delivered).await?;
        ensure!(first.delivered_at.is_some() && first.consumed_at.is_none(), "{first:?}");
        server.advance(Duration::from_secs(60));
        let second = bridge.acknowledge_approval(&id, &delivered).await?;
        ensure!(second == first, "repeating changed {first:?} to {second:?}");
        let third = bridge.acknowledge_approval(&id, &consumed).await?;
        ensure!(third.delivered_at == first.delivered_at && third.consumed_at.is_some(), "{third:?}");
        server.advance(Duration::from_secs(60));
        let fourth = bridge.acknowledge_approval(&id, &delivered).await?;
        ensure!(fourth == third, "repeating changed {third:?} to {fourth:?}");

        let seen = workspace.device.approvals().get_approval(&id).await?;
        ensure!(seen.delivered_at == third.delivered_at && seen.consumed_at == third.consumed_at, "{seen:?}");
    }
}
