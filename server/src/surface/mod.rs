//! Surfaces: each decodes a wire shape (generated), authorises, calls one service and encodes. No rule lives here.
//!
//! A file has the name of its file under `spec/openapi/paths`.

mod approvals;
mod bridge;
mod convert;
mod devices;
mod docs;
mod health;
mod mobile;
mod pairing;
mod runs;
mod workspaces;

use std::sync::Arc;

use flightdeck_api::generated as api;
use poem::{Endpoint, EndpointExt, Response, Route};
use poem_openapi::OpenApiService;

use crate::auth::Authority;
use crate::service::approvals::Approvals;
use crate::service::devices::Devices;
use crate::service::pairing::Pairing;
use crate::service::runs::Runs;
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
}

/// Every route of the server.
#[must_use]
pub fn routes(services: Services) -> impl Endpoint<Output = Response> {
    let Services { authority, health, pairing, runs, approvals, workspaces, devices } = services;
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
        api::approvals::ApprovalsEndpoints::new(Arc::new(approvals::ApprovalsSurface { authority, approvals })),
    );
    let service = OpenApiService::new(endpoints, "Flightdeck", env!("CARGO_PKG_VERSION"));
    docs::routes(Route::new()).nest_no_strip("/", service).map_to_response()
}
