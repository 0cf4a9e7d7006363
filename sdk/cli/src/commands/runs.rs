//! `flightdeck runs`: what agents do.

use std::time::Duration;

use anyhow::{Context as _, Result};
use flightdeck_sdk::Client;
use flightdeck_sdk::generated::runs::{ListRunEventsParameters, ListRunsParameters};
use flightdeck_sdk::types::{Run, RunEvent, RunStatus};
use futures_util::StreamExt as _;
use uuid::Uuid;

use super::Scene;
use super::find::{Typed, short, typed, unique};
use super::gist::{colour, gist};
use crate::cli::RunsCommand;
use crate::config::connect;
use crate::term::{self, Colour, Table};

/// How long one request waits for the next event; common proxies cut a silent connection after 60 s.
const HOLD: u64 = 50;

pub(super) async fn run(scene: &Scene, command: Option<RunsCommand>) -> Result<()> {
    let client = connect(&scene.effective)?;
    match command.unwrap_or(RunsCommand::List { status: Vec::new(), limit: 20 }) {
        RunsCommand::List { status, limit } => list(scene, &client, status, limit).await,
        RunsCommand::Show { id } => show(scene, &client, &id).await,
        RunsCommand::Tail { id, follow, since } => {
            let run = find(&client, &id).await?;
            tokio::select! {
                result = tail(scene, &client, run.run_id, follow, since) => result,
                // The usual way to end it, so no failure.
                _ = tokio::signal::ctrl_c() => Ok(()),
            }
        }
    }
}

async fn list(scene: &Scene, client: &Client, status: Vec<RunStatus>, limit: u64) -> Result<()> {
    let parameters = ListRunsParameters::default().with_status(status).with_limit(limit.min(200));
    let mut stream = client.runs().list_runs_stream(&parameters).take(usize::try_from(limit)?);
    let mut runs = Vec::new();
    while let Some(run) = stream.next().await {
        runs.push(run?);
    }
    if scene.json {
        return term::say_json(&runs);
    }
    if runs.is_empty() {
        return term::say("There are no such runs.");
    }
    let now = term::now();
    let mut table = Table::new(&["ID", "STATUS", "AGENT", "STARTED", "LAST", "LAST MESSAGE"]);
    for run in &runs {
        let (state, colour) = state(run);
        table.row(vec![
            (short(run.run_id), Some(Colour::Accent)),
            (term::line(&state), Some(colour)),
            (term::line(&run.provider), None),
            (term::ago(run.started_at, now), None),
            (term::ago(run.last_event_at, now), None),
            (term::line(run.last_message.as_deref().unwrap_or_default()), None),
        ]);
    }
    term::print(&table.render(scene.theme, term::width()))
}

/// How a run stands. One that waits for a person is not simply running.
fn state(run: &Run) -> (String, Colour) {
    match &run.status {
        RunStatus::Running if run.pending_approvals > 0 => ("waits for you".to_owned(), Colour::Warning),
        RunStatus::Running => ("running".to_owned(), Colour::Good),
        RunStatus::Failed => ("failed".to_owned(), Colour::Bad),
        other => (other.as_str().to_lowercase(), Colour::Quiet),
    }
}

async fn show(scene: &Scene, client: &Client, id: &str) -> Result<()> {
    let run = find(client, id).await?;
    if scene.json {
        return term::say_json(&run);
    }
    let (theme, now) = (scene.theme, term::now());
    let (state, colour) = state(&run);
    let mut text = format!("{}  {}\n\n", theme.paint(colour, &term::line(&state)), run.run_id);
    let mut row = |name: &str, value: &str| {
        text.push_str(&format!("{} {}\n", theme.paint(Colour::Quiet, &format!("{name:<12}")), term::line(value)));
    };
    row("agent", &run.provider);
    row("workspace", &run.workspace_id.to_string());
    row("started", &format!("{} ({})", term::ago(run.started_at, now), run.started_at));
    if let Some(ended) = run.ended_at {
        row("ended", &term::ago(ended, now));
    }
    row("last event", &format!("{}, number {}", term::ago(run.last_event_at, now), run.last_seq));
    row("questions", &format!("{} waiting", run.pending_approvals));
    if let Some(message) = &run.last_message {
        text.push_str(&format!("\n{}\n", term::block(message, "  ")));
    }
    term::print(&text)
}

async fn tail(scene: &Scene, client: &Client, run_id: Uuid, follow: bool, since: u64) -> Result<()> {
    let mut since = since;
    loop {
        let mut parameters = ListRunEventsParameters::default().with_since_seq(since).with_limit(500);
        if follow {
            parameters = parameters.with_timeout(HOLD);
        }
        let limit = Duration::from_secs(HOLD + 10);
        // Reading changes nothing, so a server that restarts is simply asked again.
        let call = client.runs().list_run_events(&run_id, &parameters).timeout(limit).deadline(limit * 5).retries(20);
        let page = call.await?;
        for event in &page.events {
            if scene.json {
                term::say_json_line(event)?;
            } else {
                term::say(&entry(scene, event))?;
            }
        }
        since = page.last_seq;
        if page.events.is_empty() && !follow {
            return Ok(());
        }
    }
}

/// One event on one line.
fn entry(scene: &Scene, event: &RunEvent) -> String {
    let time = scene.theme.paint(Colour::Quiet, &term::clock(event.event_ts.unwrap_or(event.created_at)));
    let kind = term::line(&event.r#type);
    let head =
        format!("{:>5}  {time}  {}", event.seq, scene.theme.paint(colour(&event.r#type), &format!("{kind:<18}")));
    let said = term::line(&gist(&event.payload));
    // The head without its colours: number, two gaps, time, and the kind.
    let used = 5 + 2 + 8 + 2 + kind.chars().count().max(18) + 2;
    let said = term::width().map_or_else(|| said.clone(), |width| term::cut(&said, width.saturating_sub(used).max(20)));
    format!("{head}  {said}")
}

/// The run that a person means.
pub(super) async fn find(client: &Client, text: &str) -> Result<Run> {
    let part = match typed(text)? {
        Typed::Whole(id) => return Ok(client.runs().get_run(&id).await?),
        Typed::Part(part) => part,
    };
    let stream = client.runs().list_runs_stream(&ListRunsParameters::default().with_limit(200));
    let found = unique(stream, |run| run.run_id, &part, "run").await?;
    found.with_context(|| format!("no run has an id like {text:?}; `flightdeck runs list` shows them"))
}
