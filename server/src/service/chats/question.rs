//! What an agent asks becomes an approval like any other, and its answer goes back to the agent.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use flightdeck_api::generated::errors::ErrorCode;
use flightdeck_api::generated::types::{ApprovalRequest, ApprovalStatus};
use flightdeck_api::support::ApiError;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::Chats;
use super::desk::Desk;
use super::event::ChatEvent;
use super::turn::bounded;
use crate::service::agents::update::{Answer, Permission, Question};
use crate::service::approvals::{self, Asked, Waited};
use crate::store::chats::ChatRow;
use crate::store::workspaces::Scope;

/// How long one wait lasts, in seconds; there is another one as long as the approval is pending, after so many milliseconds.
const WAIT: u64 = 3_600;
const PAUSE: i64 = 1_000;

/// Characters of a command and of names that an approval takes.
const COMMAND: usize = 60_000;
const NAME: usize = 200;

/// Bytes of evidence that go along; what is larger is left out.
const EVIDENCE: usize = 60_000;

/// What a question belongs to.
pub(super) struct Asking {
    pub(super) chats: Chats,
    pub(super) chat: ChatRow,
    pub(super) desk: Arc<Desk>,
    pub(super) turn_id: Uuid,
    pub(super) cwd: String,
    /// The turn is to end.
    pub(super) cancel: CancellationToken,
    /// Questions of the turn that wait.
    pub(super) open: Arc<AtomicUsize>,
}

impl Asking {
    /// Asks, waits, and answers. A turn that ends takes its question back.
    pub(super) async fn ask(self, permission: Permission) {
        let Permission { question, mut answer } = permission;
        self.open.fetch_add(1, Ordering::Relaxed);
        let answered = self.answer(question, &mut answer).await.unwrap_or_else(|error| {
            tracing::warn!(chat_id = %self.chat.id, %error, "could not ask what an agent wants to know");
            (Answer::Withdrawn, None)
        });
        self.open.fetch_sub(1, Ordering::Relaxed);
        let (verdict, approval_id) = answered;
        let acted_on = verdict != Answer::Withdrawn;
        let delivered = answer.send(verdict).is_ok();
        if let Some(id) = approval_id.filter(|_| acted_on && delivered)
            && let Err(error) = self.chats.0.approvals.acknowledge(&Scope::All, id, true, None).await
        {
            tracing::warn!(approval_id = %id, %error, "could not note that an agent has its answer");
        }
    }

    async fn answer(
        &self,
        question: Question,
        waits: &mut oneshot::Sender<Answer>,
    ) -> Result<(Answer, Option<Uuid>), ApiError> {
        let turn_id = self.turn_id;
        let (tool_name, command) = (cut(&question.tool_name, NAME), cut(&question.command, COMMAND));
        let Asked { approval_id, expires_at, .. } = self.request(question).await?;
        let asked = ChatEvent::ApprovalRequest { turn_id, approval_id, tool_name, command, expires_at };
        self.chats.record(&self.desk, self.chat.id, asked).await;
        let waited = tokio::select! {
            biased;
            () = self.cancel.cancelled() => self.withdraw(approval_id).await?,
            // The agent does not want to know any more.
            () = waits.closed() => self.withdraw(approval_id).await?,
            waited = self.wait(approval_id) => waited,
        };
        let status = waited.status.parse().unwrap_or(ApprovalStatus::Expired);
        let resolved = ChatEvent::ApprovalResolved { turn_id, approval_id, status, note: waited.note.clone() };
        self.chats.record(&self.desk, self.chat.id, resolved).await;
        let answer = match status {
            ApprovalStatus::Approved => Answer::Allow { note: waited.note },
            ApprovalStatus::Denied => Answer::Deny { note: waited.note },
            _ => Answer::Withdrawn,
        };
        Ok((answer, Some(approval_id)))
    }

    async fn request(&self, question: Question) -> Result<Asked, ApiError> {
        let Question { tool_use_id, tool_name, command, kind, input } = question;
        let mut request = ApprovalRequest {
            run_id: self.turn_id,
            command: Some(cut(&command, COMMAND)).filter(|text| !text.is_empty()).unwrap_or_else(|| tool_name.clone()),
            cwd: cut(&self.cwd, 4_000),
            context: Some(bounded(input, EVIDENCE)),
            workspace_id: None,
            kind: Some(cut(&kind, 50)),
            provider: Some(self.chat.agent.clone()),
            // One turn is one session for the ledger: agents count their calls anew in each.
            session_id: Some(self.turn_id.to_string()),
            tool_name: Some(cut(&tool_name, NAME)),
            tool_use_id: tool_use_id.map(|id| cut(&id, NAME)),
            expires_in_seconds: None,
        };
        let workspace_id = self.chat.workspace_id;
        let approvals = &self.chats.0.approvals;
        match approvals.request(workspace_id, request.clone(), None, None).await {
            // It asks once more about the same call, which is another question.
            Err(error) if error.code == ErrorCode::ApprovalConsumed => {
                request.tool_use_id = None;
                approvals.request(workspace_id, request, None, None).await
            }
            asked => asked,
        }
    }

    /// Waits until the approval has ended.
    async fn wait(&self, approval_id: Uuid) -> Waited {
        let Chats(parts) = &self.chats;
        loop {
            match parts.approvals.wait(&Scope::All, approval_id, WAIT).await {
                Ok(waiting) => {
                    let waited = waiting.end().await;
                    if waited.status != approvals::PENDING {
                        return waited;
                    }
                }
                Err(error) => tracing::warn!(%approval_id, %error, "could not wait for an answer; will try again"),
            }
            // A wait ends at once when the server shuts down, which the turn may learn a little later.
            parts.clock.sleep_until(parts.clock.now() + PAUSE).await;
        }
    }

    /// Takes the question back; a person may have been faster.
    async fn withdraw(&self, approval_id: Uuid) -> Result<Waited, ApiError> {
        let approvals = &self.chats.0.approvals;
        loop {
            let reason = Some("The turn is over.".to_owned());
            let withdrawn = match approvals.withdraw(&Scope::All, approval_id, reason, None).await {
                Err(error) if error.code == ErrorCode::ApprovalConflict => {
                    approvals.get(&Scope::All, approval_id).await
                }
                withdrawn => withdrawn,
            };
            match withdrawn {
                Err(error) if error.code == ErrorCode::Unavailable && self.chats.pause(&self.desk).await => {}
                withdrawn => return Ok(withdrawn?.into()),
            }
        }
    }
}

/// The beginning of a text, without what no text column takes.
fn cut(text: &str, characters: usize) -> String {
    text.chars().filter(|&character| character != '\0').take(characters).collect()
}
