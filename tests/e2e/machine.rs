//! A machine with a project on it, where `flightdeck` is run: folders and variables that no other test shares.

use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use flightdeck_tests::process::program;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, Command};

pub(crate) struct Machine {
    folder: TempDir,
    url: String,
}

impl Machine {
    /// A machine that knows where the server is, and nothing else.
    pub(crate) fn new(url: &str) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        std::fs::create_dir(folder.path().join("project"))?;
        Ok(Self { folder, url: url.to_owned() })
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Result<Command> {
        let mut command = Command::new(program("flightdeck")?);
        command
            .args(arguments)
            .current_dir(self.folder.path().join("project"))
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.folder.path())
            .env("FLIGHTDECK_URL", &self.url)
            .env("FLIGHTDECK_CONFIG_DIR", self.folder.path().join("config"))
            .env("FLIGHTDECK_STATE_DIR", self.folder.path().join("state"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        Ok(command)
    }

    /// Runs `flightdeck`, which must succeed, and gives what it printed.
    pub(crate) async fn run(&self, arguments: &[&str]) -> Result<String> {
        said(self.start(arguments, "").await?, &arguments.join(" ")).await
    }

    /// Runs `flightdeck --json`, which must succeed, and gives what it printed.
    pub(crate) async fn json(&self, arguments: &[&str]) -> Result<Value> {
        let text = self.run(&[&["--json"], arguments].concat()).await?;
        serde_json::from_str(&text).with_context(|| format!("flightdeck {arguments:?} printed {text}"))
    }

    /// Gives the hook an event of the agent's, as the agent does. The event happens in this machine's project.
    pub(crate) async fn hook(&self, event: &str, more: &Value) -> Result<String> {
        let hook = self.start_hook(event, more).await?;
        said(hook, &format!("hook {event}")).await
    }

    /// Starts a hook and leaves it to itself, so that it can be killed.
    pub(crate) async fn start_hook(&self, event: &str, more: &Value) -> Result<Child> {
        let mut input = json!({
            "session_id": "a95b94b6-b297-4576-8b95-eead7cf363e2",
            "transcript_path": "/nowhere.jsonl",
            "cwd": self.folder.path().join("project"),
            "permission_mode": "default",
            "hook_event_name": event,
            "tool_name": "Bash",
            "tool_input": {"command": "cargo publish", "description": "Publish the crate"},
        });
        if let (Some(input), Some(more)) = (input.as_object_mut(), more.as_object()) {
            input.extend(more.clone());
        }
        self.start(&["hook", "claude-code", "--timeout", "60"], &input.to_string()).await
    }

    /// Starts `flightdeck` with an input, and leaves it to itself.
    pub(crate) async fn start(&self, arguments: &[&str], input: &str) -> Result<Child> {
        let mut child = self.command(arguments)?.spawn().context("starting flightdeck")?;
        let mut stdin = child.stdin.take().context("it has a stdin")?;
        // Whoever does not read its input may close it.
        drop(stdin.write_all(input.as_bytes()).await);
        drop(stdin);
        Ok(child)
    }
}

/// Waits for a program to end well, and gives what it printed.
pub(crate) async fn said(program: Child, what: &str) -> Result<String> {
    let output = program.wait_with_output().await?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "flightdeck {what} ended with {}: {errors}", output.status);
    Ok(String::from_utf8(output.stdout)?)
}

/// Asks until the answer is as it should be; what an agent's hook does beside the agent has no other end to wait for.
pub(crate) async fn until(machine: &Machine, arguments: &[&str], right: impl Fn(&Value) -> bool) -> Result<Value> {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let answer = machine.json(arguments).await?;
        if right(&answer) {
            return Ok(answer);
        }
        ensure!(Instant::now() < deadline, "flightdeck {arguments:?} still prints {answer}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
