//! Commands of sessions: what may run, where, and what is told of its end.
//!
//! A command runs in its session's terminal, on the server that was asked. How terminals work is `terminal`'s matter.

use std::sync::Arc;
use std::time::Duration;

use flightdeck_api::generated::errors::ErrorCode;
use flightdeck_api::support::ApiError;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast::error::RecvError;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::idempotency;
use super::sessions::{SessionEvent, Sessions};
use super::terminal::{CommandPolicy, Ended, Exit, Limits, Run, RunError, Terminal, Terminals};
use crate::clock::Clock;
use crate::log::{Log, Work};
use crate::store::idempotency::Claim;
use crate::store::sessions::SessionRow;

/// Between two looks for sessions that other servers ended, in milliseconds.
const EVERY: i64 = 5_000;

/// Before the end of a command is written down again when the database is away, in milliseconds.
const PAUSE: i64 = 1_000;

/// Commands. Cheap to clone.
#[derive(Clone)]
pub struct Commands(Arc<Parts>);

struct Parts {
    log: Log,
    clock: Arc<dyn Clock>,
    sessions: Sessions,
    terminals: Terminals,
    policy: CommandPolicy,
    /// How long a command may run at most.
    longest: Duration,
    /// Ends of commands that are being written down.
    telling: TaskTracker,
}

/// A command that was started.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Started {
    pub id: Uuid,
    pub started_at: i64,
}

impl Commands {
    #[must_use]
    pub fn new(
        log: Log,
        clock: Arc<dyn Clock>,
        sessions: Sessions,
        terminals: Terminals,
        policy: CommandPolicy,
        longest: Duration,
    ) -> Self {
        Self(Arc::new(Parts { log, clock, sessions, terminals, policy, longest, telling: TaskTracker::new() }))
    }

    /// Starts a command in a session's terminal.
    ///
    /// # Errors
    /// `command_not_allowed`, `directory_not_allowed`, `repository_invalid`, `command_running`, `command_not_started`,
    /// `session_not_found`, `idempotency_key_reused`.
    pub async fn run(
        &self,
        session: &SessionRow,
        command: &str,
        cwd: &str,
        milliseconds: Option<u64>,
        claim: Option<Claim>,
    ) -> Result<Started, ApiError> {
        // What is begun is finished, whether or not somebody still waits for the answer.
        let (commands, session, command, cwd) = (self.clone(), session.clone(), command.to_owned(), cwd.to_owned());
        let ran = tokio::spawn(async move { commands.start(&session, &command, &cwd, milliseconds, claim).await });
        ran.await.unwrap_or_else(|error| {
            tracing::error!(%error, "a command could not be started because of a fault of the server's own");
            Err(ErrorCode::Internal.into())
        })
    }

    async fn start(
        &self,
        session: &SessionRow,
        command: &str,
        cwd: &str,
        milliseconds: Option<u64>,
        claim: Option<Claim>,
    ) -> Result<Started, ApiError> {
        let Parts { log, clock, sessions, terminals, policy, longest, telling } = &*self.0;
        let started = Started { id: Uuid::now_v7(), started_at: clock.now() };
        // The key first: of requests that are repeated at once, one starts the command.
        if let Some(claim) = claim.clone() {
            let now = clock.now();
            let known = log.transact(None, move |work: &mut Work<'_>| {
                let claim = claim.clone();
                Box::pin(async move {
                    if let Some(answer) = idempotency::known(work, Some(&claim)).await? {
                        return Ok(Some(answer));
                    }
                    let answer = serde_json::to_vec(&started).map_err(|_| ApiError::new(ErrorCode::Internal))?;
                    idempotency::remember(work, Some(&claim), &answer, now).await?;
                    Ok::<_, ApiError>(None)
                })
            });
            if let Some(answer) = known.await? {
                return serde_json::from_slice(&answer).map_err(|_| ErrorCode::Internal.into());
            }
        }
        let begun = async {
            let command = policy
                .prepare(command)
                .map_err(|error| ApiError::new(ErrorCode::CommandNotAllowed).detail("/cmd", error.to_string()))?;
            let repository = sessions.repository(session).await?;
            let directory = repository
                .directory(cwd)
                .map_err(|error| ApiError::new(ErrorCode::DirectoryNotAllowed).detail("/cwd", error.to_string()))?;
            let handle = std::os::fd::AsFd::as_fd(&directory).try_clone_to_owned();
            let handle = handle
                .map_err(|error| ApiError::new(ErrorCode::CommandNotStarted).detail("/cwd", error.to_string()))?;
            let terminal = terminals.open(session.id).map_err(|error| refusal(&error))?;
            let time = milliseconds.map_or(*longest, Duration::from_millis).min(*longest);
            let run =
                terminal.run(&command, handle, Limits::within(Some(time))).await.map_err(|error| refusal(&error))?;
            // The session may have ended meanwhile, and its terminal with it.
            if !sessions.over(&[session.id]).await?.is_empty() {
                terminals.close(session.id).await;
                return Err(ErrorCode::SessionNotFound.into());
            }
            Ok(run)
        };
        match begun.await {
            Ok(run) => {
                telling.spawn(self.clone().tell_end(session.id, started.id, run));
                Ok(started)
            }
            Err(error) => {
                if let Some(claim) = claim {
                    // Nothing was done, so the same request may be tried again.
                    let forgotten = log.transact(None, move |work: &mut Work<'_>| {
                        let claim = claim.clone();
                        Box::pin(async move { idempotency::forget(work, &claim).await })
                    });
                    forgotten.await?;
                }
                Err(error)
            }
        }
    }

    /// The terminal of a session.
    ///
    /// # Errors
    /// `unavailable`, when the server shuts down.
    pub fn terminal(&self, session_id: Uuid) -> Result<Terminal, ApiError> {
        self.0.terminals.open(session_id).map_err(|_| ErrorCode::Unavailable.into())
    }

    /// Ends all commands, because the server goes away.
    pub async fn leave(&self) {
        self.0.terminals.close_all().await;
        self.0.telling.close();
        self.0.telling.wait().await;
    }

    /// Writes down how a command ended.
    async fn tell_end(self, session_id: Uuid, command_id: Uuid, mut run: Run) {
        let Exit { code, duration, why } = run.exited().await;
        let (log, clock) = (&self.0.log, &self.0.clock);
        let event = SessionEvent::Exit {
            command_id,
            code: code.into(),
            duration_ms: u64::try_from(duration.as_millis()).unwrap_or(u64::MAX),
            reason: Some(why).filter(|why| *why != Ended::ByItself).map(|why| why.to_string()),
        };
        for attempt in 0_u8.. {
            let (event, now) = (event.clone(), clock.now());
            let told = log.transact(None, move |work: &mut Work<'_>| {
                let event = event.of(session_id, now);
                Box::pin(async move { work.append(vec![event]).await.map(|_| ()).map_err(ApiError::from) })
            });
            match told.await {
                Ok(()) => return,
                Err(error) if attempt < 60 => {
                    tracing::debug!(%session_id, %error, "could not write down how a command ended; will try again");
                    clock.sleep_until(clock.now() + PAUSE).await;
                }
                Err(error) => {
                    tracing::warn!(%session_id, %error, "could not write down how a command ended");
                    return;
                }
            }
        }
    }
}

/// Closes the terminals of sessions that are over, until dropped.
pub async fn keep(commands: Commands) {
    let Parts { clock, sessions, terminals, .. } = &*commands.0;
    let mut ending = sessions.ending();
    let mut look_at = clock.now() + EVERY;
    loop {
        tokio::select! {
            ended = ending.recv() => match ended {
                Ok(session_id) => {
                    let terminals = terminals.clone();
                    tokio::spawn(async move { terminals.close(session_id).await });
                }
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            },
            () = clock.sleep_until(look_at) => {
                look_at = clock.now() + EVERY;
                match sessions.over(&terminals.ids()).await {
                    Ok(over) => for session_id in over {
                        let terminals = terminals.clone();
                        tokio::spawn(async move { terminals.close(session_id).await });
                    },
                    Err(error) => tracing::warn!(%error, "could not look for sessions that are over; will try again"),
                }
            }
        }
    }
}

fn refusal(error: &RunError) -> ApiError {
    let code = match error {
        RunError::Busy => ErrorCode::CommandRunning,
        RunError::Closed => ErrorCode::SessionNotFound,
        RunError::NotFound(_) | RunError::NotStarted { .. } => ErrorCode::CommandNotStarted,
    };
    ApiError::new(code).detail("/cmd", error.to_string())
}
