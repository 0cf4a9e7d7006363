//! Opening a session with an agent.

use std::time::Duration;

use agent_client_protocol::schema::ProtocolVersion;
use agent_client_protocol::v1::schema::{
    AuthMethod, ClientCapabilities, FileSystemCapabilities, Implementation, InitializeRequest, InitializeResponse,
    LoadSessionRequest, NewSessionRequest, ResumeSessionRequest, SessionId,
};
use agent_client_protocol::{Error, ErrorCode};
use serde_json::Value;

use super::wire::{Unanswered, Wire};
use crate::service::agents::Setup;

/// How long an agent has to be silent before a session that it loads counts as told to the end: some answer before.
const SILENCE: Duration = Duration::from_millis(150);

pub(super) struct Session {
    pub(super) id: SessionId,
    /// What to do when the agent wants somebody to log in.
    pub(super) login: String,
}

/// Why there is no session.
pub(super) enum Failure {
    /// The agent is gone.
    Gone,
    Refused(String),
}

/// Opens the session that is to be taken up, if the agent still has it, or a new one.
pub(super) async fn open(wire: &mut Wire, setup: &Setup) -> Result<Session, Failure> {
    let info = Implementation::new("flightdeck", env!("CARGO_PKG_VERSION")).title("Flightdeck".to_owned());
    // Agents that read, write and run by themselves ask before they do, which is what a person wants to see.
    let files = FileSystemCapabilities::new().read_text_file(false).write_text_file(false);
    let capabilities = ClientCapabilities::new().fs(files).terminal(false);
    let hello = InitializeRequest::new(ProtocolVersion::V1).client_info(info).client_capabilities(capabilities);
    // An agent of another version is refused by the protocol's library.
    let agent = match wire.ask(hello).await {
        Ok(agent) => agent,
        Err(unanswered) => return Err(failed(unanswered, "")),
    };
    let login = login(&agent.auth_methods);
    if let Some(resume) = &setup.resume {
        let id = SessionId::new(resume.clone());
        match take_up(wire, &agent, &id, setup).await {
            Some(Ok(())) => return Ok(Session { id, login }),
            Some(Err(Unanswered::Error(error))) if !needs_login(&error) => {
                tracing::info!(%error, "an agent does not have its session any more; it begins anew");
            }
            Some(Err(unanswered)) => return Err(failed(unanswered, &login)),
            None => {}
        }
    }
    match wire.ask(NewSessionRequest::new(&setup.cwd)).await {
        Ok(session) => Ok(Session { id: session.session_id, login }),
        Err(unanswered) => Err(failed(unanswered, &login)),
    }
}

/// Takes a session up by whichever way the agent has; `None` if it has none.
async fn take_up(
    wire: &mut Wire,
    agent: &InitializeResponse,
    id: &SessionId,
    setup: &Setup,
) -> Option<Result<(), Unanswered>> {
    let can = &agent.agent_capabilities;
    if can.session_capabilities.resume.is_some() {
        return Some(wire.ask(ResumeSessionRequest::new(id.clone(), &setup.cwd)).await.map(drop));
    }
    if !can.load_session {
        return None;
    }
    // It tells the whole session again, which nobody wants to read twice.
    let loaded = wire.ask(LoadSessionRequest::new(id.clone(), &setup.cwd)).await;
    while let Ok(Some(event)) = tokio::time::timeout(SILENCE, wire.events.recv()).await {
        event.dismiss();
    }
    Some(loaded.map(drop))
}

fn failed(unanswered: Unanswered, login: &str) -> Failure {
    match unanswered {
        Unanswered::Gone => Failure::Gone,
        Unanswered::Error(error) => Failure::Refused(refusal(&error, login)),
    }
}

fn needs_login(error: &Error) -> bool {
    error.code == ErrorCode::AUTH_REQUIRED
}

/// What a person can do about an agent that wants somebody to log in.
fn login(methods: &[AuthMethod]) -> String {
    let advice = "Log in with the agent's own program on the server's machine, as the user that runs the server.";
    if methods.is_empty() {
        return advice.to_owned();
    }
    let methods: Vec<_> = methods.iter().map(|method| format!("“{}”", method.name())).collect();
    format!("It offers: {}. {advice}", methods.join(", "))
}

/// An agent's error, for a person.
pub(super) fn refusal(error: &Error, login: &str) -> String {
    if needs_login(error) {
        return format!("The agent wants somebody to log in first. {login}");
    }
    let details = error.data.as_ref().and_then(|data| {
        let text = |name: &str| data.get(name).and_then(Value::as_str);
        data.as_str().or_else(|| text("details")).or_else(|| text("message"))
    });
    let details = details.map_or_else(String::new, |details| format!(" ({details})"));
    format!("The agent answers with an error: {}{details}", error.message)
}

#[cfg(test)]
mod tests {
    use agent_client_protocol::v1::schema::AuthMethodAgent;
    use serde_json::json;

    use super::*;

    #[test]
    fn who_has_to_log_in_reads_how() {
        let methods = [
            AuthMethod::Agent(AuthMethodAgent::new("a", "Log in with A")),
            AuthMethod::Agent(AuthMethodAgent::new("b", "B")),
        ];
        assert_eq!(
            refusal(&Error::auth_required(), &login(&methods)),
            "The agent wants somebody to log in first. It offers: “Log in with A”, “B”. Log in with the agent's own program \
             on the server's machine, as the user that runs the server."
        );
        assert!(!login(&[]).contains("offers"));
    }

    #[test]
    fn an_error_tells_its_details() {
        let error = |data: Value| refusal(&Error::internal_error().data(data), "");
        assert_eq!(error(json!("no disk")), "The agent answers with an error: Internal error (no disk)");
        assert_eq!(error(json!({"details": "no disk"})), "The agent answers with an error: Internal error (no disk)");
        assert_eq!(error(json!(7)), "The agent answers with an error: Internal error");
    }
}
