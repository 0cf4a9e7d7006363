//! The `cockpit` surface: sessions, commands, tasks and patches, and the socket that tells what happens in a session. The
//! socket of its terminal is a room of its own.

mod address;
pub(in crate::surface) mod frame;
mod operations;
mod session;

use flightdeck_api::generated::errors::ErrorCode;
use flightdeck_api::support::{ApiError, Context};
pub(in crate::surface) use session::CockpitSockets;
use url::Url;
use uuid::Uuid;

use crate::auth::{AgentCaller, Authority, SessionTokens, bearer};
use crate::service::commands::Commands;
use crate::service::sessions::Sessions;
use crate::service::tasks::Tasks;
use crate::store::sessions::SessionRow;
use crate::store::workspaces::Scope;

/// What the original takes for a credential, in development only.
const DEV: &str = "DEV";

/// What operations and sockets need.
pub(in crate::surface) struct CockpitSurface {
    pub(in crate::surface) authority: Authority,
    pub(in crate::surface) tokens: SessionTokens,
    pub(in crate::surface) sessions: Sessions,
    pub(in crate::surface) tasks: Tasks,
    pub(in crate::surface) commands: Commands,
    pub(in crate::surface) development: bool,
    /// By which clients reach this server, if not as the one did who opened the session.
    pub(in crate::surface) public_base_url: Option<Url>,
    pub(in crate::surface) relay_url: Option<Url>,
    /// Where this server is, if a request does not say.
    pub(in crate::surface) base_url: Url,
}

impl CockpitSurface {
    /// Who may open sessions.
    async fn opener(&self, context: &Context) -> Result<AgentCaller, ApiError> {
        if self.development && self.authority.is_local(context) && bearer(context)? == Some(DEV) {
            self.authority.count_said(None)?;
            return Ok(Authority::owner());
        }
        self.authority.agents(context).await
    }

    /// The session whose token the request carries.
    async fn session(&self, context: &Context) -> Result<SessionRow, ApiError> {
        let token = bearer(context)?.ok_or_else(|| ApiError::new(ErrorCode::CredentialMissing))?;
        self.enter(self.session_id(token)?).await
    }

    /// The same, where the request names the session as well.
    async fn session_named(&self, context: &Context, id: Uuid) -> Result<SessionRow, ApiError> {
        let token = bearer(context)?.ok_or_else(|| ApiError::new(ErrorCode::CredentialMissing))?;
        self.own_session(token, id).await
    }

    pub(in crate::surface) async fn own_session(&self, token: &str, id: Uuid) -> Result<SessionRow, ApiError> {
        if self.session_id(token)? != id {
            return Err(ErrorCode::SessionNotFound.into());
        }
        self.enter(id).await
    }

    /// A session that lasts, and whose opener may still run agents: that is looked at each time.
    pub(in crate::surface) async fn enter(&self, id: Uuid) -> Result<SessionRow, ApiError> {
        let row = self.sessions.enter(id).await?;
        if row.device_id.is_some() {
            let allowed = self.authority.agent_access().narrow(Scope::Workspaces(vec![row.workspace_id]));
            allowed.map_err(|_| ApiError::new(ErrorCode::SessionNotFound))?;
        }
        Ok(row)
    }

    fn session_id(&self, token: &str) -> Result<Uuid, ApiError> {
        self.tokens.verify(token).ok_or_else(|| ErrorCode::CredentialInvalid.into())
    }
}
