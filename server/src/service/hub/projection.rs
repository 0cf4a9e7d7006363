//! Flightdeck's own life, told on the hub: runs as tasks and sessions, approvals and messages of agents as messages.
//!
//! Each is told on `global`; what concerns a run also on `sessions/{run_id}`. Long texts are cut: what happened is in the
//! log in full.

use flightdeck_api::generated::types::{AgentEventType, HubEventName};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::activity::copy_id;
use super::channel::Channel;
use crate::log::Projection;
use crate::service::approvals::event as ledger;
use crate::service::companion::Status;
use crate::store::events::NewEvent;

/// Characters of a text that are told.
const LONGEST_TEXT: usize = 500;

/// Tells on the hub what happens to runs, approvals and agents.
#[derive(Debug, Clone, Copy, Default)]
pub struct OnTheHub;

impl Projection for OnTheHub {
    fn project(&self, event: &NewEvent) -> Vec<NewEvent> {
        if let Some(run_id) = event.stream.strip_prefix("runs/") {
            of_run(event, run_id)
        } else if let Some(agent_id) = event.stream.strip_prefix("agents/") {
            of_agent(event, agent_id)
        } else {
            Vec::new()
        }
    }
}

fn of_run(event: &NewEvent, run_id: &str) -> Vec<NewEvent> {
    let tell = |names: &[HubEventName], data: &Value| {
        let text = data.to_string();
        let told = names.iter().flat_map(|name| {
            let new = |channel: &Channel| new_event(channel, *name, text.clone(), event.created_at);
            match Channel::of_session(run_id) {
                Some(session) => vec![new(&session), NewEvent { id: copy_id(), ..new(&Channel::global()) }],
                None => vec![new(&Channel::global())],
            }
        });
        told.collect()
    };
    let task = |status: &str| {
        let message = serde_json::from_str::<Report>(&event.payload).ok().and_then(|report| report.message);
        json!({ "task_id": run_id, "session_id": run_id, "run_id": run_id, "status": status, "message": message.map(cut) })
    };
    match event.kind.as_str() {
        "RUN_STARTED" => tell(&[HubEventName::SessionCreated, HubEventName::TaskCreated], &task("running")),
        "RUN_FINISHED" => tell(&[HubEventName::TaskCompleted, HubEventName::SessionEnded], &task("completed")),
        "RUN_FAILED" => tell(&[HubEventName::TaskFailed, HubEventName::SessionEnded], &task("failed")),
        "RUN_STOPPED" => tell(&[HubEventName::TaskFailed, HubEventName::SessionEnded], &task("stopped")),
        ledger::REQUESTED => tell(&[HubEventName::MessageNew], &approval(event, run_id)),
        ledger::DECIDED => tell(&[HubEventName::MessageRead], &approval(event, run_id)),
        ledger::EXPIRED | ledger::WITHDRAWN => tell(&[HubEventName::MessageExpired], &approval(event, run_id)),
        _ => Vec::new(),
    }
}

/// What an agent reports with an event of its run.
#[derive(Deserialize)]
struct Report {
    #[serde(default)]
    message: Option<String>,
}

fn approval(event: &NewEvent, run_id: &str) -> Value {
    let Ok(payload) = serde_json::from_str::<ledger::Payload>(&event.payload) else { return Value::Null };
    let question = payload.question.as_ref();
    json!({
        "message_id": payload.approval_id,
        "type": event.kind,
        "approval_id": payload.approval_id,
        "run_id": run_id,
        "session_id": run_id,
        "workspace_id": payload.workspace_id,
        "status": payload.status,
        "content": question.map(|question| cut(question.command.clone())),
        "kind": question.map(|question| cut(question.kind.clone())),
        "tool_name": question.and_then(|question| question.tool_name.clone()).map(cut),
        "expires_at": question.map(|question| question.expires_at),
        "note": payload.note.map(cut),
        "reason": payload.expiry_reason.or(payload.reason).map(cut),
    })
}

fn of_agent(event: &NewEvent, agent_id: &str) -> Vec<NewEvent> {
    let tell = |name, data: &Value| vec![new_event(&Channel::global(), name, data.to_string(), event.created_at)];
    if [AgentEventType::MessageIn.as_str(), AgentEventType::MessageOut.as_str()].contains(&event.kind.as_str()) {
        let said = serde_json::from_str::<Said>(&event.payload).ok();
        let content = said.as_ref().and_then(|said| said.payload.content.as_ref());
        return tell(
            HubEventName::MessageNew,
            &json!({
                "message_id": event.id,
                "type": event.kind,
                "agent_id": agent_id,
                "sender": said.as_ref().map(|said| &said.sender),
                "content": content.and_then(Value::as_str).map(|content| cut(content.to_owned())),
            }),
        );
    }
    let here = json!({ "agent_id": agent_id, "client_id": null, "session_id": null });
    match Status::told(&event.kind, &event.payload) {
        Some(Status::Online) => tell(HubEventName::AgentConnected, &here),
        Some(Status::Offline) => tell(HubEventName::AgentDisconnected, &here),
        Some(Status::Heartbeat | Status::Restart) | None => Vec::new(),
    }
}

/// What was said to an agent, or by one.
#[derive(Deserialize)]
struct Said {
    sender: String,
    payload: SaidPayload,
}

#[derive(Deserialize)]
struct SaidPayload {
    #[serde(default)]
    content: Option<Value>,
}

/// An event on its way to a channel. `data` is JSON text.
pub(super) fn new_event(channel: &Channel, name: HubEventName, data: String, now: i64) -> NewEvent {
    NewEvent {
        stream: channel.stream(),
        id: Uuid::now_v7(),
        kind: name.as_str().to_owned(),
        created_at: now,
        happened_at: None,
        payload: data,
    }
}

fn cut(mut text: String) -> String {
    if let Some((end, _)) = text.char_indices().nth(LONGEST_TEXT) {
        text.truncate(end);
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(stream: &str, kind: &str, payload: &str) -> Vec<(String, String, Value)> {
        let event = NewEvent {
            stream: stream.to_owned(),
            id: Uuid::from_u128(7),
            kind: kind.to_owned(),
            created_at: 5,
            happened_at: None,
            payload: payload.to_owned(),
        };
        let told = OnTheHub.project(&event).into_iter();
        told.map(|event| {
            assert_eq!(event.created_at, 5);
            (event.stream, event.kind, serde_json::from_str(&event.payload).expect("JSON"))
        })
        .collect()
    }

    fn names(told: &[(String, String, Value)]) -> Vec<(&str, &str)> {
        told.iter().map(|(stream, kind, _)| (stream.as_str(), kind.as_str())).collect()
    }

    #[test]
    fn a_run_is_a_task_and_a_session() {
        let started = told("runs/r-1", "RUN_STARTED", r#"{"message":"Mending it."}"#);
        let own = "channels/sessions/r-1";
        assert_eq!(
            names(&started),
            [
                (own, "session.created"),
                ("channels/global", "session.created"),
                (own, "task.created"),
                ("channels/global", "task.created")
            ]
        );
        assert_eq!(started[0].2["task_id"], "r-1");
        assert_eq!(started[0].2["status"], "running");
        assert_eq!(started[0].2["message"], "Mending it.");
        for (kind, name, status) in [
            ("RUN_FINISHED", "task.completed", "completed"),
            ("RUN_FAILED", "task.failed", "failed"),
            ("RUN_STOPPED", "task.failed", "stopped"),
        ] {
            let ended = told("runs/r-1", kind, "{}");
            assert_eq!(names(&ended)[1], ("channels/global", name), "{kind}");
            assert_eq!(names(&ended)[3], ("channels/global", "session.ended"), "{kind}");
            assert_eq!(ended[1].2["status"], status, "{kind}");
        }
        assert!(told("runs/r-1", "TOOL_USED", r#"{"message":"x"}"#).is_empty());
    }

    #[test]
    fn an_approval_is_a_message() {
        let (id, workspace) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let question = json!({ "kind": "command", "command": "é".repeat(10_000), "expires_at": 99 });
        let asked = json!({ "approval_id": id, "workspace_id": workspace, "status": "PENDING", "question": question });
        let asked = told("runs/r-1", "approval.requested", &asked.to_string());
        assert_eq!(names(&asked), [("channels/sessions/r-1", "message.new"), ("channels/global", "message.new")]);
        let data = &asked[0].2;
        assert_eq!(data["approval_id"], id.to_string());
        assert_eq!(data["expires_at"], 99);
        assert_eq!(data["content"].as_str().expect("a text").chars().count(), LONGEST_TEXT + 1);

        let decided = json!({ "approval_id": id, "workspace_id": workspace, "status": "DENIED", "note": "no" });
        let decided = told("runs/r-1", "approval.decided", &decided.to_string());
        assert_eq!(names(&decided)[1], ("channels/global", "message.read"));
        assert_eq!((&decided[0].2["status"], &decided[0].2["note"]), (&json!("DENIED"), &json!("no")));
        for kind in ["approval.expired", "approval.withdrawn"] {
            let over = json!({ "approval_id": id, "workspace_id": workspace, "status": "EXPIRED" });
            assert_eq!(names(&told("runs/r-1", kind, &over.to_string()))[0].1, "message.expired");
        }
        assert!(told("runs/r-1", "approval.delivered", "{}").is_empty());
    }

    #[test]
    fn an_agent_of_the_companion_comes_talks_and_goes() {
        let envelope = |sender: &str, payload: Value| {
            json!({ "sender": sender, "payload": payload, "user_id": null, "tenant_id": null }).to_string()
        };
        let said = told("agents/a-1", "message_out", &envelope("pc", json!({ "content": "hello" })));
        assert_eq!(names(&said), [("channels/global", "message.new")]);
        assert_eq!((&said[0].2["agent_id"], &said[0].2["content"]), (&json!("a-1"), &json!("hello")));
        let odd = told("agents/a-1", "message_out", &envelope("pc", json!({ "content": { "x": 1 } })));
        assert_eq!(odd[0].2["content"], Value::Null);
        let status = |status: &str| {
            let told = told("agents/a-1", "agent_status", &envelope("system", json!({ "status": status })));
            told.first().map(|(_, kind, _)| kind.clone())
        };
        assert_eq!(status("online").as_deref(), Some("agent.connected"));
        assert_eq!(status("offline").as_deref(), Some("agent.disconnected"));
        assert_eq!(status("heartbeat"), None);
    }

    #[test]
    fn other_streams_are_nobodys_business() {
        for stream in ["channels/global", "workspaces/x", "approvals/x", "pairings/x"] {
            assert!(told(stream, "RUN_STARTED", "{}").is_empty(), "{stream}");
            assert!(told(stream, "approval.requested", "{}").is_empty(), "{stream}");
        }
    }
}
