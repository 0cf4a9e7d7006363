//! Looking after tasks: what a server that is gone has left, and tasks of sessions that are over.

use std::collections::HashSet;
use std::path::PathBuf;

use flightdeck_api::generated::types::TaskStatus;
use flightdeck_api::support::ApiError;
use tokio::sync::broadcast::error::RecvError;
use uuid::Uuid;

use super::{Tasks, work_branch};
use crate::store::sessions;
use crate::store::tasks::{self, TaskRow};

/// Between two rounds, in milliseconds.
const EVERY: i64 = 10_000;

/// What a person reads of a task that the server did not live to see the end of.
const INTERRUPTED: &str = "The server went away while the agent was working on this. Start the task again.";

/// Works until dropped.
pub async fn keep(tasks: Tasks) {
    let mut ending = tasks.0.sessions.ending();
    let clock = tasks.0.clock.clone();
    let mut taken_up = false;
    loop {
        if !taken_up {
            match tasks.take_up().await {
                Ok(()) => taken_up = true,
                Err(error) => {
                    tracing::warn!(%error, "could not take up the tasks of the server before; will try again");
                }
            }
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

impl Tasks {
    /// Ends what a server before was at, and attends to what can go on. What lies about is removed.
    async fn take_up(&self) -> Result<(), ApiError> {
        let rows = tasks::at_home(self.0.store.reader(), self.0.home).await?;
        let mut kept = HashSet::new();
        let sessions: HashSet<_> = rows.iter().map(|row| row.session_id).collect();
        for row in rows {
            if self.0.attendants.contains_key(&row.id) {
                kept.insert(self.worktree(row.id));
            } else if row.status == "ready" {
                kept.insert(self.worktree(row.id));
                self.attend(row, None);
            } else if tasks::UNFINISHED.contains(&row.status.as_str()) {
                // Ends with its worktree being removed.
                self.give_up(&row, TaskStatus::Failed, Some(INTERRUPTED.to_owned())).await?;
            }
        }
        for session_id in sessions {
            self.sweep_repository(session_id, &kept).await?;
        }
        self.sweep(&kept).await;
        Ok(())
    }

    /// Settles what was being applied, and removes the worktrees that this was done in, with their branches.
    async fn sweep_repository(&self, session_id: Uuid, kept: &HashSet<PathBuf>) -> Result<(), ApiError> {
        let Some(session) = sessions::find(self.0.store.reader(), session_id).await? else { return Ok(()) };
        let Ok(repository) = self.0.sessions.repository(&session).await else { return Ok(()) };
        if let Err(error) = repository.settle().await {
            tracing::warn!(%session_id, %error, "could not settle a change that was cut short; the next one does");
        }
        // Those of tasks go with their attendants.
        let mut keep: Vec<PathBuf> = kept.iter().cloned().collect();
        keep.extend(self.0.attendants.iter().map(|attendant| self.worktree(*attendant.key())));
        let swept = match repository.sweep(&self.0.limits.folder, &keep).await {
            Ok(swept) => swept,
            Err(error) => {
                tracing::warn!(%session_id, %error, "could not look for worktrees that belong to no task");
                return Ok(());
            }
        };
        for id in swept.iter().filter_map(|folder| folder.file_name()?.to_str()?.parse().ok()) {
            if let Err(error) = repository.delete_branch(&work_branch(id)).await {
                tracing::warn!(%session_id, %error, "could not delete a branch that belongs to no task");
            }
        }
        Ok(())
    }

    /// Ends the open tasks of sessions that are over, and removes what tasks that are over have left.
    async fn tidy(&self) -> Result<(), ApiError> {
        let rows = tasks::at_home(self.0.store.reader(), self.0.home).await?;
        let ids: HashSet<_> = rows.iter().map(|row| row.session_id).collect();
        let ids: Vec<_> = ids.into_iter().collect();
        let over: HashSet<_> = self.0.sessions.over(&ids).await?.into_iter().collect();
        for row in rows {
            let is_open = tasks::OPEN.contains(&row.status.as_str());
            if is_open && over.contains(&row.session_id) {
                self.give_up(&row, TaskStatus::Cancelled, None).await?;
            } else if !is_open {
                self.dismiss_again(&row);
            }
        }
        Ok(())
    }

    /// What should have gone with the end of a task.
    fn dismiss_again(&self, row: &TaskRow) {
        match self.0.attendants.get(&row.id) {
            Some(attendant) => attendant.cancel(),
            None => {
                let (tasks, row) = (self.clone(), row.clone());
                self.0.under_way.spawn(async move { tasks.clear_away(&row).await });
            }
        }
    }

    /// Removes folders that belong to no task.
    async fn sweep(&self, kept: &HashSet<PathBuf>) {
        let Ok(mut entries) = tokio::fs::read_dir(&self.0.limits.folder).await else { return };
        while let Ok(Some(entry)) = entries.next_entry().await {
            let path = entry.path();
            let id = path.file_name().and_then(|name| name.to_str()?.parse::<Uuid>().ok());
            if kept.contains(&path) || id.is_none_or(|id| self.0.attendants.contains_key(&id)) {
                continue;
            }
            // Git forgets a worktree whose folder is gone by itself, as soon as it is asked to prune.
            if let Err(error) = tokio::fs::remove_dir_all(&path).await
                && error.kind() != std::io::ErrorKind::NotFound
            {
                tracing::warn!(folder = %path.display(), %error, "could not remove a folder that belongs to no task");
            }
        }
    }
}
