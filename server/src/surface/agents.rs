//! The `agents` surface.

use flightdeck_api::generated::agents::AgentsApi;
use flightdeck_api::generated::types;
use flightdeck_api::support::{ApiError, Context};

use super::convert;
use crate::auth::Authority;
use crate::service::agents::Agents;

pub(super) struct AgentsSurface {
    pub(super) authority: Authority,
    pub(super) agents: Agents,
}

impl AgentsApi for AgentsSurface {
    async fn list_runnable_agents(&self, context: &Context) -> Result<types::RunnableAgentList, ApiError> {
        self.authority.agents(context).await?;
        let agents = self.agents.list().into_iter().map(|listed| {
            Ok(types::RunnableAgent {
                name: listed.definition.name.clone(),
                kind: convert::stored(listed.definition.kind.as_str())?,
                default: listed.is_default,
                usable: listed.problem.is_none(),
                command: listed.definition.kind.command().map(ToString::to_string),
                problem: listed.problem,
            })
        });
        Ok(types::RunnableAgentList { agents: agents.collect::<Result<_, ApiError>>()? })
    }
}
