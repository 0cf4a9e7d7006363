//! The operations of the `hub` surface.

use std::sync::Arc;

use flightdeck_api::generated::errors::ErrorCode;
use flightdeck_api::generated::hub::HubApi;
use flightdeck_api::generated::types;
use flightdeck_api::support::{ApiError, Context};

use crate::auth::{Authority, HubTokens};
use crate::clock::Clock;
use crate::config::Environment;
use crate::service::hub::{Hub, Usage};
use crate::surface::convert;

#[derive(Clone)]
pub(in crate::surface) struct HubSurface {
    pub(in crate::surface) authority: Authority,
    pub(in crate::surface) tokens: HubTokens,
    pub(in crate::surface) hub: Hub,
    pub(in crate::surface) clock: Arc<dyn Clock>,
    pub(in crate::surface) environment: Environment,
    /// The hub's own; 0 if it has none.
    pub(in crate::surface) port: u16,
}

impl HubSurface {
    /// What the request proves itself with, if it does at all.
    async fn credential(&self, context: &Context) -> Result<Option<Credential>, ApiError> {
        let headers = context.headers();
        if headers.contains_key("x-signature") {
            let signed = self.authority.signed(context, None).await?;
            let by_server = signed.workspace_id.is_none();
            return Ok(Some(if by_server { Credential::Operator } else { Credential::Workspace }));
        }
        if headers.contains_key("authorization") {
            self.authority.companion(context, None)?;
            return Ok(Some(Credential::Operator));
        }
        Ok(None)
    }
}

/// What a request proves itself with.
enum Credential {
    /// The server's own secret, or the token of the companion.
    Operator,
    /// A key of one workspace.
    Workspace,
}

impl HubApi for HubSurface {
    async fn mint_hub_token(
        &self,
        context: &Context,
        body: types::HubTokenRequest,
    ) -> Result<types::HubToken, ApiError> {
        match self.credential(context).await? {
            Some(Credential::Operator) => {}
            None if self.authority.is_local(context) => {}
            None => return Err(ErrorCode::CredentialMissing.into()),
            // It opens that workspace, and the hub is everybody's.
            Some(Credential::Workspace) => {
                return Err(ApiError::new(ErrorCode::SignatureInvalid).detail(
                    "X-Workspace-Id",
                    "must not be there: tokens are signed for with the server's own secret",
                ));
            }
        }
        let types::HubTokenRequest { agent_id, session_id } = body;
        let session_id = session_id.take();
        let minted = self.tokens.mint(&agent_id, session_id.as_deref());
        let lifetime = minted.expires_at - minted.issued_at;
        Ok(types::HubToken {
            token: minted.token.expose().to_owned(),
            agent_id,
            session_id,
            issued_at: convert::seq(minted.issued_at),
            expires_at: convert::seq(minted.expires_at),
            expires_in: convert::seq(lifetime / 1_000),
        })
    }

    async fn get_hub_health(&self, context: &Context) -> Result<types::HubHealth, ApiError> {
        let types::HubStats { connected_clients, active_channels, channel_stats, pending_deliveries } =
            self.get_hub_stats(context).await?;
        Ok(types::HubHealth {
            ok: true,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            status: types::HubStatus::Healthy,
            r#type: types::HubTransport::Websocket,
            port: self.port.into(),
            connected_clients,
            active_channels,
            channel_stats,
            pending_deliveries,
            timestamp: convert::seq(self.clock.now()),
        })
    }

    async fn get_hub_stats(&self, context: &Context) -> Result<types::HubStats, ApiError> {
        let shown = self.credential(context).await?.is_some();
        // Channels are named after agents and sessions.
        let names = shown || self.environment != Environment::Production;
        let Usage { clients, active, channels, pending } = self.hub.usage(names);
        Ok(types::HubStats {
            connected_clients: clients as u64,
            active_channels: active as u64,
            channel_stats: channels
                .into_iter()
                .map(|(channel, count)| (channel, i64::try_from(count).unwrap_or(i64::MAX)))
                .collect(),
            pending_deliveries: pending as u64,
        })
    }
}
