//! The server's types are what the spec says, by the schemas that schemars derives from them.

use anyhow::{Result, ensure};
use flightdeck_api::generated::types;
use flightdeck_tests::document;
use schemars::SchemaGenerator;
use serde_json::{Map, Value};

use super::compare;
use super::normal::{self, Null};

/// Every type of the protocol. One that is missing here fails the test below.
macro_rules! derived {
    ($($name:ident)+) => {{
        let mut generator = SchemaGenerator::default();
        $(generator.subschema_for::<types::$name>();)+
        generator.take_definitions(true)
    }};
}

#[test]
fn the_types_are_what_the_spec_says() -> Result<()> {
    let definitions: Map<String, Value> = derived! {
        Acknowledgement AcknowledgementStage Agent AgentEvent AgentEventList AgentEventSender AgentEventType AgentKind
        Chat ChatCancel ChatCreate ChatDeleted ChatMessage ChatMessageSend ChatMessageSent ChatRole ChatStatus ChatTurn
        ChatTurnKind ChatTurnList ChatTurnStatus ChatUpdate RunnableAgent RunnableAgentList
        AgentList AgentRegistered AgentRegistration AgentStatus Approval ApprovalPage ApprovalRequest ApprovalRequested
        ApprovalStatus ApprovalVerdict BridgeEvent CommandSent Database Decision DecisionAccepted DecisionBatch
        DecisionItem DecisionOutcome DecisionOutcomes DecisionRefused DecisionVerb Device DevicePage
        DeviceUpdate Environment Error ErrorDetail EventAccepted ExpiryReason Health HubHealth HubStats HubStatus
        HubToken HubTokenRequest HubTransport MessageSend MessageSent MobileDecided
        MobileDecision MobileVerb PairingCompleted PairingCompletion PairingResult PairingStart
        PairingStarted PairingStatus Platform Run RunEvent RunEventPage RunPage RunStatus ServerHealth
        CommandRun CommandStarted FilePatch HunkSelection PatchHunk PatchSet PatchType Session SessionCreate SessionCreated
        SessionEnded SessionSockets SessionVia Task TaskApplied TaskApply TaskContext TaskCreate TaskList TaskStatus
        Withdrawal Workspace WorkspacePage
    };
    let derived = normal::schemas(&Value::Object(definitions), Null::Kept);
    let authored = normal::schemas(&document::document()["components"]["schemas"], Null::Kept);
    let mut differences = Vec::new();
    compare("", &authored, &derived, &mut differences);
    ensure!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
    Ok(())
}
