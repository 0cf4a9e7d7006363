//! Runs: they follow the events that agents report.

use std::collections::BTreeMap;
use std::sync::Arc;

use flightdeck_api::generated::errors::ErrorCode;
use flightdeck_api::generated::types::BridgeEvent;
use flightdeck_api::support::ApiError;
use uuid::Uuid;

use super::paging::{Page, Slice};
use super::patience::Patience;
use crate::clock::Clock;
use crate::log::{Append, Appended, Log, NonceGuard, Work, run_stream};
use crate::store::Store;
use crate::store::approvals;
use crate::store::events::{EventRow, NewEvent};
use crate::store::idempotency::Claim;
use crate::store::runs::{self, RunChange, RunFilter, RunRow};
use crate::store::streams;
use crate::store::workspaces::{After, Scope};

/// Characters of an event's message that become the run's last message; the event keeps all.
const MAX_MESSAGE: usize = 2_000;

/// A run, with what is counted about it.
#[derive(Debug, Clone)]
pub struct CountedRun {
    pub run: RunRow,
    pub last_seq: i64,
    pub pending_approvals: u64,
}

/// Runs and their timelines.
#[derive(Clone)]
pub struct Runs {
    store: Store,
    log: Log,
    clock: Arc<dyn Clock>,
    patience: Patience,
}

impl Runs {
    #[must_use]
    pub const fn new(store: Store, log: Log, clock: Arc<dyn Clock>, patience: Patience) -> Self {
        Self { store, log, clock, patience }
    }

    /// Appends an agent's event, and returns its id and `seq`.
    ///
    /// # Errors
    /// `run_not_found`, if the run belongs to another workspace; `idempotency_key_reused`.
    pub async fn report(
        &self,
        event: BridgeEvent,
        claim: Option<Claim>,
        nonce: NonceGuard,
    ) -> Result<(Uuid, i64), ApiError> {
        let now = self.clock.now();
        let message = event
            .payload
            .as_ref()
            .and_then(|payload| payload.get("message")?.as_str())
            .filter(|message| !message.is_empty())
            // PostgreSQL's text can't hold the character NUL.
            .map(|message| message.chars().filter(|&c| c != '\0').take(MAX_MESSAGE).collect());
        let payload = event.payload.as_ref().map_or_else(
            || Ok("{}".to_owned()),
            |payload| serde_json::to_string(payload).map_err(|_| ApiError::new(ErrorCode::Internal)),
        )?;
        let append = Append {
            run: Some(RunChange {
                run_id: event.run_id,
                workspace_id: event.workspace_id,
                provider: event.provider,
                status: status_after(&event.event_type),
                message,
                at: now,
            }),
            event: Arc::new(NewEvent {
                stream: run_stream(event.run_id),
                id: Uuid::now_v7(),
                kind: event.event_type,
                created_at: now,
                happened_at: Some(event.event_ts.0),
                payload,
            }),
            claim,
        };
        match self.log.append(append, Some(nonce)).await? {
            Appended::At { event_id, seq } => Ok((event_id, seq)),
            Appended::ForeignRun => Err(ErrorCode::RunNotFound.into()),
            Appended::KeyReused => Err(ErrorCode::IdempotencyKeyReused.into()),
        }
    }

    /// The workspace that a run belongs to, if there is such a run.
    ///
    /// # Errors
    /// `unavailable`.
    pub async fn workspace_of(&self, id: Uuid) -> Result<Option<Uuid>, ApiError> {
        Ok(runs::find(self.store.reader(), id, &Scope::All).await?.map(|run| run.workspace_id))
    }

    /// Newest first.
    ///
    /// # Errors
    /// `cursor_invalid`.
    pub async fn list(&self, scope: &Scope, filter: &RunFilter, slice: &Slice) -> Result<Page<CountedRun>, ApiError> {
        let rows = runs::list(self.store.reader(), scope, filter, slice.after()?, slice.rows()).await?;
        let page = slice.page(rows, |row| After { time: row.started_at, id: row.id });
        let items = self.count(page.items).await?;
        Ok(Page { items, next_cursor: page.next_cursor })
    }

    /// # Errors
    /// `run_not_found`.
    pub async fn get(&self, scope: &Scope, id: Uuid) -> Result<CountedRun, ApiError> {
        let row = self.find(scope, id).await?;
        self.count(vec![row]).await?.pop().ok_or_else(|| ErrorCode::RunNotFound.into())
    }

    /// The run's events after `since`; waits up to `timeout_seconds` for one if there is none.
    ///
    /// # Errors
    /// `run_not_found`.
    pub async fn timeline(
        &self,
        scope: &Scope,
        id: Uuid,
        since: i64,
        limit: u64,
        timeout_seconds: u64,
    ) -> Result<Vec<EventRow>, ApiError> {
        self.find(scope, id).await?;
        let deadline = self.patience.of(timeout_seconds);
        let stream = run_stream(id);
        // Watch first, then read: nothing falls in between.
        let mut watching = self.log.watch(&stream);
        loop {
            let events = self.log.read(&stream, since, limit).await?;
            if !events.is_empty() || deadline.is_over() {
                return Ok(events);
            }
            tokio::select! {
                () = watching.appended() => {}
                () = deadline.passed() => {}
            }
        }
    }

    async fn find(&self, scope: &Scope, id: Uuid) -> Result<RunRow, ApiError> {
        let row = runs::find(self.store.reader(), id, scope).await?;
        row.ok_or_else(|| ErrorCode::RunNotFound.into())
    }

    async fn count(&self, rows: Vec<RunRow>) -> Result<Vec<CountedRun>, ApiError> {
        let reader = self.store.reader();
        let ids: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
        let heads: BTreeMap<String, i64> = streams::heads(reader, ids.iter().map(|id| run_stream(*id))).await?;
        let pending = approvals::pending_by_run(reader, &ids).await?;
        Ok(rows
            .into_iter()
            .map(|run| CountedRun {
                last_seq: heads.get(&run_stream(run.id)).copied().unwrap_or(0),
                pending_approvals: pending.get(&run.id).copied().unwrap_or(0),
                run,
            })
            .collect())
    }
}

/// A step in the life of a run that this server itself leads.
pub(super) struct Milestone<'m> {
    pub(super) run_id: Uuid,
    pub(super) workspace_id: Uuid,
    pub(super) provider: &'m str,
    /// The type of the event, e.g. `RUN_STARTED`.
    pub(super) kind: &'static str,
    pub(super) message: Option<&'m str>,
    /// What the event says besides: an object, or nothing.
    pub(super) facts: serde_json::Value,
}

/// Writes a step down, as an agent would report it.
pub(super) async fn mark(work: &mut Work<'_>, milestone: &Milestone<'_>, now: i64) -> Result<(), ApiError> {
    let Milestone { run_id, workspace_id, provider, kind, message, ref facts } = *milestone;
    let message = message.map(|message| message.chars().take(MAX_MESSAGE).collect::<String>());
    let mut payload = facts.as_object().cloned().unwrap_or_default();
    payload.insert("message".to_owned(), message.clone().into());
    let payload = serde_json::Value::Object(payload).to_string();
    let provider = provider.to_owned();
    let change = RunChange { run_id, workspace_id, provider, status: status_after(kind), message, at: now };
    runs::apply(work.tx().connection(), &[&change]).await?;
    let (stream, kind) = (run_stream(run_id), kind.to_owned());
    let event = NewEvent { stream, id: Uuid::now_v7(), kind, created_at: now, happened_at: None, payload };
    work.append(vec![event]).await?;
    Ok(())
}

/// The status that an event of this type moves its run to, if it does.
fn status_after(event_type: &str) -> Option<&'static str> {
    match event_type {
        "RUN_STARTED" => Some("RUNNING"),
        "RUN_FINISHED" => Some("FINISHED"),
        "RUN_FAILED" => Some("FAILED"),
        "RUN_STOPPED" => Some("STOPPED"),
        _ => None,
    }
}
