//! The session that a task belongs to, and what may be done with it.

use anyhow::Result;
use flightdeck_sdk::types::{PatchSet, Task, TaskApplied, TaskApply, TaskCreate};
use flightdeck_sdk::{Client, Secret};
use uuid::Uuid;

use super::review::Chosen;
use crate::commands::Scene;
use crate::config::{Credentials, KeptTask};

/// A session and its credential.
#[derive(Debug)]
pub(super) struct Work {
    client: Client,
    pub(super) session_id: Uuid,
    pub(super) token: Secret,
}

impl Work {
    pub(super) fn new(scene: &Scene, session_id: Uuid, token: Secret) -> Result<Self> {
        // The session's token and nothing else: whatever this machine is besides does not count here.
        Ok(Self { client: scene.effective.connect_anonymous()?, session_id, token })
    }

    pub(super) fn of(scene: &Scene, kept: &KeptTask) -> Result<Self> {
        Self::new(scene, kept.session_id, kept.token.clone())
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    pub(super) async fn start(&self, wanted: &TaskCreate) -> Result<Task> {
        Ok(self.client.cockpit().create_task(wanted).bearer(self.token.clone()).await?)
    }

    pub(super) async fn task(&self, id: Uuid) -> flightdeck_sdk::Result<Task> {
        self.client.cockpit().get_task(&id).bearer(self.token.clone()).await
    }

    pub(super) async fn patches(&self, id: Uuid) -> Result<PatchSet> {
        Ok(self.client.cockpit().get_task_patches(&id).bearer(self.token.clone()).await?)
    }

    /// Commits what was chosen of the patches that were seen. `None`: nothing was.
    pub(super) async fn apply(
        &self,
        id: Uuid,
        seen: &PatchSet,
        chosen: Chosen,
        message: Option<String>,
    ) -> Result<Option<TaskApplied>> {
        let mut wanted = TaskApply::default().with_digest(seen.digest.clone());
        match chosen {
            Chosen::Nothing => return Ok(None),
            Chosen::Everything => {}
            Chosen::Some(selected) => wanted = wanted.with_select(selected),
        }
        if let Some(message) = message {
            wanted = wanted.with_commit_message(message);
        }
        Ok(Some(self.client.cockpit().apply_task(&id, &wanted).bearer(self.token.clone()).await?))
    }

    pub(super) async fn revert(&self, id: Uuid) -> Result<TaskApplied> {
        Ok(self.client.cockpit().revert_task(&id).bearer(self.token.clone()).await?)
    }

    pub(super) async fn cancel(&self, id: Uuid) -> Result<Task> {
        Ok(self.client.cockpit().cancel_task(&id).bearer(self.token.clone()).await?)
    }

    /// Ends the session where nothing of it is wanted any more, and forgets its task. It ends by itself where the server
    /// does not answer.
    pub(super) async fn end(&self, scene: &Scene) -> Result<()> {
        let _ends_by_itself = self.client.cockpit().end_session(&self.session_id).bearer(self.token.clone()).await;
        self.forget(scene)
    }

    pub(super) fn forget(&self, scene: &Scene) -> Result<()> {
        let session_id = self.session_id;
        Credentials::change(&scene.effective.places, |credentials| {
            credentials.forget_tasks(|task| task.session_id == session_id);
        })
    }

    /// So that the task can be taken up again.
    pub(super) fn keep(&self, scene: &Scene, task_id: Uuid, repo: &str) -> Result<()> {
        let (session_id, token) = (self.session_id, self.token.clone());
        let (url, repo) = (scene.effective.url.0.clone(), repo.to_owned());
        let task = KeptTask { task_id, session_id, url, token, repo };
        Credentials::change(&scene.effective.places, |credentials| credentials.keep_task(task))
    }
}
