//! Deciding who is calling.

use std::net::IpAddr;
use std::sync::Arc;

use flightdeck_api::generated::errors::ErrorCode;
use flightdeck_api::support::{ApiError, Context};
use uuid::Uuid;

use super::signature::Signature;
use super::{AgentAccess, Caller, CompanionToken, Keys, Limit, Limits, Nonces, Signed, tokens};
use crate::clock::Clock;
use crate::config::{Config, Environment};
use crate::http::names_this_machine;
use crate::log::{Log, Work};
use crate::secret::Secret;
use crate::store::devices::{self, DeviceRow};
use crate::store::{Store, workspaces};

/// A device's `last_seen_at` is kept to the minute: a write for every request would buy nothing.
const SEEN_EVERY: i64 = 60_000;

/// Turns credentials into callers.
#[derive(Clone)]
pub struct Authority(Arc<Parts>);

struct Parts {
    store: Store,
    log: Log,
    keys: Arc<Keys>,
    nonces: Nonces,
    limits: Limits,
    clock: Arc<dyn Clock>,
    development: bool,
    server_secret: Option<Secret>,
    companion_token: CompanionToken,
    agent_access: AgentAccess,
}

impl Authority {
    #[must_use]
    pub fn new(
        config: &Config,
        store: Store,
        log: Log,
        keys: Arc<Keys>,
        nonces: Nonces,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let limits = Limits::new(config, &clock);
        Self(Arc::new(Parts {
            store,
            log,
            keys,
            nonces,
            limits,
            clock,
            development: config.environment == Environment::Development,
            server_secret: config.hmac_secret.clone(),
            companion_token: CompanionToken::new(config.companion_token.clone()),
            agent_access: AgentAccess::new(config.environment, config.host, &config.agent_workspaces),
        }))
    }

    /// The limits, for surfaces that count something of their own.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.0.limits
    }

    /// Checks a signed request. `named` is the workspace that the body, the run or the approval belongs to.
    ///
    /// # Errors
    /// One of the 401 codes of signatures, or `unavailable`.
    pub async fn signed(&self, context: &Context, named: Option<Uuid>) -> Result<Signed, ApiError> {
        self.signed_within(context, named, None).await
    }

    /// Like [`Authority::signed`], and counts the request against a limit of its workspace: before its nonce is spent, so
    /// that what is refused costs nothing.
    ///
    /// # Errors
    /// One of the 401 codes of signatures, `rate_limited`, or `unavailable`.
    pub async fn signed_within(
        &self,
        context: &Context,
        named: Option<Uuid>,
        limit: Option<Limit>,
    ) -> Result<Signed, ApiError> {
        let now = self.0.clock.now();
        let signature = Signature::read(context, now)?;
        let workspace_id = workspace(context, named)?;
        let device_id = match workspace_id {
            Some(workspace_id) => self.holder(&signature, workspace_id).await?,
            None => {
                let server = self.0.server_secret.as_ref();
                let secret = server.ok_or_else(|| ApiError::new(ErrorCode::WorkspaceUnknown))?;
                if !signature.is_by(secret.expose()) {
                    return Err(ErrorCode::SignatureInvalid.into());
                }
                None
            }
        };
        if let Some(limit) = limit {
            self.0.limits.count(limit, workspace_id.unwrap_or_default().as_u128())?;
        }
        let nonce = self
            .0
            .nonces
            .spend(workspace_id, signature.nonce, signature.signed_at, now)
            .ok_or_else(|| ApiError::new(ErrorCode::NonceReused))?;
        Ok(Signed { workspace_id, device_id, nonce: self.0.log.guard_nonce(nonce) })
    }

    /// Whose key of the workspace made the signature: a device's, or the machine's.
    async fn holder(&self, signature: &Signature<'_>, workspace_id: Uuid) -> Result<Option<Uuid>, ApiError> {
        let keys = self.0.keys.of(workspace_id).await?;
        if keys.is_empty() {
            return Err(ErrorCode::WorkspaceUnknown.into());
        }
        let key = keys
            .iter()
            .find(|key| signature.is_by(key.secret.expose()))
            .ok_or_else(|| ApiError::new(ErrorCode::SignatureInvalid))?;
        if key.revoked {
            return Err(ErrorCode::DeviceRevoked.into());
        }
        Ok(key.device_id)
    }

    /// Whoever supervises: a device by its token, a holder of the workspace's secret by a signature, or, in development
    /// on the same machine, a device by its bare id. Counts the request.
    ///
    /// # Errors
    /// One of the 401 codes, `rate_limited`, or `unavailable`.
    pub async fn supervisor(&self, context: &Context) -> Result<Caller, ApiError> {
        let caller = self.known_supervisor(context, None).await?;
        let caller = caller.ok_or_else(|| ApiError::new(ErrorCode::CredentialMissing))?;
        self.count(of_some_workspace(caller)?)
    }

    /// Like [`Authority::supervisor`], for what belongs to no workspace: the server's own secret may sign for it.
    ///
    /// # Errors
    /// One of the 401 codes, `rate_limited`, or `unavailable`.
    pub async fn operator(&self, context: &Context) -> Result<Caller, ApiError> {
        let caller = self.known_supervisor(context, None).await?;
        self.count(caller.ok_or_else(|| ApiError::new(ErrorCode::CredentialMissing))?)
    }

    /// Like [`Authority::operator`]; in development on the same machine no credential is needed.
    pub(super) async fn operator_or_local(&self, context: &Context) -> Result<Caller, ApiError> {
        let caller = self.known_supervisor(context, None).await?;
        self.count(match caller {
            Some(caller) => caller,
            None if self.is_local(context) => Caller::Local,
            None => return Err(ErrorCode::CredentialMissing.into()),
        })
    }

    pub fn agent_access(&self) -> &AgentAccess {
        &self.0.agent_access
    }

    pub(super) fn store(&self) -> &Store {
        &self.0.store
    }

    /// Like [`Authority::supervisor`], for the inherited mobile surface: `named` is the workspace of what is decided,
    /// and in development on the same machine no credential is needed.
    ///
    /// # Errors
    /// One of the 401 codes, `rate_limited`, or `unavailable`.
    pub async fn mobile(&self, context: &Context, named: Option<Uuid>) -> Result<Caller, ApiError> {
        let caller = self.known_supervisor(context, named).await?;
        self.count(match caller {
            Some(caller) => of_some_workspace(caller)?,
            None if self.is_local(context) => Caller::Local,
            None => return Err(ErrorCode::CredentialMissing.into()),
        })
    }

    /// A client of the companion: by the token that all of them share, in the query of a socket or else in the header. If
    /// there is no such token, in development on the same machine none is needed.
    ///
    /// # Errors
    /// `credential_missing` or `credential_invalid`.
    pub fn companion(&self, context: &Context, query_token: Option<&str>) -> Result<(), ApiError> {
        let token = &self.0.companion_token;
        if !token.is_set() && self.is_local(context) {
            return Ok(());
        }
        let shown = match query_token {
            Some(shown) => shown,
            None => bearer(context)?.ok_or_else(|| ApiError::new(ErrorCode::CredentialMissing))?,
        };
        if token.matches(shown) { Ok(()) } else { Err(ErrorCode::CredentialInvalid.into()) }
    }

    /// The device whose token the request carries; `None` if it carries none.
    ///
    /// # Errors
    /// `credential_invalid`, `device_revoked` or `unavailable`.
    pub async fn bearer_device(&self, context: &Context) -> Result<Option<DeviceRow>, ApiError> {
        let Some(token) = bearer(context)? else { return Ok(None) };
        self.holder_of(token).await.map(Some)
    }

    /// The device whose token this is, which is in use now.
    ///
    /// # Errors
    /// `credential_invalid`, `device_revoked` or `unavailable`.
    pub async fn device_by_token(&self, token: &str) -> Result<Uuid, ApiError> {
        let row = self.holder_of(token).await?;
        self.note_seen(&row);
        Ok(row.id)
    }

    async fn holder_of(&self, token: &str) -> Result<DeviceRow, ApiError> {
        let row = devices::find_by_token(self.0.store.reader(), &tokens::hash(token)).await?;
        let row = row.ok_or_else(|| ApiError::new(ErrorCode::CredentialInvalid))?;
        if row.revoked_at.is_some() {
            return Err(ErrorCode::DeviceRevoked.into());
        }
        Ok(row)
    }

    /// Whether this is the token that all clients of the companion share.
    #[must_use]
    pub fn is_companion_token(&self, token: &str) -> bool {
        self.0.companion_token.matches(token)
    }

    /// Whether the request comes from this machine, in development, and through no proxy: a proxy that adds no header of
    /// its own still asks for the name by which it is known.
    #[must_use]
    pub fn is_local(&self, context: &Context) -> bool {
        let loopback = |ip: IpAddr| ip.to_canonical().is_loopback();
        self.0.development
            && !context.forwarded()
            && context.peer().is_some_and(|peer| loopback(peer.ip()))
            && context.header("Host").is_none_or(names_this_machine)
    }

    async fn known_supervisor(&self, context: &Context, named: Option<Uuid>) -> Result<Option<Caller>, ApiError> {
        if let Some(row) = self.bearer_device(context).await? {
            return Ok(Some(self.device(row).await?));
        }
        if Signature::is_present(context) {
            return Ok(Some(Caller::Workspace(self.signed(context, named).await?)));
        }
        if self.is_local(context)
            && let Some(id) = context.header("X-Device-Id")
        {
            let row = match id.parse() {
                Ok(id) => devices::find(self.0.store.reader(), id).await?,
                Err(_) => None,
            };
            let row = row.ok_or_else(|| ApiError::new(ErrorCode::CredentialInvalid))?;
            if row.revoked_at.is_some() {
                return Err(ErrorCode::DeviceRevoked.into());
            }
            return Ok(Some(self.device(row).await?));
        }
        Ok(None)
    }

    async fn device(&self, row: DeviceRow) -> Result<Caller, ApiError> {
        self.note_seen(&row);
        let workspaces = workspaces::of_device(self.0.store.reader(), row.id).await?;
        Ok(Caller::Device { device_id: row.id, workspaces })
    }

    fn note_seen(&self, row: &DeviceRow) {
        let (id, now) = (row.id, self.0.clock.now());
        if row.last_seen_at.is_none_or(|seen| now - seen >= SEEN_EVERY) {
            let log = self.0.log.clone();
            // Nobody waits for it, and nothing depends on it.
            tokio::spawn(async move {
                log.transact(None, move |work: &mut Work<'_>| {
                    Box::pin(
                        async move { devices::touch(work.tx().connection(), id, now).await.map_err(ApiError::from) },
                    )
                })
                .await
            });
        }
    }

    fn count(&self, caller: Caller) -> Result<Caller, ApiError> {
        let who = match &caller {
            Caller::Device { device_id, .. } => device_id.as_u128(),
            Caller::Workspace(signed) => signed.device_id.or(signed.workspace_id).unwrap_or_default().as_u128(),
            Caller::Local => 0,
        };
        self.0.limits.count(Limit::Device, who)?;
        Ok(caller)
    }
}

/// The server's own secret opens no workspace.
fn of_some_workspace(caller: Caller) -> Result<Caller, ApiError> {
    match caller {
        Caller::Workspace(Signed { workspace_id: None, .. }) => Err(ErrorCode::WorkspaceUnknown.into()),
        caller => Ok(caller),
    }
}

/// The token of `Authorization: Bearer`; `None` if there is no such header.
///
/// # Errors
/// `credential_invalid`, if the header holds something else.
pub fn bearer(context: &Context) -> Result<Option<&str>, ApiError> {
    let Some(value) = context.headers().get("authorization") else { return Ok(None) };
    let token = value.to_str().ok().and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
    });
    match token {
        Some(token) if !token.is_empty() => Ok(Some(token)),
        _ => Err(ApiError::new(ErrorCode::CredentialInvalid).detail("Authorization", "must be `Bearer <token>`")),
    }
}

/// The workspace that a signed request belongs to: what its content names and what its header names must agree.
fn workspace(context: &Context, named: Option<Uuid>) -> Result<Option<Uuid>, ApiError> {
    let Some(header) = context.headers().get("x-workspace-id") else { return Ok(named) };
    let header: Option<Uuid> = header.to_str().ok().and_then(|id| id.parse().ok());
    match (header, named) {
        (Some(header), Some(named)) if header != named => Err(ApiError::new(ErrorCode::WorkspaceUnknown)
            .detail("X-Workspace-Id", "names another workspace than the request")),
        (Some(header), _) => Ok(Some(header)),
        (None, _) => Err(ApiError::new(ErrorCode::WorkspaceUnknown).detail("X-Workspace-Id", "is not a UUID")),
    }
}
