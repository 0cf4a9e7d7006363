//! Who may run agents on this server: that is, programs on its machine.

use std::net::IpAddr;
use std::str::FromStr;

use flightdeck_api::generated::errors::ErrorCode;
use flightdeck_api::support::{ApiError, Context};
use uuid::Uuid;

use super::{Authority, Caller, Limit, Signed};
use crate::config::Environment;
use crate::log::NonceGuard;
use crate::store::workspaces::{self, Scope};

/// The workspaces whose devices may run agents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AgentAccess {
    Everybody,
    Workspaces(Vec<Uuid>),
}

/// One entry of the setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AgentWorkspace {
    Any,
    One(Uuid),
}

impl FromStr for AgentWorkspace {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.trim() {
            "*" => Ok(Self::Any),
            text => {
                text.parse().map(Self::One).map_err(|_| format!("`{text}` is no workspace's id; `*` stands for all"))
            }
        }
    }
}

/// Somebody who may run agents.
#[derive(Debug)]
pub struct AgentCaller {
    pub scope: Scope,
    /// Keeps what different callers key apart.
    pub name: String,
    /// The device that acts, if one does.
    pub device_id: Option<Uuid>,
    pub nonce: Option<NonceGuard>,
}

impl AgentAccess {
    /// As the settings say. In development, on an address that only this machine reaches, they may say nothing.
    #[must_use]
    pub fn new(environment: Environment, host: IpAddr, allowed: &[AgentWorkspace]) -> Self {
        let private = environment == Environment::Development && host.is_loopback();
        if allowed.contains(&AgentWorkspace::Any) || (allowed.is_empty() && private) {
            return Self::Everybody;
        }
        let ids = allowed.iter().filter_map(|entry| match entry {
            AgentWorkspace::Any => None,
            AgentWorkspace::One(id) => Some(*id),
        });
        Self::Workspaces(ids.collect())
    }

    /// What is left of a scope.
    ///
    /// # Errors
    /// `agents_not_allowed`, if nothing is.
    pub fn narrow(&self, scope: Scope) -> Result<Scope, ApiError> {
        match (self, scope) {
            (Self::Workspaces(allowed), Scope::Workspaces(mut ids)) => {
                let own: Vec<String> = ids.iter().map(Uuid::to_string).collect();
                ids.retain(|id| allowed.contains(id));
                if ids.is_empty() {
                    let whose = format!("does not name the caller's: {}", own.join(", "));
                    return Err(ApiError::new(ErrorCode::AgentsNotAllowed).detail("FLIGHTDECK_AGENT_WORKSPACES", whose));
                }
                Ok(Scope::Workspaces(ids))
            }
            (_, scope) => Ok(scope),
        }
    }
}

impl Authority {
    /// A device of a workspace that may run agents, whoever holds the server's own secret, or a person on this machine in
    /// development. Counts the request.
    ///
    /// # Errors
    /// One of the 401 codes; `device_required` for a machine's own key, which its agents can use; `agents_not_allowed`;
    /// `rate_limited`; `unavailable`.
    pub async fn agents(&self, context: &Context) -> Result<AgentCaller, ApiError> {
        let caller = self.operator_or_local(context).await?;
        if let Caller::Workspace(Signed { workspace_id: Some(_), device_id: None, .. }) = &caller {
            return Err(ErrorCode::DeviceRequired.into());
        }
        let name = caller.device_id().map_or_else(|| "owner".to_owned(), |id| id.to_string());
        let scope = self.agent_access().narrow(caller.scope())?;
        Ok(AgentCaller { scope, name, device_id: caller.device_id(), nonce: caller.into_nonce() })
    }

    /// A person on this machine, in development.
    #[must_use]
    pub fn owner() -> AgentCaller {
        AgentCaller { scope: Scope::All, name: "owner".to_owned(), device_id: None, nonce: None }
    }

    /// The same for a device that has shown its token.
    ///
    /// # Errors
    /// `agents_not_allowed`, `unavailable`.
    pub async fn agents_of(&self, device_id: Uuid) -> Result<Scope, ApiError> {
        let ids = workspaces::of_device(self.store().reader(), device_id).await?;
        self.agent_access().narrow(Scope::Workspaces(ids))
    }

    /// Counts something that a device, or a person on this machine, says on a socket.
    ///
    /// # Errors
    /// `rate_limited`.
    pub fn count_said(&self, device_id: Option<Uuid>) -> Result<(), ApiError> {
        self.limits().count(Limit::Device, device_id.unwrap_or_default().as_u128())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_in_production_unless_said() {
        let one = Uuid::from_u128(1);
        let access = |environment, host: &str, text: &str| {
            let entries: Result<Vec<AgentWorkspace>, _> = text.split_terminator(',').map(str::parse).collect();
            AgentAccess::new(environment, host.parse().expect("an address"), &entries.expect("they are entries"))
        };
        let nobody = AgentAccess::Workspaces(Vec::new());
        assert_eq!(access(Environment::Development, "127.0.0.1", ""), AgentAccess::Everybody);
        // Whoever reaches it can pair.
        assert_eq!(access(Environment::Development, "0.0.0.0", ""), nobody);
        assert_eq!(access(Environment::Production, "127.0.0.1", ""), nobody);
        assert_eq!(access(Environment::Production, "0.0.0.0", "*"), AgentAccess::Everybody);
        let only_one = AgentAccess::Workspaces(vec![one]);
        assert_eq!(access(Environment::Development, "::1", &one.to_string()), only_one);
        assert!("everybody".parse::<AgentWorkspace>().is_err());
    }

    #[test]
    fn only_allowed_workspaces_run_agents() {
        let (one, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let access = AgentAccess::Workspaces(vec![one]);
        let both = Scope::Workspaces(vec![one, other]);
        assert_eq!(access.narrow(both.clone()), Ok(Scope::Workspaces(vec![one])));
        let refused = access.narrow(Scope::Workspaces(vec![other])).expect_err("it is not allowed");
        assert_eq!(refused.code, ErrorCode::AgentsNotAllowed);
        assert_eq!(AgentAccess::Everybody.narrow(both.clone()), Ok(both));
        // The owner's own secret needs no permission of its own.
        assert_eq!(access.narrow(Scope::All), Ok(Scope::All));
    }
}
