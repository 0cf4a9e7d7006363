//! `flightdeck approvals`: what agents ask, and the answers.

use anyhow::{Context as _, Result};
use flightdeck_sdk::generated::approvals::ListApprovalsParameters;
use flightdeck_sdk::types::{
    Approval, ApprovalStatus, Decision, DecisionBatch, DecisionItem, DecisionOutcome, DecisionVerb, ExpiryReason,
};
use flightdeck_sdk::{Client, Error, ErrorCode};
use futures_util::StreamExt as _;
use serde_json::Value;
use uuid::Uuid;

use super::Scene;
use super::devices::DeviceNames;
use super::find::{Typed, short, typed, unique};
use crate::cli::{ApprovalsCommand, Decide};
use crate::config::connect;
use crate::exit::{Exit, Failure};
use crate::term::{self, Colour, Table};

pub(super) async fn run(scene: &Scene, command: Option<ApprovalsCommand>) -> Result<()> {
    let client = || connect(&scene.effective);
    let waiting = ApprovalsCommand::List { status: Vec::new(), all: false, limit: 50 };
    match command.unwrap_or(waiting) {
        ApprovalsCommand::List { status, all, limit } => list(scene, &client()?, status, all, limit).await,
        ApprovalsCommand::Show { id } => show(scene, &client()?, &id).await,
        ApprovalsCommand::Approve(decide) => decide_all(scene, &decider(scene)?, decide, DecisionVerb::Approve).await,
        ApprovalsCommand::Deny(decide) => decide_all(scene, &decider(scene)?, decide, DecisionVerb::Deny).await,
    }
}

/// A client that may decide: a device. An agent has its machine's key as well, and must not approve itself with it.
fn decider(scene: &Scene) -> Result<Client> {
    let effective = &scene.effective;
    match effective.connect_device() {
        Some(client) => client,
        None if effective.workspace.is_some() => Err(Failure::new(
            Exit::NotPaired,
            format!(
                "this machine may ask, but not decide: it is no device of {}; run `flightdeck pair --add-device --self` \
                 to make this terminal one, or decide on the phone",
                effective.url.0
            ),
        )
        .into()),
        // It says that nothing is paired, and what to do.
        None => connect(effective),
    }
}

async fn list(scene: &Scene, client: &Client, status: Vec<ApprovalStatus>, all: bool, limit: u64) -> Result<()> {
    let status = if status.is_empty() && !all { vec![ApprovalStatus::Pending] } else { status };
    let only_waiting = status == [ApprovalStatus::Pending];
    let parameters = ListApprovalsParameters::default().with_status(status).with_limit(limit.min(200));
    let stream = client.approvals().list_approvals_stream(&parameters);
    let approvals = collect(stream.take(usize::try_from(limit)?)).await?;
    if scene.json {
        return term::say_json(&approvals);
    }
    if approvals.is_empty() {
        return term::say(if only_waiting { "Nothing waits for you." } else { "There are no such approvals." });
    }
    let now = term::now();
    let mut table = Table::new(&["ID", "STATUS", "ASKED", "TOOL", "COMMAND"]);
    for approval in &approvals {
        let (state, colour) = state(approval);
        table.row(vec![
            (short(approval.approval_id), Some(Colour::Accent)),
            (term::line(&state), Some(colour)),
            (term::ago(approval.requested_at, now), None),
            (term::line(approval.tool_name.as_deref().unwrap_or(&approval.kind)), None),
            (term::line(&approval.command), None),
        ]);
    }
    term::print(&table.render(scene.theme, term::width()))
}

async fn collect<T>(stream: impl futures_util::Stream<Item = flightdeck_sdk::Result<T>>) -> Result<Vec<T>> {
    let mut items = Vec::new();
    let mut stream = std::pin::pin!(stream);
    while let Some(item) = stream.next().await {
        items.push(item?);
    }
    Ok(items)
}

/// How an approval stands, in a word or two.
fn state(approval: &Approval) -> (String, Colour) {
    match &approval.status {
        ApprovalStatus::Pending if approval.orphaned_at.is_some() => ("orphaned".to_owned(), Colour::Warning),
        ApprovalStatus::Pending => ("waiting".to_owned(), Colour::Warning),
        ApprovalStatus::Approved => (received(approval, "approved"), Colour::Good),
        ApprovalStatus::Denied => (received(approval, "denied"), Colour::Bad),
        ApprovalStatus::Expired if approval.expiry_reason == Some(ExpiryReason::Withdrawn) => {
            ("withdrawn".to_owned(), Colour::Quiet)
        }
        ApprovalStatus::Expired => ("expired".to_owned(), Colour::Quiet),
        other => (other.as_str().to_lowercase(), Colour::Quiet),
    }
}

/// How far a verdict has come: `approved` · `approved, delivered` · `approved, done`.
fn received(approval: &Approval, verdict: &str) -> String {
    match (approval.consumed_at, approval.delivered_at) {
        (Some(_), _) => format!("{verdict}, done"),
        (None, Some(_)) => format!("{verdict}, delivered"),
        (None, None) => verdict.to_owned(),
    }
}

async fn show(scene: &Scene, client: &Client, id: &str) -> Result<()> {
    let approval = find(client, id).await?;
    if scene.json {
        return term::say_json(&approval);
    }
    let names = DeviceNames::for_approvals(client, std::slice::from_ref(&approval)).await;
    let (theme, now) = (scene.theme, term::now());
    let (state, colour) = state(&approval);
    let mut text = format!("{}  {}\n\n", theme.paint(Colour::Strong, &term::line(&state)), approval.approval_id);
    text.push_str(&format!("{}\n\n", theme.paint(colour, &term::block(&approval.command, "  "))));
    let mut row = |name: &str, value: &str| {
        text.push_str(&format!("{} {}\n", theme.paint(Colour::Quiet, &format!("{name:<10}")), term::line(value)));
    };
    row("tool", approval.tool_name.as_deref().unwrap_or(&approval.kind));
    row("run", &approval.run_id.to_string());
    row("asked", &format!("{} ({})", term::ago(approval.requested_at, now), approval.requested_at));
    if approval.status == ApprovalStatus::Pending {
        row("expires", &term::until(approval.expires_at, now));
        if approval.orphaned_at.is_some() {
            row("orphaned", "nobody waits for the answer at the moment; it counts if the hook comes back");
        }
    }
    if let Some(decided) = approval.decided_at {
        let by = match approval.status {
            ApprovalStatus::Expired => String::new(),
            _ => format!(" by {}", names.decider(&approval)),
        };
        row("decided", &format!("{}{by}", term::ago(decided, now)));
    }
    for (name, time) in [("delivered", approval.delivered_at), ("consumed", approval.consumed_at)] {
        if let Some(time) = time {
            row(name, &term::ago(time, now));
        }
    }
    if let Some(note) = &approval.note {
        row("note", note);
    }
    if approval.context.get("truncated") == Some(&Value::Bool(true)) {
        row("caution", "the input was too large to be sent whole; this is not all of it");
    }
    text.push_str(&format!("\n{}\n", theme.paint(Colour::Quiet, "evidence")));
    text.push_str(&term::block(&serde_json::to_string_pretty(&approval.context)?, "  "));
    term::say(&text)
}

async fn decide_all(scene: &Scene, client: &Client, decide: Decide, verb: DecisionVerb) -> Result<()> {
    let mut ids = Vec::new();
    for id in &decide.ids {
        let id = match typed(id)? {
            Typed::Whole(id) => id,
            Typed::Part(_) => find(client, id).await?.approval_id,
        };
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    let note = decide.note.filter(|note| !note.trim().is_empty());
    if let [id] = ids.as_slice() {
        return decide_one(scene, client, *id, verb, note).await;
    }
    let items = ids.iter().map(|id| {
        let mut item = DecisionItem::new(*id, verb.clone());
        item.note.clone_from(&note);
        item
    });
    let outcomes = client.approvals().decide_approvals(&DecisionBatch::new(items.collect::<Vec<_>>())).await?;
    if scene.json {
        term::say_json(&outcomes)?;
    }
    let mut refused = 0;
    for outcome in &outcomes.outcomes {
        match outcome {
            DecisionOutcome::Accepted(accepted) if !scene.json => say_decided(scene, &accepted.approval)?,
            DecisionOutcome::Accepted(_) => {}
            DecisionOutcome::Refused(refusal) => {
                refused += 1;
                let why = match refusal.error.code.as_str() {
                    "approval_conflict" => standing(client, refusal.approval_id).await,
                    _ => refusal.error.error.clone(),
                };
                term::remark(&term::line(&format!("{}: {why}", short(refusal.approval_id))));
            }
            other => {
                term::remark(&term::line(&format!("an outcome that this flightdeck does not know: {}", other.tag())));
            }
        }
    }
    match refused {
        0 => Ok(()),
        _ => Err(Failure::new(Exit::Conflict, format!("{refused} of {} decisions did not stand", ids.len())).into()),
    }
}

async fn decide_one(scene: &Scene, client: &Client, id: Uuid, verb: DecisionVerb, note: Option<String>) -> Result<()> {
    let mut decision = Decision::new(verb);
    decision.note.clone_from(&note);
    match client.approvals().decide_approval(&id, &decision).await {
        Ok(approval) if scene.json => term::say_json(&approval),
        Ok(approval) => {
            say_decided(scene, &approval)?;
            // The same decision again is answered the same, with the note that came with the first.
            if note.is_some() && approval.note != note {
                term::remark("It was decided so before; the first note counts, and this one was not added.");
            }
            Ok(())
        }
        Err(error @ Error::Api(_)) if error.code() == Some(&ErrorCode::ApprovalConflict) => {
            Err(Failure::new(Exit::Conflict, standing(client, id).await).into())
        }
        Err(error) => Err(error.into()),
    }
}

fn say_decided(scene: &Scene, approval: &Approval) -> Result<()> {
    let (state, colour) = state(approval);
    let command = term::cut(&term::line(&approval.command), 70);
    term::say(&format!(
        "{} {}  {command}",
        scene.theme.paint(colour, &term::line(&state)),
        short(approval.approval_id)
    ))?;
    if approval.orphaned_at.is_some() && approval.delivered_at.is_none() {
        term::remark("Nobody waits for this answer at the moment. It counts if the hook comes back.");
    }
    Ok(())
}

/// Why a decision came too late: who decided before, what, and when.
async fn standing(client: &Client, id: Uuid) -> String {
    let Ok(approval) = client.approvals().get_approval(&id).await else {
        return "it has been decided already, and differently".to_owned();
    };
    let names = DeviceNames::for_approvals(client, std::slice::from_ref(&approval)).await;
    let when = approval.decided_at.map_or_else(String::new, |decided| format!(" {}", term::ago(decided, term::now())));
    let note = approval.note.as_ref().map_or_else(String::new, |note| format!(", with the note {note:?}"));
    let verdict = state(&approval).0;
    format!("already {verdict} by {}{when}{note}; the first decision counts", names.decider(&approval))
}

/// The approval that a person means. Those that wait are looked at first, because those are what people decide.
async fn find(client: &Client, text: &str) -> Result<Approval> {
    let part = match typed(text)? {
        Typed::Whole(id) => return Ok(client.approvals().get_approval(&id).await?),
        Typed::Part(part) => part,
    };
    for status in [vec![ApprovalStatus::Pending], Vec::new()] {
        let parameters = ListApprovalsParameters::default().with_status(status).with_limit(200);
        let stream = client.approvals().list_approvals_stream(&parameters);
        if let Some(found) = unique(stream, |approval| approval.approval_id, &part, "approval").await? {
            return Ok(found);
        }
    }
    None.with_context(|| format!("no approval has an id like {text:?}; `flightdeck approvals list --all` shows them"))
}
