//! Runs and their timelines.

use std::time::Duration;

use anyhow::ensure;
use flightdeck_sdk::generated::runs::{ListRunEventsParameters, ListRunsParameters};
use flightdeck_sdk::types::{Decision, DecisionVerb, RunStatus};
use flightdeck_tests::{TestServer, for_each_database};
use futures_util::TryStreamExt;
use serde_json::json;
use uuid::Uuid;

use crate::support::{happened, request};

for_each_database! {
    async fn filters_narrow_and_statuses_widen(database) {
        let server = TestServer::start(database).await?;
        let workspace = server.pair().await?;
        let mut runs = Vec::new();
        for (index, event) in ["RUN_STARTED", "RUN_FINISHED", "RUN_FAILED", "RUN_STARTED", "RUN_STOPPED"].iter().enumerate() {
            let run_id = Uuid::new_v4();
            let mut event = happened(&server, &workspace, run_id, event);
            event.provider = if index == 3 { "codex".to_owned() } else { "claude_code".to_owned() };
            workspace.machine.bridge().submit_event(&event).await?;
            server.advance(Duration::from_secs(1));
            runs.insert(0, run_id);
        }
        let listed = async |parameters: ListRunsParameters| {
            let runs = workspace.device.runs().list_runs_stream(&parameters.with_limit(2));
            anyhow::Ok(runs.map_ok(|run| run.run_id).try_collect::<Vec<_>>().await?)
        };
        let everything = ListRunsParameters::default();
        ensure!(listed(everything.clone()).await? == runs, "newest first");
        let running = everything.clone().with_status(vec![RunStatus::Running]);
        ensure!(listed(running.clone()).await? == [runs[1], runs[4]], "running");
        ensure!(listed(running.with_provider("codex")).await? == [runs[1]], "running, of codex");
        let ended = everything.clone().with_status(vec![RunStatus::Finished, RunStatus::Failed]);
        ensure!(listed(ended).await? == [runs[2], runs[3]], "finished or failed");
        ensure!(listed(everything.clone().with_workspace_id(workspace.workspace_id)).await? == runs, "of the workspace");
        ensure!(listed(everything.with_workspace_id(Uuid::new_v4())).await?.is_empty(), "of no workspace");
    }

    async fn nobody_sees_the_runs_of_others(database) {
        let server = TestServer::start(database).await?;
        let workspace = server.pair().await?;
        let stranger = server.pair().await?;
        let run_id = Uuid::new_v4();
        workspace.machine.bridge().submit_event(&happened(&server, &workspace, run_id, "RUN_STARTED")).await?;
        for other in [&stranger.device, &stranger.machine] {
            let runs = other.runs().list_runs(&Default::default()).await?.items;
            ensure!(runs.is_empty(), "{runs:?}");
            let of_the_workspace = ListRunsParameters::default().with_workspace_id(workspace.workspace_id);
            ensure!(other.runs().list_runs(&of_the_workspace).await?.items.is_empty(), "asking for them shows them");
        }
    }

    async fn the_timeline_is_read_from_anywhere_in_pieces(database) {
        let server = TestServer::start(database).await?;
        let workspace = server.pair().await?;
        let run_id = Uuid::new_v4();
        for index in 0..10 {
            let mut event = happened(&server, &workspace, run_id, "TOOL_USED");
            event.payload = json!({"index": index, "deep": {"ä": [1.5, null, "\u{1f680}"]}}).as_object().cloned();
            workspace.machine.bridge().submit_event(&event).await?;
        }
        let mut since = 0;
        let mut seen = Vec::new();
        loop {
            let parameters = ListRunEventsParameters::default().with_since_seq(since).with_limit(4);
            let page = workspace.device.runs().list_run_events(&run_id, &parameters).await?;
            if page.events.is_empty() {
                ensure!(page.last_seq == since, "{page:?}");
                break;
            }
            ensure!(page.events.len() <= 4 && page.last_seq > since, "{page:?}");
            since = page.last_seq;
            seen.extend(page.events);
        }
        ensure!(seen.iter().map(|event| event.seq).eq(1..=10), "{seen:?}");
        for (index, event) in seen.iter().enumerate() {
            ensure!(event.payload["index"] == index, "{event:?}");
            ensure!(event.payload["deep"] == json!({"ä": [1.5, null, "\u{1f680}"]}), "the payload came back changed: {event:?}");
        }
        let beyond = ListRunEventsParameters::default().with_since_seq(1_000);
        let page = workspace.device.runs().list_run_events(&run_id, &beyond).await?;
        ensure!(page.events.is_empty() && page.last_seq == 1_000, "{page:?}");
    }

    /// What agents report can be large, and a thousand of that at once would be too much for both sides.
    async fn a_page_of_large_events_ends_early(database) {
        const EVENTS: u64 = 12;
        const LARGE: usize = 300_000;
        let server = TestServer::start(database).await?;
        let workspace = server.pair().await?;
        let run_id = Uuid::new_v4();
        for index in 0..EVENTS {
            let mut event = happened(&server, &workspace, run_id, "TOOL_USED");
            event.payload = json!({"index": index, "text": "x".repeat(LARGE)}).as_object().cloned();
            workspace.machine.bridge().submit_event(&event).await?;
        }
        let mut seen = Vec::new();
        let mut pages = 0;
        loop {
            let since = seen.len() as u64;
            let parameters = ListRunEventsParameters::default().with_since_seq(since).with_limit(1_000);
            let page = workspace.device.runs().list_run_events(&run_id, &parameters).await?;
            if page.events.is_empty() {
                break;
            }
            ensure!(page.events.len() <= 4, "{} events are more than a mebibyte and a bit", page.events.len());
            ensure!(page.last_seq == since + page.events.len() as u64, "it ends with {}", page.last_seq);
            seen.extend(page.events);
            pages += 1;
        }
        ensure!(seen.iter().map(|event| event.seq).eq(1..=EVENTS), "some are missing");
        ensure!(seen.iter().zip(0..EVENTS).all(|(event, index)| event.payload["index"] == index), "some are changed");
        ensure!(pages < EVENTS, "each came alone");
    }

    async fn whoever_follows_is_told_at_once(database) {
        let server = TestServer::start(database).await?;
        let workspace = server.pair().await?;
        let run_id = Uuid::new_v4();
        workspace.machine.bridge().submit_event(&happened(&server, &workspace, run_id, "RUN_STARTED")).await?;
        let parameters = ListRunEventsParameters::default().with_since_seq(1).with_timeout(60);
        let follow = tokio::spawn(workspace.device.runs().list_run_events(&run_id, &parameters).into_future());
        workspace.machine.bridge().submit_event(&happened(&server, &workspace, run_id, "TOOL_USED")).await?;
        // The server's clock stands still: only the event can end the wait.
        let page = follow.await??;
        ensure!(page.last_seq == 2 && page.events.len() == 1, "{page:?}");

        let parameters = parameters.with_since_seq(2).with_timeout(3);
        let page = server.hurry(workspace.device.runs().list_run_events(&run_id, &parameters).into_future()).await?;
        ensure!(page.events.is_empty() && page.last_seq == 2, "{page:?}");
    }

    /// The person sees in one place what the agent did, what it asked, and what became of that.
    async fn the_timeline_tells_of_approvals(database) {
        let server = TestServer::start(database).await?;
        let workspace = server.pair().await?;
        let run_id = Uuid::new_v4();
        let asked = workspace.machine.bridge().request_approval(&request(&workspace, run_id)).await?;
        workspace.device.approvals().decide_approval(&asked.approval_id, &Decision::new(DecisionVerb::Approve)).await?;
        let page = workspace.device.runs().list_run_events(&run_id, &Default::default()).await?;
        let told: Vec<_> = page.events.iter().filter(|event| event.r#type.starts_with("approval.")).collect();
        ensure!(told.len() == 2, "{:?}", page.events);
        let id = json!(asked.approval_id);
        ensure!(told.iter().all(|event| event.payload["approval_id"] == id), "{told:?}");
    }
}
