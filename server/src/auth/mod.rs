//! Who is calling, and may they call this often.
//!
//! Surfaces ask here for a [`Caller`] before they call a service. What a caller may see is its [`Scope`]; services
//! never look at credentials.

mod agents;
mod authority;
mod companion_token;
mod hub_tokens;
mod keys;
mod limits;
mod nonces;
mod seal;
mod session_tokens;
mod signature;
mod tokens;

use flightdeck_api::generated::errors::ErrorCode;
use flightdeck_api::support::ApiError;
use uuid::Uuid;

use crate::log::NonceGuard;
use crate::store::workspaces::Scope;

pub use agents::{AgentAccess, AgentCaller, AgentWorkspace};
pub use authority::{Authority, bearer};
pub use companion_token::CompanionToken;
pub use hub_tokens::{HubIdentity, HubTokens, MintedToken};
pub use keys::Keys;
pub use limits::{Limit, Limits};
pub use nonces::{NONCES_KEPT, Nonces};
pub use seal::Seal;
pub use session_tokens::SessionTokens;
pub use tokens::{Token, hash, match_code};

/// Who is calling.
#[derive(Debug)]
pub enum Caller {
    /// A paired device, by its token, or by its bare id in development.
    Device { device_id: Uuid, workspaces: Vec<Uuid> },
    /// Whoever holds a key of this workspace: its machine, or a device.
    Workspace(Signed),
    /// A person on this machine, in development, without a credential.
    Local,
}

/// A request whose signature holds.
#[derive(Debug)]
pub struct Signed {
    /// `None` when the server's own secret signed.
    pub workspace_id: Option<Uuid>,
    /// The device whose key signed; `None` for the machine's.
    pub device_id: Option<Uuid>,
    /// To be handed to the write that the request leads to, so that both are committed together.
    pub nonce: NonceGuard,
}

impl Signed {
    /// The workspace that signed.
    ///
    /// # Errors
    /// `workspace_unknown`, if it was the server's own secret: what is asked needs a workspace.
    pub fn workspace(&self) -> Result<Uuid, ApiError> {
        self.workspace_id.ok_or_else(|| ErrorCode::WorkspaceUnknown.into())
    }
}

impl Caller {
    /// What the caller may see.
    #[must_use]
    pub fn scope(&self) -> Scope {
        match self {
            Self::Device { workspaces, .. } => Scope::Workspaces(workspaces.clone()),
            Self::Workspace(Signed { workspace_id: Some(workspace_id), .. }) => Scope::Workspaces(vec![*workspace_id]),
            Self::Workspace(_) | Self::Local => Scope::All,
        }
    }

    /// The device that decides; `None` for a person on this machine in development.
    ///
    /// # Errors
    /// `device_required`, if the machine's own key signed: an agent can use that key, and must not approve itself.
    pub fn decider(&self) -> Result<Option<Uuid>, ApiError> {
        match self {
            Self::Workspace(Signed { device_id: None, .. }) => Err(ErrorCode::DeviceRequired.into()),
            caller => Ok(caller.device_id()),
        }
    }

    /// The nonce that the request spent, for the write that it leads to.
    #[must_use]
    pub fn into_nonce(self) -> Option<NonceGuard> {
        match self {
            Self::Workspace(signed) => Some(signed.nonce),
            Self::Device { .. } | Self::Local => None,
        }
    }

    /// The device that acts, if one does.
    #[must_use]
    pub const fn device_id(&self) -> Option<Uuid> {
        match self {
            Self::Device { device_id, .. } => Some(*device_id),
            Self::Workspace(signed) => signed.device_id,
            Self::Local => None,
        }
    }
}
