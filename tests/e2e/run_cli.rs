//! `flightdeck run`, `task` and `session` with the real programs: what an agent changes in a repository, reviewed on a real
//! terminal or taken as a whole, becomes a commit.

use std::io::{Read as _, Write as _};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use flightdeck_tests::database::TestDatabase;
use flightdeck_tests::{ServerProcess, for_each_database};
use pty_process::Size;
use pty_process::blocking::{Command as PtyCommand, Pty, open};
use serde_json::Value;

use crate::machine::{Machine, said};

/// What takes longer does not happen.
const PATIENCE: Duration = Duration::from_secs(60);

async fn start(database: &TestDatabase) -> Result<ServerProcess> {
    let repositories = database.repositories()?.display().to_string();
    let path = std::env::var("PATH").unwrap_or_default();
    let settings = [("REPO_ALLOWLIST", repositories.as_str()), ("PATH", path.as_str()), ("HOME", "/")];
    ServerProcess::on(database, &settings).await
}

/// A person at a terminal, in which `flightdeck` runs.
struct Person {
    pty: Arc<Pty>,
    program: std::process::Child,
    screen: Arc<(Mutex<Vec<u8>>, Condvar)>,
}

impl Person {
    fn starts(machine: &Machine, arguments: &[&str]) -> Result<Self> {
        let (pty, pts) = open()?;
        pty.resize(Size::new(40, 120))?;
        let command = machine.command(arguments)?;
        let command = command.as_std();
        let mut own = PtyCommand::new(command.get_program()).args(command.get_args()).env_clear();
        own = own.current_dir(command.get_current_dir().context("it has a folder")?).env("NO_COLOR", "1");
        for (name, value) in command.get_envs() {
            own = own.env(name, value.unwrap_or_default());
        }
        let program = own.spawn(pts)?;
        let (pty, screen) = (Arc::new(pty), Arc::new((Mutex::new(Vec::new()), Condvar::new())));
        let (reader, shared) = (Arc::clone(&pty), Arc::clone(&screen));
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = (&*reader).read(&mut buffer) {
                let (output, changed): &(Mutex<Vec<u8>>, Condvar) = &shared;
                output.lock().expect("nobody panics").extend_from_slice(&buffer[..length]);
                changed.notify_all();
            }
        });
        Ok(Self { pty, program, screen })
    }

    fn types(&self, keys: &str) -> Result<()> {
        Ok((&*self.pty).write_all(keys.as_bytes())?)
    }

    /// Waits until the terminal has shown something so many times, and gives everything that it has shown.
    fn sees(&self, wanted: &str, times: usize) -> Result<String> {
        let (output, changed) = &*self.screen;
        let text = |output: &[u8]| String::from_utf8_lossy(output).into_owned();
        let output = output.lock().expect("nobody panics");
        let (output, late) = changed
            .wait_timeout_while(output, PATIENCE, |output| text(output).matches(wanted).count() < times)
            .expect("nobody panics");
        ensure!(!late.timed_out(), "{wanted:?} is not to be seen {times} times in {}", text(&output));
        Ok(text(&output))
    }

    /// The exit code.
    async fn ends(&mut self) -> Result<Option<i32>> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.program.try_wait()? {
                return Ok(status.code());
            }
            ensure!(Instant::now() < deadline, "it does not end");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Person {
    fn drop(&mut self) {
        drop(self.program.kill());
        drop(self.program.wait());
    }
}

for_each_database! {
    /// In a pipe nobody is asked: everything is applied, or the patch is printed and kept for later.
    async fn a_program_applies_everything_or_prints_the_patch(database) {
        let store = TestDatabase::create(database).await?;
        let repository = store.repository()?;
        let process = start(&store).await?;
        let machine = Machine::new(process.url())?;
        let repo = repository.text();
        let applied =
            machine.run(&["run", "edit", "hello.txt", "hello", "--repo", repo, "--apply", "-m", "Say hello"]).await?;
        ensure!(applied.contains(&repository.head()?) && applied.contains("on main"), "{applied}");
        ensure!(repository.log()? == ["Say hello", "Begin"], "{:?}", repository.log()?);
        ensure!(repository.read("hello.txt").as_deref() == Some("hello\n"), "the file is not there");

        // The same can be taken back, and nothing else is printed than what `git apply` takes.
        machine.run(&["task", "revert", "last"]).await?;
        ensure!(repository.read("hello.txt").is_none(), "the file is still there");
        let patch = machine.run(&["run", "edit again.txt again", "--repo", repo]).await?;
        let file = tempfile::NamedTempFile::new()?;
        std::fs::write(file.path(), &patch)?;
        repository.git(&["apply", "--check", file.path().to_str().context("is text")?])
            .with_context(|| format!("it is no patch: {patch}"))?;
        ensure!(repository.read("again.txt").is_none(), "it was applied without being asked to");
        let tasks = machine.json(&["task"]).await?;
        ensure!(tasks[0]["status"] == "ready" && tasks[0]["instruction"] == "edit again.txt again", "{tasks}");
        machine.run(&["task", "apply", "last", "--message", "Again"]).await?;
        ensure!(repository.log()?.first().is_some_and(|last| last == "Again"), "{:?}", repository.log()?);

        // What was applied can still be looked at.
        let shown = machine.run(&["task", "show", "last"]).await?;
        ensure!(shown.contains("applied") && shown.contains("+again"), "{shown}");
    }

    async fn what_an_agent_asks_is_answered_and_each_change_is_reviewed(database) {
        let store = TestDatabase::create(database).await?;
        let repository = store.repository()?;
        let process = start(&store).await?;
        let machine = Machine::new(process.url())?;
        let arguments = ["run", "write hello.txt hello", "--repo", repository.text()];
        let mut person = Person::starts(&machine, &arguments)?;
        person.sees("to allow it", 1)?;
        person.types("perhaps\n")?;
        person.sees("answer `y` or `n`", 1)?;
        person.types("y go on\n")?;
        let shown = person.sees("Apply this change", 1)?;
        ensure!(shown.contains("new file  hello.txt") && shown.contains("+hello"), "{shown}");
        ensure!(repository.read("hello.txt").is_none(), "it is there before anybody said yes");
        person.types("?\n")?;
        person.sees("Apply this change", 2)?;
        person.types("y\n")?;
        person.sees("applied: commit", 1)?;
        ensure!(person.ends().await? == Some(0), "it failed");
        ensure!(repository.read("hello.txt").as_deref() == Some("hello\n"), "the file is not there");

        // Nothing is applied where nothing is wanted, and it is kept.
        let arguments = ["run", "edit other.txt other", "--repo", repository.text()];
        let mut person = Person::starts(&machine, &arguments)?;
        person.sees("Apply this change", 1)?;
        person.types("n\n")?;
        person.sees("Nothing was applied", 1)?;
        ensure!(person.ends().await? == Some(0), "it failed");
        ensure!(repository.log()?.len() == 2 && repository.read("other.txt").is_none(), "{:?}", repository.log()?);
        let tasks = machine.json(&["task", "list"]).await?;
        ensure!(tasks[0]["status"] == "ready", "{tasks}");
        machine.run(&["task", "cancel", "last"]).await?;
        let tasks = machine.json(&["task", "list"]).await?;
        ensure!(tasks.as_array().is_some_and(|tasks| tasks.len() == 1), "{tasks}");
    }

    /// Of one file, one change is left out and the other is committed.
    async fn hunks_are_chosen_one_by_one(database) {
        let store = TestDatabase::create(database).await?;
        let repository = store.repository()?;
        repository.write("long.txt", (1..=40).map(|number| format!("{number}\n")).collect::<String>())?;
        repository.commit("Add lines")?;
        let process = start(&store).await?;
        let machine = Machine::new(process.url())?;
        let instruction = "run sed -i -e s/^3$/three/ -e s/^33$/33+/ long.txt";
        let mut person = Person::starts(&machine, &["run", instruction, "--repo", repository.text()])?;
        person.sees("to allow it", 1)?;
        person.types("y\n")?;
        let shown = person.sees("Apply this change", 1)?;
        ensure!(shown.contains("long.txt  1/2") && shown.contains("+three") && !shown.contains("+33+"), "{shown}");
        person.types("n\n")?;
        let shown = person.sees("Apply this change", 2)?;
        ensure!(shown.contains("long.txt  2/2") && shown.contains("+33+"), "{shown}");
        person.types("y\n")?;
        person.sees("applied: commit", 1)?;
        ensure!(person.ends().await? == Some(0), "it failed");
        let lines: Vec<_> = (1..=40).map(|number| if number == 33 { "33+".into() } else { number.to_string() }).collect();
        ensure!(repository.read("long.txt") == Some(lines.join("\n") + "\n"), "{:?}", repository.read("long.txt"));
        ensure!(repository.status()?.is_empty(), "{}", repository.status()?);
    }

    async fn ctrl_c_cancels_the_task(database) {
        let store = TestDatabase::create(database).await?;
        let repository = store.repository()?;
        let process = start(&store).await?;
        let machine = Machine::new(process.url())?;
        let mut person = Person::starts(&machine, &["run", "sleep", "--repo", repository.text()])?;
        person.sees("take my time", 1)?;
        person.types("\x03")?;
        ensure!(person.ends().await? == Some(130), "{}", person.sees("", 0)?);
        let deadline = Instant::now() + PATIENCE;
        while repository.worktrees()?.len() > 1 {
            ensure!(Instant::now() < deadline, "{:?}", repository.worktrees()?);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let tasks = machine.json(&["task"]).await?;
        ensure!(tasks == Value::Array(Vec::new()), "{tasks}");
        // One that fails says so.
        let failed = machine.start(&["run", "fail", "--repo", repository.text()], "").await?;
        ensure!(said(failed, "run").await.is_err(), "a failed task is no failure");
    }

    /// The token is told where it is asked for, and opens the session.
    async fn a_session_s_token_is_shown_only_where_it_is_asked_for(database) {
        let store = TestDatabase::create(database).await?;
        let repository = store.repository()?;
        let process = start(&store).await?;
        let machine = Machine::new(process.url())?;
        let arguments = ["session", "--repo", repository.text(), "--label", "mine"];
        let text = machine.run(&arguments).await?;
        ensure!(text.contains(repository.text()) && !text.contains("token"), "{text}");
        let session = machine.json(&arguments).await?;
        let (id, token) = (session["sessionId"].as_str(), session["token"].as_str());
        let (id, token) = (id.context("has an id")?, token.context("has a token")?);
        let request = flightdeck_tests::Request::get(format!("/api/session/{id}")).bearer(token);
        let found = request.send(process.address()).await?.success()?;
        ensure!(found["label"] == "mine" && found["via"] == "direct", "{found}");
        let drawn = machine.run(&[&arguments[..], &["--qr"]].concat()).await?;
        ensure!(drawn.contains('█'), "{drawn}");
    }
}
