//! Surfaces: each decodes a wire shape (generated), authorises, calls one service and encodes. No rule lives here.
//!
//! A file has the name of its file under `spec/openapi/paths`.

mod agents;
mod approvals;
mod bridge;
mod chats;
mod cockpit;
mod companion;
mod convert;
mod devices;
mod docs;
mod following;
mod health;
mod hub;
mod mobile;
mod pairing;
mod runs;
mod stream;
mod terminal;
mod workspaces;

use std::sync::Arc;

use flightdeck_api::generated as api;
use poem::{Endpoint, EndpointExt, IntoEndpoint, Response, Route};
use poem_openapi::OpenApiService;
use url::Url;

use crate::auth::{Authority, HubTokens, SessionTokens};
use crate::clock::Clock;
use crate::config::Environment;
use crate::http::Sockets;
use crate::service::approvals::Approvals;
use crate::service::chats::Chats;
use crate::service::commands::Commands;
use crate::service::companion::Companion;
use crate::service::devices::Devices;
use crate::service::hub::Hub;
use crate::service::pairing::Pairing;
use crate::service::runs::Runs;
use crate::service::sessions::Sessions;
use crate::service::streams::Streams;
use crate::service::tasks::Tasks;
use crate::service::workspaces::Workspaces;

pub use health::Health;

/// What the surfaces need.
pub struct Services {
    pub authority: Authority,
    pub health: Health,
    pub pairing: Pairing,
    pub runs: Runs,
    pub approvals: Approvals,
    pub workspaces: Workspaces,
    pub devices: Devices,
    pub companion: Companion,
    pub chats: Chats,
    pub sessions: Sessions,
    pub session_tokens: SessionTokens,
    pub tasks: Tasks,
    pub commands: Commands,
    /// By which clients of a session reach this server, if not as the one did who opened it.
    pub public_base_url: Option<Url>,
    pub relay_url: Option<Url>,
    pub streams: Streams,
    pub hub: Hub,
    pub hub_tokens: HubTokens,
    /// The hub's own; 0 if it has none.
    pub hub_port: u16,
    pub environment: Environment,
    pub clock: Arc<dyn Clock>,
    /// By which clients reach this server.
    pub base_url: Url,
}

impl Services {
    fn hub_sockets(&self) -> hub::HubSockets {
        hub::HubSockets {
            authority: self.authority.clone(),
            tokens: self.hub_tokens.clone(),
            hub: self.hub.clone(),
            clock: self.clock.clone(),
        }
    }

    fn cockpit(&self) -> cockpit::CockpitSurface {
        cockpit::CockpitSurface {
            authority: self.authority.clone(),
            tokens: self.session_tokens.clone(),
            sessions: self.sessions.clone(),
            tasks: self.tasks.clone(),
            commands: self.commands.clone(),
            development: self.environment == Environment::Development,
            public_base_url: self.public_base_url.clone(),
            relay_url: self.relay_url.clone(),
            base_url: self.base_url.clone(),
        }
    }

    fn hub_surface(&self) -> hub::HubSurface {
        hub::HubSurface {
            authority: self.authority.clone(),
            tokens: self.hub_tokens.clone(),
            hub: self.hub.clone(),
            clock: self.clock.clone(),
            environment: self.environment,
            port: self.hub_port,
        }
    }
}

/// Every route of the server.
#[must_use]
pub fn routes(services: Services, sockets: &Sockets) -> impl Endpoint<Output = Response> + use<> {
    let hub_socket = sockets.endpoint(api::sockets::hub::HubEndpoint::new(Arc::new(services.hub_sockets())));
    let hub_surface = services.hub_surface();
    let cockpit = Arc::new(services.cockpit());
    let terminal = terminal::TerminalSockets(cockpit.clone());
    let terminal_socket = sockets.endpoint(api::sockets::terminal::TerminalEndpoint::new(Arc::new(terminal)));
    let cockpit_socket = sockets
        .endpoint(api::sockets::cockpit::CockpitEndpoint::new(Arc::new(cockpit::CockpitSockets(cockpit.clone()))));
    let Services {
        authority,
        health,
        pairing,
        runs,
        approvals,
        workspaces,
        devices,
        companion,
        chats,
        streams,
        hub_tokens,
        base_url,
        ..
    } = services;
    let chat_sockets = chats::ChatSockets::new(authority.clone(), chats.clone(), streams.clone());
    let chat_socket = sockets.endpoint(api::sockets::chats::ChatsEndpoint::new(Arc::new(chat_sockets)));
    let stream_socket = sockets.endpoint(api::sockets::stream::StreamEndpoint::new(Arc::new(
        stream::StreamSurface::new(authority.clone(), hub_tokens, streams),
    )));
    let companion_socket =
        sockets.endpoint(api::sockets::companion::CompanionEndpoint::new(Arc::new(companion::CompanionSockets {
            authority: authority.clone(),
            companion: companion.clone(),
        })));
    let endpoints = (
        api::health::HealthEndpoints::new(Arc::new(health)),
        api::pairing::PairingEndpoints::new(Arc::new(pairing::PairingSurface {
            authority: authority.clone(),
            pairing,
        })),
        api::bridge::BridgeEndpoints::new(Arc::new(bridge::BridgeSurface {
            authority: authority.clone(),
            runs: runs.clone(),
            approvals: approvals.clone(),
        })),
        api::mobile::MobileEndpoints::new(Arc::new(mobile::MobileSurface {
            authority: authority.clone(),
            approvals: approvals.clone(),
        })),
        api::workspaces::WorkspacesEndpoints::new(Arc::new(workspaces::WorkspacesSurface {
            authority: authority.clone(),
            workspaces,
        })),
        api::devices::DevicesEndpoints::new(Arc::new(devices::DevicesSurface {
            authority: authority.clone(),
            devices,
        })),
        api::runs::RunsEndpoints::new(Arc::new(runs::RunsSurface { authority: authority.clone(), runs })),
        api::approvals::ApprovalsEndpoints::new(Arc::new(approvals::ApprovalsSurface {
            authority: authority.clone(),
            approvals,
        })),
        api::chats::ChatsEndpoints::new(Arc::new(chats::ChatsSurface {
            authority: authority.clone(),
            chats: chats.clone(),
        })),
        api::agents::AgentsEndpoints::new(Arc::new(agents::AgentsSurface {
            authority: authority.clone(),
            agents: chats.agents().clone(),
        })),
        api::companion::CompanionEndpoints::new(Arc::new(companion::CompanionSurface {
            authority,
            companion,
            socket_url: companion::socket_url(&base_url),
        })),
        api::hub::HubEndpoints::new(Arc::new(hub_surface)),
        api::cockpit::CockpitEndpoints::new(cockpit),
    );
    let service = OpenApiService::new(endpoints, "Flightdeck", env!("CARGO_PKG_VERSION"));
    docs::routes(Route::new())
        .at(api::sockets::stream::STREAM.address, stream_socket)
        .at(api::sockets::companion::COMPANION.address, companion_socket)
        .at(api::sockets::hub::HUB.address, hub_socket)
        .at(api::sockets::chats::CHATS.address, chat_socket)
        .at(api::sockets::cockpit::COCKPIT.address, cockpit_socket)
        .at(api::sockets::terminal::TERMINAL.address, terminal_socket)
        .nest_no_strip("/", service)
        .map_to_response()
}

/// The routes of the hub's own port, and no others: clients of the original ask for nothing else.
#[must_use]
pub fn hub_routes(services: &Services, sockets: &Sockets) -> impl Endpoint<Output = Response> + use<> {
    let socket = api::sockets::hub::HubEndpoint::new(Arc::new(services.hub_sockets()));
    let socket = Arc::new(sockets.endpoint(socket));
    let operations = api::hub::HubEndpoints::new(Arc::new(services.hub_surface()));
    let operations = OpenApiService::new(operations, "Flightdeck", env!("CARGO_PKG_VERSION"));
    let operations = Arc::new(operations.into_endpoint());
    Route::new()
        .at("/", socket.clone())
        .at("/ws", socket)
        .at("/health", operations.clone())
        .at("/stats", operations.clone())
        .at("/api/auth/token", operations)
        .map_to_response()
}
