//! The ledger: decisions, who wins, what becomes of a question that nobody answers.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use flightdeck_sdk::generated::approvals::ListApprovalsParameters;
use flightdeck_sdk::types::{
    ApprovalStatus, Decision, DecisionBatch, DecisionItem, DecisionOutcome, DecisionVerb, ExpiryReason, MobileDecision,
    MobileVerb, Withdrawal,
};
use flightdeck_tests::{PairedWorkspace, TestOptions, TestServer, for_each_database};
use futures_util::{StreamExt, TryStreamExt};
use uuid::Uuid;

use crate::support::{refused, request};

async fn ask(workspace: &PairedWorkspace, run_id: Uuid) -> Result<Uuid> {
    Ok(workspace.machine.bridge().request_approval(&request(workspace, run_id)).await?.approval_id)
}

for_each_database! {
    async fn the_first_decision_wins_and_may_be_repeated(database) {
        let server = TestServer::start(database).await?;
        let workspace = server.pair().await?;
        let id = ask(&workspace, Uuid::new_v4()).await?;
        let approvals = workspace.device.approvals();
        let deny = Decision::new(DecisionVerb::Deny).with_note("Not on a Friday.");
        let decided = approvals.decide_approval(&id, &deny).await?;
        ensure!(decided.status == ApprovalStatus::Denied, "{decided:?}");
        ensure!(decided.decided_by_device_id == Some(workspace.device_id), "{decided:?}");
        server.advance(Duration::from_secs(60));
        let again = approvals.decide_approval(&id, &deny).await?;
        ensure!(again == decided, "repeating changed {decided:?} to {again:?}");

        let refusal = refused(approvals.decide_approval(&id, &Decision::new(DecisionVerb::Approve)).await, "approval_conflict")?;
        let named = refusal.details.iter().any(|detail| detail.message.contains("DENIED"));
        ensure!(named, "the refusal does not name the decision that won: {refusal:?}");
    }

    /// 32 callers, half for and half against: all of them and everybody who looks later see the same winner.
    async fn opposite_decisions_at_once_have_one_outcome(database) {
        let server = TestServer::start(database).await?;
        let workspace = server.pair().await?;
        let run_id = Uuid::new_v4();
        for _ in 0..100 {
            let id = ask(&workspace, run_id).await?;
            let approvals = workspace.device.approvals();
            let calls = (0..32).map(|caller| async move {
                let verb = if caller % 2 == 0 { DecisionVerb::Approve } else { DecisionVerb::Deny };
                (verb.clone(), approvals.decide_approval(&id, &Decision::new(verb)).await)
            });
            let outcomes = futures_util::future::join_all(calls).await;
            let verdict = approvals.get_approval(&id).await?.status;
            for (verb, outcome) in outcomes {
                let won = (verb == DecisionVerb::Approve) == (verdict == ApprovalStatus::Approved);
                if won {
                    ensure!(outcome?.status == verdict, "a winner was told something else");
                } else {
                    refused(outcome, "approval_conflict")?;
                }
            }
        }
    }

    async fn several_decisions_stand_or_fall_alone_and_in_order(database) {
        let server = TestServer::start(database).await?;
        let workspace = server.pair().await?;
        let run_id = Uuid::new_v4();
        let (first, decided, withdrawn) =
            (ask(&workspace, run_id).await?, ask(&workspace, run_id).await?, ask(&workspace, run_id).await?);
        let approvals = workspace.device.approvals();
        approvals.decide_approval(&decided, &Decision::new(DecisionVerb::Deny)).await?;
        workspace.machine.bridge().withdraw_approval(&withdrawn, &Withdrawal::default()).await?;

        let missing = Uuid::new_v4();
        let asked = [
            (missing, DecisionVerb::Approve, "approval_not_found"),
            (first, DecisionVerb::Approve, ""),
            (decided, DecisionVerb::Approve, "approval_conflict"),
            (decided, DecisionVerb::Deny, ""),
            (withdrawn, DecisionVerb::Approve, "approval_expired"),
            (first, DecisionVerb::Deny, "approval_conflict"),
        ];
        let items = asked.iter().map(|(id, verb, _)| DecisionItem::new(*id, verb.clone())).collect::<Vec<_>>();
        let outcomes = approvals.decide_approvals(&DecisionBatch::new(items)).await?.outcomes;
        ensure!(outcomes.len() == asked.len(), "{} outcomes", outcomes.len());
        for ((id, _, code), outcome) in asked.iter().zip(outcomes) {
            let (got, which) = match outcome {
                DecisionOutcome::Accepted(accepted) => (String::new(), accepted.approval.approval_id),
                DecisionOutcome::Refused(refused) => (refused.error.code, refused.approval_id),
                other => anyhow::bail!("an outcome that the protocol does not know: {other:?}"),
            };
            ensure!(got == *code && which == *id, "{id}: expected {code:?}, got {got:?} for {which}");
        }
    }

    async fn a_hundred_decisions_at_most(database) {
        let server = TestServer::start(database).await?;
        let workspace = server.pair().await?;
        let items = |count| (0..count).map(|_| DecisionItem::new(Uuid::new_v4(), DecisionVerb::Deny)).collect::<Vec<_>>();
        let approvals = workspace.device.approvals();
        ensure!(approvals.decide_approvals(&DecisionBatch::new(items(100))).await?.outcomes.len() == 100, "some are lost");
        for count in [0, 101] {
            refused(approvals.decide_approvals(&DecisionBatch::new(items(count))).await, "invalid_request")?;
        }
    }

    async fn a_question_expires_at_its_time_and_not_before(database) {
        let server = TestServer::start(database).await?;
        let workspace = server.pair().await?;
        let question = request(&workspace, Uuid::new_v4()).with_expires_in_seconds(60);
        let id = workspace.machine.bridge().request_approval(&question).await?.approval_id;
        let approvals = workspace.device.approvals();
        server.advance(Duration::from_millis(59_999));
        ensure!(approvals.get_approval(&id).await?.status == ApprovalStatus::Pending, "it expired too early");
        server.advance(Duration::from_millis(1));
        refused(approvals.decide_approval(&id, &Decision::new(DecisionVerb::Approve)).await, "approval_expired")?;
        let expired = approvals.get_approval(&id).await?;
        ensure!(expired.status == ApprovalStatus::Expired, "{expired:?}");
        ensure!(expired.expiry_reason == Some(ExpiryReason::Deadline), "{expired:?}");
        ensure!(expired.decided_by_device_id.is_none(), "{expired:?}");
    }

    /// Whoever is refused because time is up and looks at once sees why, even if the server's own round is still to come.
    async fn a_decision_that_comes_too_late_leaves_an_expired_question(database) {
        let server = TestServer::start(database).await?;
        let workspace = server.pair().await?;
        let approvals = workspace.device.approvals();
        for round in 0..30 {
            let question = request(&workspace, Uuid::new_v4()).with_expires_in_seconds(60);
            let id = workspace.machine.bridge().request_approval(&question).await?.approval_id;
            server.advance(Duration::from_secs(60));
            match round % 3 {
                0 => {
                    let decision = Decision::new(DecisionVerb::Approve);
                    refused(approvals.decide_approval(&id, &decision).await, "approval_expired")?;
                }
                1 => {
                    let batch = DecisionBatch::new(vec![DecisionItem::new(id, DecisionVerb::Deny)]);
                    let outcomes = approvals.decide_approvals(&batch).await?.outcomes;
                    let [DecisionOutcome::Refused(refused)] = &outcomes[..] else { anyhow::bail!("{outcomes:?}") };
                    ensure!(refused.error.code == "approval_expired", "{refused:?}");
                }
                _ => {
                    let decision = MobileDecision::new(MobileVerb::Approve);
                    refused(workspace.device.mobile().decide_mobile_approval(&id, &decision).await, "approval_expired")?;
                }
            }
            let expired = approvals.get_approval(&id).await?;
            ensure!(expired.status == ApprovalStatus::Expired, "in round {round} it is {expired:?}");
            ensure!(expired.expiry_reason == Some(ExpiryReason::Deadline), "{expired:?}");
        }
    }

    async fn a_question_that_nobody_waits_for_is_orphaned_and_can_be_decided_all_the_same(database) {
        let options = TestOptions::new(database).set("FLIGHTDECK_ORPHAN_GRACE_SECONDS", 30);
        let server = TestServer::with(options).await?;
        let workspace = server.pair().await?;
        let id = ask(&workspace, Uuid::new_v4()).await?;
        let approvals = workspace.device.approvals();
        ensure!(approvals.get_approval(&id).await?.orphaned_at.is_none(), "it is orphaned at once");
        let orphaned = server.hurry(async {
            loop {
                let approval = approvals.get_approval(&id).await?;
                if approval.orphaned_at.is_some() {
                    return anyhow::Ok(approval);
                }
            }
        });
        let orphaned = tokio::time::timeout(Duration::from_secs(30), orphaned).await.context("it is never orphaned")??;
        ensure!(orphaned.status == ApprovalStatus::Pending, "{orphaned:?}");
        let decided = approvals.decide_approval(&id, &Decision::new(DecisionVerb::Approve)).await?;
        ensure!(decided.status == ApprovalStatus::Approved, "{decided:?}");
    }

    async fn the_list_filters_and_comes_in_pages_newest_first(database) {
        let server = TestServer::start(database).await?;
        let workspace = server.pair().await?;
        let runs = [Uuid::new_v4(), Uuid::new_v4()];
        let mut asked = Vec::new();
        for index in 0..23_usize {
            asked.push(ask(&workspace, runs[index % 2]).await?);
            server.advance(Duration::from_millis(7));
        }
        asked.reverse();
        let approvals = workspace.device.approvals();
        let decision = Decision::new(DecisionVerb::Deny);
        approvals.decide_approval(&asked[0], &decision).await?;

        let all = ListApprovalsParameters::default().with_limit(5);
        let listed: Vec<_> = approvals.list_approvals_stream(&all).map_ok(|approval| approval.approval_id).try_collect().await?;
        ensure!(listed == asked, "the pages give {listed:?} instead of {asked:?}");

        let pending = all.clone().with_status(vec![ApprovalStatus::Pending]);
        let listed: Vec<_> = approvals.list_approvals_stream(&pending).try_collect().await?;
        ensure!(listed.len() == 22, "{} are pending", listed.len());

        let of_a_run = all.with_run_id(runs[1]);
        let listed: Vec<_> = approvals.list_approvals_stream(&of_a_run).try_collect().await?;
        ensure!(listed.len() == 11 && listed.iter().all(|approval| approval.run_id == runs[1]), "{listed:?}");
    }

    /// Somebody reads page after page while more is asked: nothing that was there is missed, nothing comes twice.
    async fn pages_hold_still_while_the_list_grows(database) {
        let server = TestServer::start(database).await?;
        let workspace = server.pair().await?;
        let run_id = Uuid::new_v4();
        let mut there = BTreeSet::new();
        for _ in 0..10 {
            // Many in the same millisecond.
            there.insert(ask(&workspace, run_id).await?);
        }
        let approvals = workspace.device.approvals();
        let mut pages = approvals.list_approvals_stream(&ListApprovalsParameters::default().with_limit(3));
        let mut seen = BTreeSet::new();
        while let Some(approval) = pages.next().await {
            let id = approval?.approval_id;
            ensure!(seen.insert(id), "{id} came twice");
            ask(&workspace, run_id).await?;
        }
        ensure!(there.is_subset(&seen), "missed {:?}", there.difference(&seen));
    }
}
