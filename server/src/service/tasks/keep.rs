//! Looking after tasks: what a server that is gone has left, and tasks of sessions that are over.

use std::collections::HashSet;
use std::path::PathBuf;

use flightdeck_api::generated::types::TaskStatus;
use flightdeck_api::support::ApiError;
use tokio::sync::broadcast::error::RecvError;
use uuid::Uuid;

use super::{SessionEvent, Tasks, status, work_branch};
use crate::service::repo::ApplyError;
use crate::service::sessions::event::StatusEvent;
use crate::store::tasks::{self, TaskChange, TaskRow};

/// Between two rounds, in milliseconds.
const EVERY: i64 = 10_000;

/// What a person reads of a task that the server did not live to see the end of.
const INTERRUPTED: &str = "The server went away while the agent was working on this. Start the task again.";

/// The same where an earlier turn had made patches.
const FELL_BACK: &str = "The server went away while the agent was working on what was said last. Say it again.";

/// Works until dropped.
pub async fn keep(tasks: Tasks) {
    let mut ending = tasks.0.sessions.ending();
    let clock = tasks.0.clock.clone();
    let mut left = Left::default();
    loop {
        if let Err(error) = tasks.take_up(&mut left).await {
            tracing::warn!(%error, "could not take up the tasks of the server before; will try again");
        }
        if let Err(error) = tasks.tidy().await {
            tracing::warn!(%error, "could not look after the tasks; will try again");
        }
        tokio::select! {
            () = clock.sleep_until(clock.now() + EVERY) => {}
            ended = ending.recv() => match ended {
                Ok(_) | Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            },
        }
    }
}

/// What a server before has left, as far as it is not taken up.
#[derive(Default)]
struct Left {
    rows_taken: bool,
    /// Repositories in which something may have been cut short; `None` before they were looked up.
    repositories: Option<Vec<String>>,
}

impl Tasks {
    /// Ends what a server before was at, and attends to what can go on. What lies about is removed.
    async fn take_up(&self, left: &mut Left) -> Result<(), ApiError> {
        if !left.rows_taken {
            for row in tasks::at_home(self.0.store.reader(), self.0.home).await? {
                if !self.0.attendants.contains_key(&row.id) {
                    self.take_up_task(row).await?;
                }
            }
            left.rows_taken = true;
        }
        if left.repositories.is_none() {
            left.repositories = Some(tasks::repositories(self.0.store.reader(), self.0.home).await?);
            self.sweep().await;
        }
        let mut busy = Vec::new();
        for repo in left.repositories.take().unwrap_or_default() {
            if !self.sweep_repository(&repo).await {
                busy.push(repo);
            }
        }
        left.repositories = Some(busy);
        Ok(())
    }

    async fn take_up_task(&self, row: TaskRow) -> Result<(), ApiError> {
        let is_unfinished = tasks::UNFINISHED.contains(&row.status.as_str());
        if is_unfinished && !self.kept_patches(row.id).await.is_ok_and(|kept| !kept.digest.is_empty()) {
            // Ends with its worktree being removed.
            self.give_up(&row, TaskStatus::Failed, Some(INTERRUPTED.to_owned())).await?;
            return Ok(());
        }
        if is_unfinished {
            let error = Some(FELL_BACK.to_owned());
            let change = TaskChange { status: Some("ready"), error: Some(error.clone()), ..TaskChange::default() };
            let event = SessionEvent::Status(StatusEvent { error, ..status(&row, TaskStatus::Ready) });
            self.advance(&row, &tasks::UNFINISHED, change, vec![event]).await?;
        }
        if is_unfinished || row.status == "ready" {
            let over = self.expect(row.id);
            self.attend(row, over, None);
        }
        Ok(())
    }

    /// Ends the open tasks of sessions that are over, and tasks that nobody attends to; removes what tasks that are over have left.
    async fn tidy(&self) -> Result<(), ApiError> {
        for row in tasks::left_over(self.0.store.reader(), self.0.home).await? {
            let done = if tasks::OPEN.contains(&row.status.as_str()) {
                self.give_up(&row, TaskStatus::Cancelled, None).await.map(|_| ())
            } else {
                self.dismiss(&row).await
            };
            if let Err(error) = done {
                tracing::warn!(task_id = %row.id, %error, "could not end a task that is over; will try again");
            }
        }
        let unfinished = tasks::unfinished(self.0.store.reader(), self.0.home).await?;
        for id in unfinished.into_iter().filter(|id| !self.0.attendants.contains_key(id)) {
            if let Some(row) = tasks::find(self.0.store.reader(), id).await? {
                self.give_up(&row, TaskStatus::Failed, Some(INTERRUPTED.to_owned())).await?;
            }
        }
        Ok(())
    }

    /// Settles what was being applied, and removes the worktrees that this was done in, with their branches. `false`: something
    /// still works there, a hook that outlived its server perhaps.
    async fn sweep_repository(&self, repo: &str) -> bool {
        // One that can't be opened is settled by whoever uses it next.
        let Ok(repository) = self.0.sessions.repository_at(repo).await else { return true };
        match repository.settle().await {
            Ok(()) => {}
            Err(ApplyError::Busy(_)) => return false,
            Err(error) => tracing::warn!(repo, %error, "could not settle a change that was cut short"),
        }
        // Those of tasks go with their attendants.
        let keep: Vec<PathBuf> = self.in_use().map(|id| self.worktree(id)).collect();
        let swept = match repository.sweep(&self.0.limits.folder, &keep).await {
            Ok(swept) => swept,
            Err(error) => {
                tracing::warn!(repo, %error, "could not look for worktrees that belong to no task");
                return true;
            }
        };
        for id in swept.iter().filter_map(|folder| folder.file_name()?.to_str()?.parse().ok()) {
            if let Err(error) = repository.delete_branch(&work_branch(id)).await {
                tracing::warn!(repo, %error, "could not delete a branch that belongs to no task");
            }
        }
        true
    }

    /// Removes folders that belong to no task and that no repository knows: what is left of worktrees that were half made.
    async fn sweep(&self) {
        let Ok(mut entries) = tokio::fs::read_dir(&self.0.limits.folder).await else { return };
        let in_use: HashSet<Uuid> = self.in_use().collect();
        while let Ok(Some(entry)) = entries.next_entry().await {
            let path = entry.path();
            let id = path.file_name().and_then(|name| name.to_str()?.parse::<Uuid>().ok());
            let is_known = tokio::fs::try_exists(path.join(".git")).await.unwrap_or(true);
            if is_known || id.is_none_or(|id| in_use.contains(&id)) {
                continue;
            }
            if let Err(error) = tokio::fs::remove_dir_all(&path).await
                && error.kind() != std::io::ErrorKind::NotFound
            {
                tracing::warn!(folder = %path.display(), %error, "could not remove a folder that belongs to no task");
            }
        }
    }

    /// Tasks, and other work, whose worktrees are in use here.
    fn in_use(&self) -> impl Iterator<Item = Uuid> {
        let attended: Vec<Uuid> = self.0.attendants.iter().map(|attendant| *attendant.key()).collect();
        let busy: Vec<Uuid> = self.0.busy.iter().map(|id| *id).collect();
        attended.into_iter().chain(busy)
    }
}
