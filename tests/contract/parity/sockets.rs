//! The same for sockets: their messages' types, by the schemas that schemars derives from them, and what the stubs say about
//! each socket.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use flightdeck_api::generated::sockets::{CloseCode, SOCKETS};
use flightdeck_api::generated::types;
use flightdeck_tests::socket::document::{self, Speaker};
use schemars::SchemaGenerator;
use serde_json::{Map, Value};

use super::compare;
use super::normal::{self, Null};

/// Every type that goes over a socket. One that is missing here fails the test below.
macro_rules! derived {
    ($($name:ident)+) => {{
        let mut generator = SchemaGenerator::default();
        $(generator.subschema_for::<types::$name>();)+
        generator.take_definitions(true)
    }};
}

#[test]
fn the_messages_are_what_the_spec_says() -> Result<()> {
    let definitions: Map<String, Value> = derived! {
        AgentEvent AgentEventDraft AgentEventSender AgentEventType ApprovalStatus ChatAgentStatus ChatApprovalRequest
        ChatApprovalResolved ChatAssistantMessage ChatCancelTurn ChatConnected ChatFault ChatGap ChatGone ChatHistory ChatMessage
        ChatMessageFinished
        ChatPatch ChatPing ChatPlan ChatPong ChatResearch ChatResult ChatRole ChatSay ChatSubscribe ChatSynced ChatThought
        ChatToolResult ChatToolUse ChatTurnChanged ChatTurnStatus ChatUnsubscribe ChatUserMessage PlanEntry PlanStatus
        CockpitConfirmation CockpitExit CockpitFault CockpitGap CockpitOutput CockpitPatch CockpitPing CockpitPong
        CockpitStatus CockpitSubscribe CockpitSynced CockpitUserMessage OutputKind TaskStatus
        TerminalExit TerminalFrames TerminalResize
        TokenUsage CompanionCommand CompanionCommandName CompanionEvents
        CompanionFault CompanionGap CompanionHeartbeat CompanionHello CompanionLive CompanionPublish CompanionRole
        CompanionSubscribe GapReason HubAck HubAcknowledge HubAuth HubConnected HubEvent HubEventName HubFault HubGap
        HubPing HubPong HubPublish HubSubscribe HubSynced HubUnsubscribe StreamAuthenticate StreamAuthenticated
        StreamEvent StreamEvents StreamFault StreamGap StreamHeartbeat StreamHello StreamLive StreamPing StreamPong
        StreamSubscribe StreamSubscribed StreamSynced StreamUnsubscribe StreamUnsubscribed
    };
    let authored: Value = serde_json::from_str(document::TEXT)?;
    let derived = normal::schemas(&Value::Object(definitions), Null::Kept);
    let authored = normal::schemas(&authored["components"]["schemas"], Null::Kept);
    let mut differences = Vec::new();
    compare("", &authored, &derived, &mut differences);
    ensure!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
    Ok(())
}

#[test]
fn the_sockets_are_what_the_spec_says() -> Result<()> {
    let authored: BTreeSet<_> = document::sockets().iter().map(|socket| socket.name.as_str()).collect();
    let generated: BTreeSet<_> = SOCKETS.iter().map(|socket| socket.name).collect();
    ensure!(authored == generated, "the spec has {authored:?}, the stubs have {generated:?}");
    for generated in SOCKETS {
        let authored = document::socket(generated.name);
        let name = generated.name;
        let messages = |speaker| -> Vec<_> { authored.messages(speaker).iter().map(|message| &message.name).collect() };
        ensure!(generated.address == authored.address, "{name} is at {}", generated.address);
        ensure!(messages(Speaker::Client) == generated.client_messages, "clients of {name} say something else");
        ensure!(messages(Speaker::Server) == generated.server_messages, "{name} says something else");
        let errors: BTreeSet<_> = generated.errors.iter().map(|code| code.as_str().to_owned()).collect();
        ensure!(errors == authored.errors, "{name} is refused with {errors:?}");
        let faults: BTreeSet<_> = generated.faults.iter().map(|code| code.as_str().to_owned()).collect();
        ensure!(faults == authored.faults, "the faults of {name} are {faults:?}");
        let limits = (generated.limits, authored.limits);
        let same = limits.0.max_message_bytes == limits.1.max_message_bytes
            && u64::from(limits.0.messages_per_second) == limits.1.messages_per_second
            && limits.0.faults_in_a_row as usize == limits.1.faults_in_a_row
            && limits.0.subscriptions == limits.1.subscriptions
            && limits.0.queue_events == limits.1.queue_events
            && limits.0.queue_bytes == limits.1.queue_bytes
            && limits.0.heartbeat.as_secs() == limits.1.heartbeat_seconds
            && limits.0.silence.as_secs() == limits.1.silence_seconds;
        ensure!(same, "the limits of {name} differ: {limits:?}");
        let codes: BTreeSet<_> = generated.close_codes.iter().map(|code: &CloseCode| code.code()).collect();
        ensure!(codes.iter().eq(authored.close_codes.keys()), "{name} closes with {codes:?}");
        for code in generated.close_codes {
            let row = &authored.close_codes[&code.code()];
            let reconnect = format!("{:?}", code.reconnect()).to_lowercase();
            ensure!(row.name == code.as_str() && row.reconnect == reconnect, "{name}: {code} is {row:?} in the spec");
        }
    }
    Ok(())
}
