//! Sessions: access to one repository, for whoever has the session's token.
//!
//! A session lasts as long as it is used. Its end, whoever brings it about, is written down first and then carried out by every
//! server that does something for it: commands and tasks listen to [`Sessions::ending`]. What they do does not belong here.

pub mod event;
mod sweep;

use std::sync::Arc;

use flightdeck_api::generated::errors::ErrorCode;
use flightdeck_api::support::ApiError;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;
use uuid::Uuid;

use super::chats::Chats;
use super::idempotency;
use super::repo::{Allowlist, RepoError, Repository};
use crate::auth::SessionTokens;
use crate::clock::Clock;
use crate::log::{Log, NonceGuard, Reader, ReaderLimits, Work};
use crate::store::idempotency::Claim;
use crate::store::sessions::{self, SessionRow};
use crate::store::workspaces::Scope;
use crate::store::{Store, streams};

pub use event::{SessionEvent, session_stream};
pub use sweep::{Alarm, sweep};

use event::SessionEvent as Event;

/// The end of a session is put off to the minute: a write for every request would buy nothing.
const USED_EVERY: i64 = 60_000;

/// Ends that wait to be carried out; who misses one finds it by looking.
const ENDINGS: usize = 1_024;

/// Sessions. Cheap to clone.
#[derive(Clone)]
pub struct Sessions(Arc<Parts>);

struct Parts {
    store: Store,
    log: Log,
    clock: Arc<dyn Clock>,
    chats: Chats,
    allowlist: Allowlist,
    /// In milliseconds.
    lifetime: i64,
    endings: broadcast::Sender<Uuid>,
}

/// What sessions are made of.
pub struct Foundation {
    pub store: Store,
    pub log: Log,
    pub clock: Arc<dyn Clock>,
    pub chats: Chats,
    pub allowlist: Allowlist,
    /// How long a session lasts without use, in milliseconds.
    pub lifetime: i64,
}

/// A session that does not exist yet.
#[derive(Debug, Clone)]
pub struct NewSession {
    pub repo: String,
    pub label: Option<String>,
    pub via: &'static str,
    pub device_id: Option<Uuid>,
}

/// What the request that opened a session is answered, so that a repeated one is answered the same.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Opened {
    pub id: Uuid,
    pub created_at: i64,
    pub expires_at: i64,
}

impl Sessions {
    #[must_use]
    pub fn new(foundation: Foundation) -> Self {
        let Foundation { store, log, clock, chats, allowlist, lifetime } = foundation;
        let (endings, _) = broadcast::channel(ENDINGS);
        Self(Arc::new(Parts { store, log, clock, chats, allowlist, lifetime, endings }))
    }

    /// Opens a session.
    ///
    /// # Errors
    /// `repository_not_allowed`, `repository_invalid`, `idempotency_key_reused`, `workspace_not_found`.
    pub async fn open(
        &self,
        scope: &Scope,
        new: NewSession,
        claim: Option<Claim>,
        nonce: Option<NonceGuard>,
    ) -> Result<Opened, ApiError> {
        let repository = self.repository_at(&new.repo).await?;
        let repo = repository.path().to_str().map(str::to_owned).ok_or_else(|| {
            ApiError::new(ErrorCode::RepositoryInvalid).detail("repo", "has a path that is not UTF-8")
        })?;
        let workspace_id = self.0.chats.workspace(scope, None).await?;
        let now = self.0.clock.now();
        let expires_at = self.end_after(now, now);
        let done = self.0.log.transact(nonce, move |work: &mut Work<'_>| {
            let (new, claim, repo) = (new.clone(), claim.clone(), repo.clone());
            Box::pin(async move {
                if let Some(answer) = idempotency::known(work, claim.as_ref()).await? {
                    return serde_json::from_slice(&answer).map_err(|_| ErrorCode::Internal.into());
                }
                let opened = Opened { id: Uuid::now_v7(), created_at: now, expires_at };
                let row = SessionRow {
                    id: opened.id,
                    repo,
                    label: new.label,
                    via: new.via.to_owned(),
                    workspace_id,
                    device_id: new.device_id,
                    created_at: now,
                    expires_at,
                    last_used_at: now,
                    ended_at: None,
                };
                sessions::insert(work.tx().connection(), row).await?;
                let answer = serde_json::to_vec(&opened).map_err(|_| ApiError::new(ErrorCode::Internal))?;
                idempotency::remember(work, claim.as_ref(), &answer, now).await?;
                Ok::<_, ApiError>(opened)
            })
        });
        done.await
    }

    /// A session that lasts. It is used by that, and lasts longer.
    ///
    /// # Errors
    /// `session_not_found`.
    pub async fn enter(&self, id: Uuid) -> Result<SessionRow, ApiError> {
        let now = self.0.clock.now();
        let row = sessions::live(self.0.store.reader(), id, now).await?;
        let mut row = row.ok_or_else(|| ApiError::new(ErrorCode::SessionNotFound))?;
        if now - row.last_used_at >= USED_EVERY.min(self.0.lifetime / 10) {
            let expires_at = self.end_after(row.created_at, now);
            let touched = self.0.log.transact(None, move |work: &mut Work<'_>| {
                Box::pin(async move {
                    sessions::touch(work.tx().connection(), id, now, expires_at).await.map_err(ApiError::from)
                })
            });
            if !touched.await? {
                return Err(ErrorCode::SessionNotFound.into());
            }
            (row.last_used_at, row.expires_at) = (now, expires_at);
        }
        Ok(row)
    }

    /// The repository of a session, opened anew: it may have been moved, or is not allowed any more.
    ///
    /// # Errors
    /// `repository_invalid`.
    pub async fn repository(&self, session: &SessionRow) -> Result<Repository, ApiError> {
        self.repository_at(&session.repo).await.map_err(|error| match error.code {
            ErrorCode::RepositoryNotAllowed => {
                ApiError::new(ErrorCode::RepositoryInvalid).detail("repo", "may not be used any more")
            }
            _ => error,
        })
    }

    /// Ends a session.
    ///
    /// # Errors
    /// `session_not_found`, if it is over already.
    pub async fn end(&self, id: Uuid) -> Result<(), ApiError> {
        let now = self.0.clock.now();
        let ended = self.0.log.transact(None, move |work: &mut Work<'_>| {
            Box::pin(async move {
                if !sessions::end(work.tx().connection(), id, now).await? {
                    return Ok(false);
                }
                work.append(vec![Event::Ended {}.of(id, now)]).await?;
                Ok::<_, ApiError>(true)
            })
        });
        if !ended.await? {
            return Err(ErrorCode::SessionNotFound.into());
        }
        self.tell_ended(id);
        Ok(())
    }

    /// Ends of sessions from now on. Whoever is told late looks for itself with [`Sessions::over`].
    #[must_use]
    pub fn ending(&self) -> broadcast::Receiver<Uuid> {
        self.0.endings.subscribe()
    }

    /// Those of these sessions that are over.
    ///
    /// # Errors
    /// If the database can't be reached.
    pub async fn over(&self, ids: &[Uuid]) -> Result<Vec<Uuid>, ApiError> {
        Ok(sessions::over(self.0.store.reader(), ids).await?)
    }

    /// The place of the last event of a session; 0 if there is none.
    ///
    /// # Errors
    /// If the database can't be reached.
    pub async fn last_seq(&self, id: Uuid) -> Result<i64, ApiError> {
        Ok(streams::find(self.0.store.reader(), &session_stream(id)).await?.map_or(0, |row| row.last_seq))
    }

    /// Follows sessions.
    #[must_use]
    pub fn reader(&self, limits: ReaderLimits) -> Reader {
        self.0.log.reader(limits)
    }

    /// The repository at a path, if sessions may be about it.
    ///
    /// # Errors
    /// `repository_not_allowed`, `repository_invalid`.
    pub async fn repository_at(&self, path: &str) -> Result<Repository, ApiError> {
        let (allowlist, path) = (self.0.allowlist.clone(), path.to_owned());
        let opened = tokio::task::spawn_blocking(move || allowlist.open(&path)).await;
        opened.map_err(|_| ApiError::new(ErrorCode::Internal))?.map_err(|error| refusal(&error))
    }

    fn tell_ended(&self, id: Uuid) {
        // Nobody does anything for a session where nobody listens.
        let _ = self.0.endings.send(id);
    }

    /// When a session ends that was opened then and is used now.
    fn end_after(&self, created_at: i64, now: i64) -> i64 {
        now.saturating_add(self.0.lifetime).min(SessionTokens::last_moment(created_at))
    }
}

/// Why a repository can't be had, in the catalogue's codes.
fn refusal(error: &RepoError) -> ApiError {
    let code = match error {
        RepoError::NotAllowed(_) => ErrorCode::RepositoryNotAllowed,
        RepoError::Io { .. } | RepoError::NoGit(_) => {
            tracing::error!(%error, "a repository can't be opened");
            ErrorCode::Internal
        }
        _ => ErrorCode::RepositoryInvalid,
    };
    ApiError::new(code).detail("repo", error.to_string())
}
