//! What a person says to a task's agent, and answers to its questions.

use flightdeck_api::generated::errors::ErrorCode;
use flightdeck_api::support::ApiError;
use uuid::Uuid;

use super::Tasks;
use crate::service::approvals::Decision;
use crate::service::chats::Say;
use crate::store::sessions::SessionRow;
use crate::store::workspaces::Scope;
use crate::store::{tasks, turns};

/// Messages that may wait for an agent to begin.
const WAITING: usize = 100;

impl Tasks {
    /// Says something to the agent of a task: of the session's newest one, if none is named.
    ///
    /// # Errors
    /// `task_not_found`, `task_over`, `chat_queue_full`.
    pub async fn say(&self, session_id: Uuid, id: Option<Uuid>, content: String) -> Result<(), ApiError> {
        let row = match id {
            Some(id) => self.get(session_id, id).await?,
            None => {
                let newest = tasks::list(self.0.store.reader(), session_id, 1).await?.pop();
                newest.ok_or_else(|| ApiError::new(ErrorCode::TaskNotFound))?
            }
        };
        if !row.has_worktree || !tasks::OPEN.contains(&row.status.as_str()) {
            return Err(ErrorCode::TaskOver.into());
        }
        // Before the agent has been told what to do, it waits.
        if let Some(mut attendant) = self.0.attendants.get_mut(&row.id)
            && let Some(waiting) = &mut attendant.waiting
        {
            if waiting.len() >= WAITING {
                return Err(ErrorCode::ChatQueueFull.into());
            }
            waiting.push(content);
            return Ok(());
        }
        self.pass_on(row.chat_id, content).await
    }

    /// Says something to an agent that has been told what to do.
    pub(super) async fn pass_on(&self, chat_id: Uuid, content: String) -> Result<(), ApiError> {
        match self.0.chats.say(&Scope::All, chat_id, Say::Message(content), None, None).await {
            // Another server has it, and has not begun.
            Err(error) if error.code == ErrorCode::ChatNotFound => Err(ErrorCode::Unavailable.into()),
            said => said.map(|_| ()),
        }
    }

    /// Answers what an agent of the session asked.
    ///
    /// # Errors
    /// `approval_not_found`, `approval_conflict`, `approval_expired`.
    pub async fn confirm(
        &self,
        session: &SessionRow,
        approval_id: Uuid,
        approve: bool,
        note: Option<String>,
    ) -> Result<(), ApiError> {
        let approval = self.0.approvals.get(&Scope::All, approval_id).await?;
        // Its run is a turn of a task's chat.
        let turn = turns::find_any(self.0.store.reader(), approval.run_id).await?;
        let task = match turn {
            Some(turn) => tasks::of_chat(self.0.store.reader(), turn.chat_id).await?,
            None => None,
        };
        if task.is_none_or(|task| task.session_id != session.id) {
            return Err(ErrorCode::ApprovalNotFound.into());
        }
        let decision = Decision { approval_id, approve, note };
        let scope = Scope::Workspaces(vec![session.workspace_id]);
        let outcomes = self.0.approvals.decide(&scope, session.device_id, vec![decision], None).await?;
        outcomes.into_iter().next().unwrap_or_else(|| Err(ErrorCode::Internal.into())).map(|_| ())
    }
}
