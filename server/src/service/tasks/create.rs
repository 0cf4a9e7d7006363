//! The beginning of a task: it is written down, and its attendant does the rest.

use flightdeck_api::generated::errors::ErrorCode;
use flightdeck_api::generated::types::TaskStatus;
use flightdeck_api::support::ApiError;
use uuid::Uuid;

use super::{BRANCHES, SessionEvent, Tasks, status};
use crate::log::Work;
use crate::service::idempotency;
use crate::service::repo::RepoError;
use crate::store::idempotency::Claim;
use crate::store::sessions::SessionRow;
use crate::store::tasks::{self, TaskRow};

/// A task that does not exist yet.
#[derive(Debug, Clone, Default)]
pub struct NewTask {
    pub instruction: String,
    pub branch: Option<String>,
    pub files: Vec<String>,
    pub hints: Vec<String>,
    pub agent: Option<String>,
}

impl NewTask {
    /// What the agent is told.
    fn prompt(&self) -> String {
        let mut prompt = self.instruction.clone();
        for (title, items) in [("Files to look at", &self.files), ("Keep in mind", &self.hints)] {
            if !items.is_empty() {
                prompt.push_str("\n\n");
                prompt.push_str(title);
                prompt.push_str(":\n");
                items.iter().for_each(|item| prompt.push_str(&format!("- {}\n", item.replace(['\0', '\n'], " "))));
            }
        }
        prompt
    }
}

impl Tasks {
    /// Accepts a task. It is always answered as it is when it begins: what becomes of it is told as it happens.
    ///
    /// # Errors
    /// `agent_unknown`, `branch_invalid`, `too_many_tasks`, `idempotency_key_reused`.
    pub async fn create(&self, session: &SessionRow, new: NewTask, claim: Option<Claim>) -> Result<TaskRow, ApiError> {
        // What is begun is finished, whether or not somebody still waits for the answer.
        let (tasks, session) = (self.clone(), session.clone());
        let created = tokio::spawn(async move { tasks.accept(&session, new, claim).await });
        created.await.unwrap_or_else(|error| {
            tracing::error!(%error, "a task could not be created because of a fault of the server's own");
            Err(ErrorCode::Internal.into())
        })
    }

    async fn accept(&self, session: &SessionRow, new: NewTask, claim: Option<Claim>) -> Result<TaskRow, ApiError> {
        let agent = self.0.chats.agents().name(new.agent.as_deref());
        let agent = agent.ok_or_else(|| ApiError::new(ErrorCode::AgentUnknown))?.to_owned();
        let (now, most) = (self.0.clock.now(), self.0.limits.open);
        let row = TaskRow {
            id: Uuid::now_v7(),
            session_id: session.id,
            chat_id: Uuid::now_v7(),
            instruction: new.instruction.clone(),
            branch: self.branch(session, new.branch.as_deref()).await?,
            agent,
            status: "planning".to_owned(),
            error: None,
            home: self.0.home,
            has_worktree: true,
            created_at: now,
            updated_at: now,
            ended_at: None,
            patch_count: None,
            intended: None,
            applied: None,
            reverted: None,
        };
        // From before it is there, so that nobody takes it for one that was left.
        let over = self.expect(row.id);
        let written = row.clone();
        let created = self.0.log.transact(None, move |work: &mut Work<'_>| {
            let (row, claim) = (written.clone(), claim.clone());
            Box::pin(async move {
                if let Some(answer) = idempotency::known(work, claim.as_ref()).await? {
                    let id = Uuid::from_slice(&answer).map_err(|_| ApiError::new(ErrorCode::Internal))?;
                    let known = tasks::find(work.tx().connection(), id).await?;
                    return known.map(Some).ok_or_else(|| ErrorCode::TaskNotFound.into());
                }
                if tasks::count(work.tx().connection(), row.session_id, &tasks::OPEN).await? >= most {
                    return Err(ErrorCode::TooManyTasks.into());
                }
                let event = SessionEvent::Status(status(&row, TaskStatus::Planning));
                let (id, session_id) = (row.id, row.session_id);
                tasks::insert(work.tx().connection(), row).await?;
                work.append(vec![event.of(session_id, now)]).await?;
                idempotency::remember(work, claim.as_ref(), id.as_bytes(), now).await?;
                Ok::<_, ApiError>(None)
            })
        });
        match created.await {
            Ok(None) => {
                self.attend(row.clone(), over, Some(new.prompt()));
                Ok(row)
            }
            Ok(Some(known)) => {
                self.0.attendants.remove(&row.id);
                let (status, updated_at) = ("planning".to_owned(), known.created_at);
                let (error, ended_at, patch_count, applied) = Default::default();
                Ok(TaskRow { status, updated_at, error, ended_at, patch_count, applied, ..known })
            }
            Err(error) => {
                self.0.attendants.remove(&row.id);
                Err(error)
            }
        }
    }

    /// The branch that a task is for: the one that is named, or else what is checked out. A repository that can't be read is
    /// told by the task itself.
    async fn branch(&self, session: &SessionRow, named: Option<&str>) -> Result<Option<String>, ApiError> {
        // Those of tasks come and go with them.
        if named.is_some_and(|name| name.starts_with(BRANCHES)) {
            return Err(ErrorCode::BranchInvalid.into());
        }
        let Ok(repository) = self.0.sessions.repository(session).await else { return Ok(named.map(str::to_owned)) };
        let Some(name) = named else { return Ok(repository.head().await.ok().and_then(|(_, branch)| branch)) };
        match repository.check_branch_name(name).await {
            Err(RepoError::BranchInvalid(_)) => Err(ErrorCode::BranchInvalid.into()),
            _ => Ok(Some(name.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prompt_names_what_the_agent_should_look_at() {
        let new = NewTask {
            instruction: "Fix it".into(),
            files: vec!["a.rs".into(), "b.rs".into()],
            hints: vec!["no new\ndependency".into()],
            ..NewTask::default()
        };
        assert_eq!(
            new.prompt(),
            "Fix it\n\nFiles to look at:\n- a.rs\n- b.rs\n\n\nKeep in mind:\n- no new dependency\n"
        );
        assert_eq!(NewTask { instruction: "Fix it".into(), ..NewTask::default() }.prompt(), "Fix it");
    }
}
