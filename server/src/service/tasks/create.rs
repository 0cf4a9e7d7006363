//! The beginning of a task: it is written down, and its attendant does the rest.

use flightdeck_api::generated::errors::ErrorCode;
use flightdeck_api::generated::types::TaskStatus;
use flightdeck_api::support::ApiError;
use uuid::Uuid;

use super::{SessionEvent, Tasks, status};
use crate::log::{NonceGuard, Work};
use crate::service::chats::{HomeChat, title_of};
use crate::service::idempotency;
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
    pub async fn create(
        &self,
        session: &SessionRow,
        new: NewTask,
        claim: Option<Claim>,
        nonce: Option<NonceGuard>,
    ) -> Result<TaskRow, ApiError> {
        let agent = self.0.chats.agents().name(new.agent.as_deref());
        let agent = agent.ok_or_else(|| ApiError::new(ErrorCode::AgentUnknown))?.to_owned();
        let branch = match &new.branch {
            Some(name) if is_branch_name(name) => Some(name.clone()),
            Some(_) => return Err(ErrorCode::BranchInvalid.into()),
            // What is checked out, so that the answer names it. A repository that can't be read is told by the task itself.
            None => match self.0.sessions.repository(session).await {
                Ok(repository) => repository.head().await.ok().and_then(|(_, branch)| branch),
                Err(_) => None,
            },
        };
        let (now, most, prompt) = (self.0.clock.now(), self.0.limits.open, new.prompt());
        let (tasks, session) = (self.clone(), session.clone());
        let created = self.0.log.transact(nonce, move |work: &mut Work<'_>| {
            let (tasks, session, claim) = (tasks.clone(), session.clone(), claim.clone());
            let (agent, branch, instruction) = (agent.clone(), branch.clone(), new.instruction.clone());
            Box::pin(async move {
                if let Some(answer) = idempotency::known(work, claim.as_ref()).await? {
                    let id = Uuid::from_slice(&answer).map_err(|_| ApiError::new(ErrorCode::Internal))?;
                    let known = tasks::find(work.tx().connection(), id).await?;
                    return Ok((known.ok_or_else(|| ApiError::new(ErrorCode::TaskNotFound))?, false));
                }
                if tasks::count(work.tx().connection(), session.id, &tasks::OPEN).await? >= most {
                    return Err(ErrorCode::TooManyTasks.into());
                }
                let (id, chat_id) = (Uuid::now_v7(), Uuid::now_v7());
                let chat = HomeChat {
                    id: chat_id,
                    workspace_id: session.workspace_id,
                    title: title_of(&instruction),
                    agent: agent.clone(),
                    cwd: tasks.worktree(id).to_string_lossy().into_owned(),
                };
                tasks.0.chats.open_at_home(work, chat, now).await?;
                let row = TaskRow {
                    id,
                    session_id: session.id,
                    chat_id,
                    instruction,
                    branch,
                    agent,
                    status: "planning".to_owned(),
                    error: None,
                    home: tasks.0.home,
                    has_worktree: true,
                    created_at: now,
                    updated_at: now,
                    ended_at: None,
                    patch_count: None,
                    applied: None,
                    reverted: None,
                };
                tasks::insert(work.tx().connection(), row.clone()).await?;
                let event = SessionEvent::Status(status(&row, TaskStatus::Planning));
                work.append(vec![event.of(session.id, now)]).await?;
                idempotency::remember(work, claim.as_ref(), id.as_bytes(), now).await?;
                Ok::<_, ApiError>((row, true))
            })
        });
        let (row, is_new) = created.await?;
        if is_new {
            self.attend(row.clone(), Some(prompt));
            return Ok(row);
        }
        Ok(TaskRow {
            status: "planning".into(),
            error: None,
            updated_at: row.created_at,
            ended_at: None,
            patch_count: None,
            applied: None,
            ..row
        })
    }
}

/// Whether git takes this as the name of a branch, by the rules of `git check-ref-format --branch`.
fn is_branch_name(name: &str) -> bool {
    let part = |part: &str| !part.is_empty() && !part.starts_with('.') && !part.ends_with(".lock");
    !name.starts_with('-')
        && !name.ends_with('.')
        && name != "@"
        && name != "HEAD"
        && !name.contains("..")
        && !name.contains("@{")
        && !name.contains(|character: char| character.is_control() || " ~^:?*[\\".contains(character))
        && name.split('/').all(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_branches_are_those_that_git_takes() {
        for name in ["main", "feature/x", "a.b", "ä", "x@y", "a-"] {
            assert!(is_branch_name(name), "{name}");
        }
        for name in [
            "", "-x", "a..b", "a b", "a~1", "a^", "a:b", "/a", "a/", "a//b", ".a", "a/.b", "a.lock", "a.", "@",
            "x@{1}", "a\\b", "a\nb", "HEAD",
        ] {
            assert!(!is_branch_name(name), "{name}");
        }
    }

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
