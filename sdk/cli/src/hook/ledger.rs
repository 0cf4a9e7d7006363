//! The server, as the hook runner needs it: questions for the gate, and delivery for the outbox. Everything goes
//! through the SDK.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, anyhow};
use flightdeck_sdk::generated::bridge::WaitForApprovalParameters;
use flightdeck_sdk::types::{
    Acknowledgement, AcknowledgementStage, ApprovalRequest, ApprovalStatus, ApprovalVerdict, BridgeEvent, ExpiryReason,
    Withdrawal,
};
use flightdeck_sdk::{Client, Error, ErrorCode};
use uuid::Uuid;

use super::deliver::{Courier, Outcome};
use super::gate::{Ledger, Trouble, Verdict};
use super::outbox::{Body, Item};
use super::question::Question;
use crate::config::{ConfigFile, Effective, Flags, Places, connect_signed};

/// What the protocol calls this agent.
pub(crate) const PROVIDER: &str = "claude_code";

/// What an answer may take beyond the time for which it was held.
const GRACE: Duration = Duration::from_secs(5);
/// The protocol's longest life of a question.
const LONGEST_LIFE: u64 = 2_592_000;
const SEND_TIMEOUT: Duration = Duration::from_secs(10);

/// The run of a session: the same for each of its hooks, on whichever machine.
pub(crate) fn run_id(workspace_id: Uuid, session_id: &str) -> Uuid {
    Uuid::new_v5(&workspace_id, format!("{PROVIDER}:{session_id}").as_bytes())
}

/// Asks on behalf of a workspace.
pub(crate) struct ServerLedger {
    client: Client,
    workspace_id: Uuid,
}

impl ServerLedger {
    pub(crate) fn new(effective: &Effective) -> Result<Self> {
        let workspace = effective.workspace.as_ref().ok_or_else(|| anyhow!("the folder is not paired"))?;
        Ok(Self { client: connect_signed(effective)?, workspace_id: workspace.0.workspace_id })
    }

    fn request(&self, question: &Question, expires_in: Duration) -> ApprovalRequest {
        let run_id = run_id(self.workspace_id, &question.session_id);
        let mut request = ApprovalRequest::new(run_id, question.command.as_str(), question.cwd.as_str())
            .with_workspace_id(self.workspace_id)
            .with_provider(PROVIDER)
            .with_kind(question.kind)
            .with_context(question.context.clone())
            .with_session_id(question.session_id.as_str())
            .with_tool_name(question.tool_name.as_str())
            // The question lives as long as the agent waits: a later answer would go nowhere.
            .with_expires_in_seconds(expires_in.as_secs().clamp(1, LONGEST_LIFE));
        request.tool_use_id.clone_from(&question.tool_use_id);
        request
    }
}

impl Ledger for ServerLedger {
    async fn open(&self, question: &Question, expires_in: Duration, patience: Duration) -> Result<Uuid, Trouble> {
        let mut request = self.request(question, expires_in);
        let bridge = self.client.bridge();
        let mut opened = bridge.request_approval(&request).deadline(patience).await;
        if opened.as_ref().is_err_and(|error| error.code() == Some(&ErrorCode::ApprovalConsumed)) {
            // The agent asks again about a call that it went on with. It is a new question then.
            request.tool_use_id = None;
            opened = bridge.request_approval(&request).deadline(patience).await;
        }
        opened.map(|opened| opened.approval_id).map_err(|error| trouble(&error))
    }

    async fn wait(&self, approval_id: Uuid, hold: Duration) -> Result<Verdict, Trouble> {
        let parameters = WaitForApprovalParameters::default().with_timeout(hold.as_secs().max(1));
        let limit = hold + GRACE;
        // The gate itself repeats, for longer than the client would.
        let call = self.client.bridge().wait_for_approval(&approval_id, &parameters);
        let answer = call.timeout(limit).deadline(limit).retries(0).await;
        answer.map(verdict).map_err(|error| trouble(&error))
    }
}

fn verdict(answer: ApprovalVerdict) -> Verdict {
    match answer.status {
        ApprovalStatus::Approved => Verdict::Approved(note(answer.note)),
        ApprovalStatus::Denied => Verdict::Denied(note(answer.note)),
        ApprovalStatus::Expired if answer.expiry_reason == Some(ExpiryReason::Withdrawn) => Verdict::Withdrawn,
        ApprovalStatus::Expired => Verdict::Expired,
        // A status of a newer server: no verdict that this version could give.
        _ => Verdict::Pending,
    }
}

fn note(note: Option<String>) -> Option<String> {
    note.filter(|note| !note.trim().is_empty())
}

/// Why a call failed, in words for the person in front of the agent.
fn trouble(error: &Error) -> Trouble {
    let message = match error {
        Error::Api(refusal) => {
            format!("{} {}", refusal.message, refusal.action).trim().trim_end_matches('.').to_owned()
        }
        Error::Connection { server, .. } => format!("no connection to {server}"),
        Error::Timeout { .. } => "no answer in time".to_owned(),
        other => other.to_string(),
    };
    Trouble {
        message,
        passing: error.is_retryable(),
        answered: error.as_api().is_some(),
        retry_after: error.retry_after(),
    }
}

/// Sends what is in outboxes.
pub(crate) struct ServerCourier {
    places: Places,
    /// Clients by the folder whose credential they use.
    clients: Vec<(PathBuf, Client, Uuid)>,
}

impl ServerCourier {
    pub(crate) fn new(places: Places) -> Self {
        Self { places, clients: Vec::new() }
    }

    /// `None`: the folder is not paired any more.
    fn client(&mut self, folder: &PathBuf) -> Result<Option<(Client, Uuid)>> {
        if let Some((_, client, workspace_id)) = self.clients.iter().find(|(known, ..)| known == folder) {
            return Ok(Some((client.clone(), *workspace_id)));
        }
        // A mistake in config.toml is shown elsewhere; the events need only the credential.
        let file = ConfigFile::read(&self.places.config_file()).unwrap_or_default();
        let flags = Flags { pairing_first: true, ..Flags::default() };
        let effective = Effective::with_file(self.places.clone(), file, flags, folder)?;
        let Some((workspace, _)) = &effective.workspace else { return Ok(None) };
        let (client, workspace_id) = (connect_signed(&effective)?, workspace.workspace_id);
        self.clients.push((folder.clone(), client.clone(), workspace_id));
        Ok(Some((client, workspace_id)))
    }

    async fn send(&mut self, item: &Item) -> Result<(), SendError> {
        let found = self.client(&item.folder).map_err(SendError::Local)?;
        let (client, workspace_id) = found.ok_or(SendError::NotPaired)?;
        let bridge = client.bridge();
        match &item.body {
            Body::Event { run_id, event_type, event_ts, payload } => {
                let event = BridgeEvent::new(workspace_id, *run_id, PROVIDER, event_type.as_str(), *event_ts);
                let event = event.with_payload(payload.clone());
                let call = bridge.submit_event(&event).idempotency_key(item.id.to_string());
                call.timeout(SEND_TIMEOUT).retries(0).await?;
            }
            Body::Delivered { approval_id } => {
                acknowledge(&client, approval_id, AcknowledgementStage::Delivered).await?;
            }
            Body::Consumed { approval_id } => {
                acknowledge(&client, approval_id, AcknowledgementStage::Consumed).await?;
            }
            Body::Withdraw { approval_id, reason, tool_ran } => {
                let withdrawal = Withdrawal::default().with_reason(reason.as_str());
                let call = bridge.withdraw_approval(approval_id, &withdrawal);
                match call.timeout(SEND_TIMEOUT).retries(0).await {
                    // Decided after all: the hook that had the verdict died before it could say so.
                    Err(error) if error.code() == Some(&ErrorCode::ApprovalConflict) => {
                        if *tool_ran {
                            acknowledge(&client, approval_id, AcknowledgementStage::Consumed).await?;
                        }
                    }
                    result => {
                        result?;
                    }
                }
            }
        }
        Ok(())
    }
}

enum SendError {
    /// The folder was unpaired, so nobody can send this any more.
    NotPaired,
    /// Something on this machine, such as a file that cannot be read just now.
    Local(anyhow::Error),
    Server(Error),
}

impl From<Error> for SendError {
    fn from(error: Error) -> Self {
        Self::Server(error)
    }
}

impl Courier for ServerCourier {
    async fn deliver(&mut self, item: &Item) -> Outcome {
        match self.send(item).await {
            Ok(()) => Outcome::Sent,
            Err(SendError::NotPaired) => Outcome::Dropped("the folder is not paired any more".to_owned()),
            Err(SendError::Local(error)) => Outcome::Later(format!("{error:#}"), None),
            Err(SendError::Server(error)) if error.is_retryable() => {
                Outcome::Later(error.to_string(), error.retry_after())
            }
            Err(SendError::Server(error)) => Outcome::Dropped(error.to_string()),
        }
    }
}

async fn acknowledge(client: &Client, approval_id: &Uuid, stage: AcknowledgementStage) -> Result<(), Error> {
    let acknowledgement = Acknowledgement::new(stage);
    let call = client.bridge().acknowledge_approval(approval_id, &acknowledgement);
    call.timeout(SEND_TIMEOUT).retries(0).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Credentials, ProjectCredential};

    #[test]
    fn only_what_nobody_can_send_any_more_is_dropped() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let places = Places::below(folder.path());
        let item = Item::new(folder.path(), Body::Consumed { approval_id: Uuid::nil() });
        let delivered = || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(ServerCourier::new(places.clone()).deliver(&item))
        };
        assert_eq!(delivered(), Outcome::Dropped("the folder is not paired any more".into()));
        let credential = ProjectCredential {
            url: "http://127.0.0.1:9".into(),
            workspace_id: Uuid::nil(),
            bridge_secret: "s".into(),
            display_name: "p".into(),
        };
        let root = folder.path().canonicalize().expect("exists");
        Credentials::change(&places, |credentials| credentials.set_project(&root, credential)).expect("writes");
        assert!(matches!(delivered(), Outcome::Later(..)), "the server is away");
        let damage = |text: &str| std::fs::write(places.credentials_file(), text).expect("writes");
        for text in ["", "{\"version\":1,\"projects\":{", "{\"version\":99}"] {
            damage(text);
            assert!(matches!(delivered(), Outcome::Later(..)), "{text}");
        }
    }

    #[test]
    fn a_session_is_the_same_run_for_every_hook() {
        let workspace = Uuid::from_u128(1);
        assert_eq!(run_id(workspace, "s"), run_id(workspace, "s"));
        assert_ne!(run_id(workspace, "s"), run_id(workspace, "t"));
        assert_ne!(run_id(workspace, "s"), run_id(Uuid::from_u128(2), "s"));
    }
}
