//! The operations of the `companion` surface.

use flightdeck_api::generated::companion::{CompanionApi, ListMessagesParameters};
use flightdeck_api::generated::sockets::companion::COMPANION;
use flightdeck_api::generated::types;
use flightdeck_api::support::{ApiError, Context, Timestamp};
use url::Url;
use uuid::Uuid;

use super::frame;
use crate::auth::Authority;
use crate::service::companion::Companion;
use crate::surface::convert;

pub(in crate::surface) struct CompanionSurface {
    pub(in crate::surface) authority: Authority,
    pub(in crate::surface) companion: Companion,
    /// Where its socket is.
    pub(in crate::surface) socket_url: String,
}

/// Where the socket is of a server that clients reach at `base`.
pub(in crate::surface) fn socket_url(base: &Url) -> String {
    let mut url = base.clone();
    // Both schemes are of the kind that has a host, so that one can take the place of the other.
    let _ = url.set_scheme(if base.scheme() == "https" { "wss" } else { "ws" });
    url.set_path(COMPANION.address);
    url.set_query(None);
    url.set_fragment(None);
    url.into()
}

impl CompanionApi for CompanionSurface {
    async fn list_agents(&self, context: &Context) -> Result<types::AgentList, ApiError> {
        self.authority.companion(context, None)?;
        let agents = self.companion.list().await?.into_iter().map(|agent| {
            Ok(types::Agent {
                id: agent.id,
                name: agent.name,
                status: convert::stored(&agent.status)?,
                last_seen_at: agent.last_seen_at.map(Timestamp),
            })
        });
        Ok(types::AgentList { agents: agents.collect::<Result<_, ApiError>>()? })
    }

    async fn register_agent(
        &self,
        context: &Context,
        body: types::AgentRegistration,
    ) -> Result<types::AgentRegistered, ApiError> {
        self.authority.companion(context, None)?;
        let agent_id = self.companion.register(body).await?;
        Ok(types::AgentRegistered { agent_id, ws_url: self.socket_url.clone() })
    }

    async fn restart_agent(&self, context: &Context, agent_id: Uuid) -> Result<types::CommandSent, ApiError> {
        self.authority.companion(context, None)?;
        let (event_id, seq) = self.companion.restart(agent_id).await?;
        Ok(types::CommandSent { event_id, seq: convert::seq(seq) })
    }

    async fn list_messages(
        &self,
        context: &Context,
        parameters: ListMessagesParameters,
    ) -> Result<types::AgentEventList, ApiError> {
        self.authority.companion(context, None)?;
        let ListMessagesParameters { agent_id, since_seq, limit } = parameters;
        let since = i64::try_from(since_seq).unwrap_or(i64::MAX);
        let rows = self.companion.messages(agent_id, since, limit).await?;
        let events = rows.iter().map(|row| frame::read(agent_id, row)).collect::<Result<_, _>>()?;
        Ok(types::AgentEventList { events })
    }

    async fn send_message(&self, context: &Context, body: types::MessageSend) -> Result<types::MessageSent, ApiError> {
        self.authority.companion(context, None)?;
        let (event_id, seq) = self.companion.send(body).await?;
        Ok(types::MessageSent { event_id, seq: convert::seq(seq) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sockets_url_is_made_of_the_servers() {
        for (base, wanted) in [
            ("http://localhost:8787", "ws://localhost:8787/realtime"),
            ("https://deck.example/", "wss://deck.example/realtime"),
            ("https://deck.example:8443/some/where?x=1#y", "wss://deck.example:8443/realtime"),
        ] {
            assert_eq!(socket_url(&base.parse().expect("a URL")), wanted);
        }
    }
}
