//! An implementation of every surface that is never called: the stubs derive their document from types alone.

use std::sync::Arc;

use flightdeck_api::generated::agents::{AgentsApi, AgentsEndpoints};
use flightdeck_api::generated::approvals::{ApprovalsApi, ApprovalsEndpoints, ListApprovalsParameters};
use flightdeck_api::generated::bridge::{BridgeApi, BridgeEndpoints, WaitForApprovalParameters};
use flightdeck_api::generated::chats::{ChatsApi, ChatsEndpoints, ListChatMessagesParameters};
use flightdeck_api::generated::cockpit::{CockpitApi, CockpitEndpoints, GetGitDiffParameters};
use flightdeck_api::generated::companion::{CompanionApi, CompanionEndpoints, ListMessagesParameters};
use flightdeck_api::generated::devices::{DevicesApi, DevicesEndpoints, ListDevicesParameters};
use flightdeck_api::generated::health::{HealthApi, HealthEndpoints};
use flightdeck_api::generated::hub::{HubApi, HubEndpoints};
use flightdeck_api::generated::mobile::{MobileApi, MobileEndpoints};
use flightdeck_api::generated::pairing::{GetPairingResultParameters, PairingApi, PairingEndpoints};
use flightdeck_api::generated::runs::{ListRunEventsParameters, ListRunsParameters, RunsApi, RunsEndpoints};
use flightdeck_api::generated::types;
use flightdeck_api::generated::workspaces::{ListWorkspacesParameters, WorkspacesApi, WorkspacesEndpoints};
use flightdeck_api::support::{ApiError, Context, Later};
use poem_openapi::OpenApiService;
use uuid::Uuid;

struct Nobody;

/// Implements traits with methods that are never called.
macro_rules! nobody {
    ($($trait:ident { $($method:ident($($argument:ty),*) -> $answer:ty;)+ })+) => {$(
        impl $trait for Nobody {$(
            async fn $method(&self, _: &Context, $(_: $argument),*) -> Result<$answer, ApiError> {
                unreachable!("nobody is asked")
            }
        )+}
    )+};
}

nobody! {
    AgentsApi {
        list_runnable_agents() -> types::RunnableAgentList;
    }
    ApprovalsApi {
        list_approvals(ListApprovalsParameters) -> types::ApprovalPage;
        get_approval(Uuid) -> types::Approval;
        decide_approval(Uuid, types::Decision) -> types::Approval;
        decide_approvals(types::DecisionBatch) -> types::DecisionOutcomes;
    }
    BridgeApi {
        submit_event(types::BridgeEvent) -> types::EventAccepted;
        request_approval(types::ApprovalRequest) -> types::ApprovalRequested;
        wait_for_approval(Uuid, WaitForApprovalParameters) -> Later<types::ApprovalVerdict>;
        acknowledge_approval(Uuid, types::Acknowledgement) -> types::ApprovalVerdict;
        withdraw_approval(Uuid, types::Withdrawal) -> types::ApprovalVerdict;
    }
    ChatsApi {
        list_chats() -> Vec<types::Chat>;
        create_chat(types::ChatCreate) -> types::Chat;
        get_chat(Uuid) -> types::Chat;
        update_chat(Uuid, types::ChatUpdate) -> types::Chat;
        delete_chat(Uuid) -> types::ChatDeleted;
        list_chat_messages(Uuid, ListChatMessagesParameters) -> Vec<types::ChatMessage>;
        send_chat_message(Uuid, types::ChatMessageSend) -> types::ChatMessageSent;
        list_chat_turns(Uuid) -> types::ChatTurnList;
        cancel_chat_turn(Uuid, types::ChatCancel) -> types::ChatTurn;
    }
    CockpitApi {
        create_session(types::SessionCreate) -> types::SessionCreated;
        get_session(Uuid) -> types::Session;
        end_session(Uuid) -> types::SessionEnded;
        list_tasks() -> types::TaskList;
        create_task(types::TaskCreate) -> types::Task;
        get_task(Uuid) -> types::Task;
        get_task_patches(Uuid) -> types::PatchSet;
        apply_task(Uuid, types::TaskApply) -> types::TaskApplied;
        revert_task(Uuid) -> types::TaskApplied;
        cancel_task(Uuid) -> types::Task;
        run_command(types::CommandRun) -> types::CommandStarted;
        get_git_diff(GetGitDiffParameters) -> types::PatchSet;
    }
    CompanionApi {
        list_agents() -> types::AgentList;
        register_agent(types::AgentRegistration) -> types::AgentRegistered;
        restart_agent(Uuid) -> types::CommandSent;
        list_messages(ListMessagesParameters) -> types::AgentEventList;
        send_message(types::MessageSend) -> types::MessageSent;
    }
    DevicesApi {
        list_devices(ListDevicesParameters) -> types::DevicePage;
        update_device(Uuid, types::DeviceUpdate) -> types::Device;
        revoke_device(Uuid) -> ();
    }
    HealthApi {
        get_health() -> types::Health;
        get_readiness() -> types::Health;
        get_metrics() -> String;
        get_server_health() -> types::ServerHealth;
    }
    HubApi {
        mint_hub_token(types::HubTokenRequest) -> types::HubToken;
        get_hub_health() -> types::HubHealth;
        get_hub_stats() -> types::HubStats;
    }
    MobileApi {
        decide_mobile_approval(Uuid, types::MobileDecision) -> types::MobileDecided;
    }
    PairingApi {
        start_pairing(types::PairingStart) -> types::PairingStarted;
        complete_pairing(types::PairingCompletion) -> types::PairingCompleted;
        get_pairing_result(GetPairingResultParameters) -> types::PairingResult;
    }
    RunsApi {
        list_runs(ListRunsParameters) -> types::RunPage;
        get_run(Uuid) -> types::Run;
        list_run_events(Uuid, ListRunEventsParameters) -> types::RunEventPage;
    }
    WorkspacesApi {
        list_workspaces(ListWorkspacesParameters) -> types::WorkspacePage;
        get_workspace(Uuid) -> types::Workspace;
    }
}

/// What poem makes of the stubs.
pub(super) fn derived_document() -> String {
    let nobody = Arc::new(Nobody);
    let surfaces = (
        AgentsEndpoints::new(nobody.clone()),
        ApprovalsEndpoints::new(nobody.clone()),
        BridgeEndpoints::new(nobody.clone()),
        ChatsEndpoints::new(nobody.clone()),
        CockpitEndpoints::new(nobody.clone()),
        CompanionEndpoints::new(nobody.clone()),
        DevicesEndpoints::new(nobody.clone()),
        HealthEndpoints::new(nobody.clone()),
        HubEndpoints::new(nobody.clone()),
        MobileEndpoints::new(nobody.clone()),
        PairingEndpoints::new(nobody.clone()),
        RunsEndpoints::new(nobody.clone()),
        WorkspacesEndpoints::new(nobody.clone()),
    );
    OpenApiService::new(surfaces, "Flightdeck", env!("CARGO_PKG_VERSION")).spec()
}
