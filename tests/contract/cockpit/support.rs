//! A session on a repository of its own, and what tests of several things do in it.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use flightdeck_tests::{PairedWorkspace, RawSocket, Repository, Request, TestServer};
use serde_json::{Value, json};
use uuid::Uuid;

/// What an agent or a command does in a test is done sooner.
const PATIENCE: Duration = Duration::from_secs(30);

/// A session, its token, and the repository that it is about.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    pub(crate) id: Uuid,
    pub(crate) token: String,
    pub(crate) repository: Repository,
}

impl Session {
    /// Opens one by a new device, on a new repository.
    pub(crate) async fn open(server: &TestServer) -> Result<Self> {
        let repository = server.repository()?;
        Self::on(server, &server.pair().await?, &repository).await
    }

    /// Opens one on a repository.
    pub(crate) async fn on(server: &TestServer, workspace: &PairedWorkspace, repository: &Repository) -> Result<Self> {
        let request = create(&json!({"repo": repository.text()})).bearer(&workspace.device_token);
        Self::of(&server.send(&request).await?.success()?, repository)
    }

    /// The session that an answer is about.
    pub(crate) fn of(answer: &Value, repository: &Repository) -> Result<Self> {
        let text = |name: &str| answer[name].as_str().with_context(|| format!("{answer} has no {name}"));
        Ok(Self { id: text("sessionId")?.parse()?, token: text("token")?.to_owned(), repository: repository.clone() })
    }

    pub(crate) fn get(&self, target: impl Into<String>) -> Request {
        Request::get(target).bearer(&self.token)
    }

    pub(crate) fn post(&self, target: impl Into<String>, body: &Value) -> Request {
        Request::post(target, body).bearer(&self.token)
    }

    /// What ends it.
    pub(crate) fn end(&self) -> Request {
        Request::new("DELETE", format!("/api/session/{}", self.id)).bearer(&self.token)
    }

    /// What opens the socket that tells what happens in it.
    pub(crate) fn events(&self) -> Request {
        Request::socket(format!("/ws/events?sessionId={}", self.id)).bearer(&self.token)
    }

    /// What opens its terminal.
    pub(crate) fn terminal(&self) -> Request {
        Request::socket(format!("/ws/pty?sessionId={}", self.id)).bearer(&self.token)
    }

    /// Opens the socket that tells what happens in it, and takes its greeting.
    pub(crate) async fn listen(&self, server: &TestServer) -> Result<RawSocket> {
        let mut socket = server.open(&self.events()).await?;
        socket.expect("synced").await?;
        Ok(socket)
    }

    /// Follows what happens in it, from the beginning.
    pub(crate) async fn follow(&self, server: &TestServer) -> Result<RawSocket> {
        let mut socket = self.listen(server).await?;
        socket.send(&json!({"type": "subscribe", "since_seq": 0})).await?;
        socket.until("synced").await?;
        Ok(socket)
    }

    /// Starts a task, and gives its id.
    pub(crate) async fn task(&self, server: &TestServer, instruction: &str) -> Result<Uuid> {
        self.task_with(server, &json!({"instruction": instruction})).await
    }

    pub(crate) async fn task_with(&self, server: &TestServer, body: &Value) -> Result<Uuid> {
        let task = server.send(&self.post("/api/tasks", body)).await?.success()?;
        Ok(task["taskId"].as_str().with_context(|| format!("{task} has no id"))?.parse()?)
    }

    /// Waits until a task has one of these statuses, and gives it.
    pub(crate) async fn until(&self, server: &TestServer, task: Uuid, wanted: &[&str]) -> Result<Value> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let found = server.send(&self.get(format!("/api/tasks/{task}"))).await?.success()?;
            let status = found["status"].as_str().unwrap_or_default();
            if wanted.contains(&status) {
                return Ok(found);
            }
            let over = ["ready", "applied", "failed", "cancelled"].contains(&status);
            if over && !wanted.contains(&status) && wanted != ["applied"] {
                bail!("the task is {status} instead of {wanted:?}: {found}");
            }
            ensure!(Instant::now() < deadline, "the task does not become {wanted:?}: {found}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// A task whose agent has done it.
    pub(crate) async fn ready(&self, server: &TestServer, instruction: &str) -> Result<Uuid> {
        let task = self.task(server, instruction).await?;
        self.until(server, task, &["ready"]).await?;
        Ok(task)
    }

    pub(crate) fn apply(&self, task: Uuid, body: &Value) -> Request {
        self.post(format!("/api/tasks/{task}/apply"), body)
    }

    pub(crate) fn revert(&self, task: Uuid) -> Request {
        Request::new("POST", format!("/api/tasks/{task}/revert")).bearer(&self.token)
    }

    pub(crate) fn cancel(&self, task: Uuid) -> Request {
        Request::new("POST", format!("/api/tasks/{task}/cancel")).bearer(&self.token)
    }

    pub(crate) fn run(&self, command: &str) -> Request {
        self.post("/api/cmd", &json!({"cmd": command}))
    }
}

/// What opens a session, still without a credential.
pub(crate) fn create(body: &Value) -> Request {
    Request::post("/api/session", body)
}
