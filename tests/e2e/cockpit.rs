//! The cockpit as its original's manual has it tried out, and what is left of it when the server is killed.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use flightdeck_tests::database::TestDatabase;
use flightdeck_tests::process::running;
use flightdeck_tests::socket::document;
use flightdeck_tests::{Kind, RawSocket, Repository, Request, ServerProcess, for_each_database, on_postgres};
use serde_json::{Value, json};
use uuid::Uuid;

/// What takes longer does not happen.
const PATIENCE: Duration = Duration::from_secs(60);

/// A request as `curl` sends it: with `-d`, every body is a form.
fn curl(method: &str, target: &str, token: &str, body: Option<&Value>) -> Request {
    let request = Request::new(method, target).header("User-Agent", "curl/8.5.0").header("Accept", "*/*");
    let request = if token.is_empty() { request } else { request.bearer(token) };
    match body {
        Some(body) => request.bytes(body.to_string()).header("Content-Type", "application/x-www-form-urlencoded"),
        None => request,
    }
}

/// A session on a real server program.
struct Session {
    id: String,
    token: String,
}

impl Session {
    async fn open(process: &ServerProcess, repository: &Repository) -> Result<Self> {
        let body = json!({"repo": repository.text(), "via": "direct"});
        let created = call(process, &curl("POST", "/api/session", "DEV", Some(&body))).await?;
        let text = |name: &str| created[name].as_str().map(str::to_owned).with_context(|| format!("{created}: {name}"));
        Ok(Self { id: text("sessionId")?, token: text("token")? })
    }

    fn get(&self, target: &str) -> Request {
        curl("GET", target, &self.token, None)
    }

    fn post(&self, target: &str, body: &Value) -> Request {
        curl("POST", target, &self.token, Some(body))
    }

    async fn task(&self, process: &ServerProcess, instruction: &str) -> Result<String> {
        let task =
            call(process, &self.post("/api/tasks", &json!({"instruction": instruction, "agent": "mock"}))).await?;
        Ok(task["taskId"].as_str().context("a task has an id")?.to_owned())
    }

    /// Asks until the task has one of these statuses.
    async fn until(&self, process: &ServerProcess, task: &str, wanted: &[&str]) -> Result<Value> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let found = call(process, &self.get(&format!("/api/tasks/{task}"))).await?;
            if wanted.iter().any(|wanted| found["status"] == *wanted) {
                return Ok(found);
            }
            ensure!(Instant::now() < deadline, "the task does not become {wanted:?}: {found}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The socket that tells what happens, opened by its address alone.
    async fn events(&self, process: &ServerProcess, database: Kind) -> Result<RawSocket> {
        let request = Request::socket(format!("/ws/events?sessionId={}&token={}", self.id, self.token));
        let socket = document::socket("cockpit");
        RawSocket::open(process.address(), &request, socket, database).await?.socket()
    }
}

async fn call(process: &ServerProcess, request: &Request) -> Result<Value> {
    let answer = request.send(process.address()).await?.success();
    answer.with_context(|| format!("{} {}", request.method, request.target))
}

async fn start(database: &TestDatabase, commands: &str) -> Result<ServerProcess> {
    let repositories = database.repositories()?.display().to_string();
    let path = std::env::var("PATH").unwrap_or_default();
    let settings = [
        ("REPO_ALLOWLIST", repositories.as_str()),
        ("CMD_ALLOWLIST", commands),
        ("PATH", path.as_str()),
        ("HOME", "/"),
    ];
    ServerProcess::on(database, &settings).await
}

async fn eventually(what: &str, right: impl Fn() -> Result<Option<String>>) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while let Some(wrong) = right()? {
        ensure!(Instant::now() < deadline, "{what}: {wrong}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

/// What tasks leave in a repository, but for what was applied.
fn left(repository: &Repository) -> Result<Option<String>> {
    let (worktrees, locks) = (repository.worktrees()?, repository.locks()?);
    let refs: Vec<_> = repository.refs()?.into_iter().filter(|name| name.contains("flightdeck")).collect();
    let clean = worktrees.len() == 1 && locks.is_empty() && refs.is_empty();
    Ok((!clean).then(|| format!("{worktrees:?}, {locks:?}, {refs:?}")))
}

fn unique() -> String {
    format!("7{:08}", Uuid::new_v4().as_u128() % 100_000_000)
}

for_each_database! {
    /// Line by line, as the original's manual says, but for the agent, which is not on every machine.
    async fn the_manual_s_sequence_ends_in_a_commit(database) {
        let store = TestDatabase::create(database).await?;
        let repository = store.repository()?;
        repository.write("mine.txt", "not committed\n")?;
        let process = start(&store, "npm test,go test").await?;
        let health = call(&process, &curl("GET", "/healthz", "", None)).await?;
        ensure!(health["ok"] == true, "{health}");
        let session = Session::open(&process, &repository).await?;
        let mut events = session.events(&process, database).await?;

        // Without a content type, as the manual writes it; and with the agent that the manual names.
        let named = session.post("/api/tasks", &json!({"instruction": "test task", "agent": "cline"}));
        let named = call(&process, &named).await?;
        ensure!(named["status"] == "planning" && named["agent"] == "cline", "{named}");
        let named = named["taskId"].as_str().context("a task has an id")?.to_owned();

        let task = session.task(&process, "test task").await?;
        while events.until("patch").await?["taskId"] != task.as_str() {}
        session.until(&process, &task, &["ready"]).await?;
        let patches = call(&process, &session.get(&format!("/api/tasks/{task}/patches"))).await?;
        let patch = &patches["patches"][0];
        ensure!(patch["type"] == "added" && patch["content"] == patch["patch"], "{patches}");
        let body = json!({"select": [], "commitMessage": "Do the test task"});
        let applied = call(&process, &session.post(&format!("/api/tasks/{task}/apply"), &body)).await?;
        ensure!(applied["ok"] == true && applied["commit"] == repository.head()?, "{applied}");
        ensure!(applied["branch"] == "main", "{applied}");
        ensure!(repository.log()? == ["Do the test task", "Begin"], "{:?}", repository.log()?);
        ensure!(repository.status()? == "?? mine.txt", "{}", repository.status()?);
        let diff = call(&process, &session.get("/api/git/diff?base=HEAD")).await?;
        ensure!(diff["patches"][0]["file"] == "mine.txt", "{diff}");

        // Whether or not that agent is there, its task comes to an end and leaves nothing.
        let body = Request::new("POST", format!("/api/tasks/{named}/cancel")).bearer(&session.token);
        call(&process, &body).await?;
        session.until(&process, &named, &["failed", "cancelled"]).await?;
        eventually("something is left", || left(&repository)).await?;
    }

    /// Each in a worktree of its own, none in another's way; and the person goes on working meanwhile.
    async fn ten_tasks_at_once_do_not_touch_each_other(database) {
        const TASKS: usize = 10;
        let store = TestDatabase::create(database).await?;
        let repository = store.repository()?;
        repository.write("mine.txt", "not committed\n")?;
        repository.write("staged.txt", "half staged\n")?;
        repository.git(&["add", "staged.txt"])?;
        let before = repository.status()?;
        let process = start(&store, "true").await?;
        let session = Session::open(&process, &repository).await?;
        let instructions: Vec<_> = (0..TASKS).map(|number| format!("edit file-{number}.txt {number}")).collect();
        let started = instructions.iter().map(|instruction| session.task(&process, instruction));
        let tasks = futures_util::future::try_join_all(started).await?;
        for (number, task) in tasks.iter().enumerate() {
            session.until(&process, task, &["ready"]).await?;
            let patches = call(&process, &session.get(&format!("/api/tasks/{task}/patches"))).await?;
            let files = patches["patches"].as_array().map_or(0, Vec::len);
            ensure!(files == 1 && patches["patches"][0]["file"] == format!("file-{number}.txt"), "{patches}");
        }
        ensure!(repository.status()? == before && repository.log()? == ["Begin"], "{}", repository.status()?);
        // All at once: whoever comes second waits, or is told to come again.
        let applied = tasks.iter().map(async |task| {
            let request = session.post(&format!("/api/tasks/{task}/apply"), &json!({}));
            let deadline = Instant::now() + PATIENCE;
            loop {
                let answer = request.send(process.address()).await?;
                if answer.code() != "repository_busy" || Instant::now() > deadline {
                    return answer.success();
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
        let receipts = futures_util::future::try_join_all(applied).await?;
        ensure!(repository.log()?.len() == TASKS + 1, "{:?}", repository.log()?);
        ensure!(repository.status()? == before, "{}", repository.status()?);
        // One after the other: each commit's base is the one before it.
        let commits: Vec<_> = repository.git(&["log", "--format=%H"])?.lines().map(str::to_owned).collect();
        for receipt in &receipts {
            let at = commits.iter().position(|commit| receipt["commit"] == commit.as_str()).context("it is in the log")?;
            ensure!(receipt["base"] == commits[at + 1].as_str(), "{receipt}");
        }
        for number in 0..TASKS {
            ensure!(repository.read(&format!("file-{number}.txt")) == Some(format!("{number}\n")), "{number}");
        }
        eventually("something is left", || left(&repository)).await?;
    }

    async fn a_killed_server_leaves_no_worktree_no_process_no_branch_and_no_lock(database) {
        let store = TestDatabase::create(database).await?;
        let repository = store.repository()?;
        let seconds = unique();
        let commands = format!("sh long.sh,sleep {seconds}");
        repository.write("long.sh", format!("trap '' HUP TERM INT\nsetsid sleep {seconds} &\nsleep {seconds}\n"))?;
        repository.commit("Add a script")?;
        let mut process = start(&store, &commands).await?;
        let session = Session::open(&process, &repository).await?;
        let ready = session.task(&process, "edit hello.txt hello").await?;
        session.until(&process, &ready, &["ready"]).await?;
        let working = session.task(&process, "sleep").await?;
        session.until(&process, &working, &["running"]).await?;
        let asking = session.task(&process, "write asked.txt x").await?;
        session.until(&process, &asking, &["awaiting_approval"]).await?;
        call(&process, &session.post("/api/cmd", &json!({"cmd": "sh long.sh"}))).await?;
        eventually("the command runs", || Ok((running(&seconds).len() < 2).then(|| format!("{:?}", running(&seconds)))))
            .await?;
        process.kill().await?;

        // Nobody is needed for that: a program goes with the server that started it.
        eventually("a process is left", || {
            let running = running(&seconds);
            Ok((!running.is_empty()).then(|| format!("{running:?}")))
        })
        .await?;
        let process = start(&store, &commands).await?;
        for task in [&working, &asking] {
            session.until(&process, task, &["failed", "cancelled"]).await?;
        }
        let mut events = session.events(&process, database).await?;
        events.send(&json!({"type": "subscribe", "since_seq": 0})).await?;
        events.until("synced").await?;
        // What was ready can still be applied, and then nothing is left of anything.
        let applied = call(&process, &session.post(&format!("/api/tasks/{ready}/apply"), &json!({}))).await?;
        ensure!(applied["commit"] == repository.head()?, "{applied}");
        eventually("something is left", || left(&repository)).await?;
        ensure!(repository.status()?.is_empty(), "{}", repository.status()?);
        call(&process, &session.post("/api/cmd", &json!({"cmd": format!("sleep {seconds}")}))).await?;
    }

    /// Whenever it is killed, a commit is there once or not at all; and the files are those of the commit.
    async fn a_server_that_is_killed_while_it_applies_has_done_so_or_not(database) {
        const KILLS: u64 = 8;
        let store = TestDatabase::create(database).await?;
        let repository = store.repository()?;
        let mut process = start(&store, "true").await?;
        let session = Session::open(&process, &repository).await?;
        for number in 0..KILLS {
            let task = session.task(&process, &format!("edit file-{number}.txt {number}")).await?;
            session.until(&process, &task, &["ready"]).await?;
            let message = format!("Commit {number}");
            let request = session.post(&format!("/api/tasks/{task}/apply"), &json!({"commitMessage": message}));
            let address = process.address().to_owned();
            let asked = request.clone();
            let asking = tokio::spawn(async move { asked.send(&address).await.map(|answer| answer.status) });
            tokio::time::sleep(Duration::from_millis(number * 12)).await;
            process.kill().await?;
            drop(asking.await?);
            process = start(&store, "true").await?;
            // It is asked again, as a client does that got no answer.
            let deadline = Instant::now() + PATIENCE;
            let applied = loop {
                let answer = request.send(process.address()).await?;
                if answer.status == 200 {
                    break answer.json();
                }
                ensure!(Instant::now() < deadline, "after kill {number}: {}", answer.json());
                tokio::time::sleep(Duration::from_millis(100)).await;
            };
            let log = repository.log()?;
            let times = log.iter().filter(|subject| **subject == message).count();
            ensure!(times == 1, "after kill {number} it is there {times} times: {log:?}");
            ensure!(applied["commit"] == repository.head()?, "{applied}");
            ensure!(applied["base"] == repository.git(&["rev-parse", "HEAD~1"])?, "{applied}");
            ensure!(repository.status()?.is_empty(), "after kill {number}: {}", repository.status()?);
        }
        eventually("something is left", || left(&repository)).await?;
    }
}

on_postgres! {
    /// Two servers on one database and one machine: a session of one is good on the other, and a commit is made once.
    async fn two_servers_share_sessions_and_commit_once() {
        let store = TestDatabase::create(Kind::Postgres).await?;
        let repository = store.repository()?;
        let one = start(&store, "true").await?;
        let other = start(&store, "true").await?;
        let session = Session::open(&one, &repository).await?;
        let mut here = session.events(&one, Kind::Postgres).await?;
        let mut there = session.events(&other, Kind::Postgres).await?;
        let task = session.task(&one, "edit hello.txt hello").await?;
        for socket in [&mut here, &mut there] {
            while socket.until("status").await?["phase"] != "ready" {}
        }
        session.until(&other, &task, &["ready"]).await?;
        let request = session.post(&format!("/api/tasks/{task}/apply"), &json!({"commitMessage": "Say hello"}));
        let answers = (0..16).map(|number| request.send(if number % 2 == 0 { one.address() } else { other.address() }));
        for answer in futures_util::future::try_join_all(answers).await? {
            ensure!(answer.status == 200 || answer.code() == "repository_busy", "{}", answer.json());
        }
        ensure!(repository.log()? == ["Say hello", "Begin"], "{:?}", repository.log()?);

        // Its end is everybody's.
        let end = Request::new("DELETE", format!("/api/session/{}", session.id)).bearer(&session.token);
        call(&other, &end).await?;
        here.expect_close("credential_invalid").await?;
        there.expect_close("credential_invalid").await?;
        session.get("/api/tasks").send(one.address()).await?.refused("session_not_found")?;
        eventually("something is left", || left(&repository)).await?;
    }
}
