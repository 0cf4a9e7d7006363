//! The real server program, for tests that kill it, stop it, or look at what it prints.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result, bail};
use flightdeck_sdk::Client;
use flightdeck_server::clock::SystemClock;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};

use crate::client;
use crate::database::{Kind, TestDatabase};
use crate::socket::{Faults, Line};

/// A running server program. It is killed when this is dropped.
#[derive(Debug)]
pub struct ServerProcess {
    child: Child,
    url: String,
    output: Arc<Mutex<String>>,
    /// What was wrong with frames that the SDK read.
    faults: Faults,
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        self.faults.check();
    }
}

/// Where a program of the workspace is.
///
/// # Errors
/// It has not been built: cargo builds the programs of other packages only when told to.
pub fn program(name: &str) -> Result<PathBuf> {
    let own = std::env::current_exe().context("finding the test program")?;
    // target/debug/deps/contract-0123456789abcdef
    let folder = own.parent().and_then(|deps| deps.parent()).context("the test program is in no folder of cargo's")?;
    let path = folder.join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    if !path.is_file() {
        bail!("{} is missing; `tests/run` builds it, or run `cargo build --workspace --bins`", path.display());
    }
    Ok(path)
}

impl ServerProcess {
    /// Starts the server on a database, without rate limits.
    ///
    /// # Errors
    /// As for [`start`](Self::start).
    pub async fn on(database: &TestDatabase, settings: &[(&str, &str)]) -> Result<Self> {
        let folder = database.folder().to_string_lossy();
        let mut all = vec![
            ("DATABASE_URL", database.url()),
            ("FLIGHTDECK_DATA_DIR", &*folder),
            ("FLIGHTDECK_RATE_EVENTS_PER_MINUTE", "0"),
            ("FLIGHTDECK_RATE_EVENTS_PER_HOUR", "0"),
            ("FLIGHTDECK_RATE_APPROVALS_PER_MINUTE", "0"),
            ("FLIGHTDECK_RATE_PAIRINGS_PER_MINUTE", "0"),
            ("FLIGHTDECK_RATE_DEVICE_REQUESTS_PER_MINUTE", "0"),
        ];
        all.extend(settings);
        Self::start(&all).await
    }

    /// Starts the server on a port of its own choice, and returns once it accepts connections. `settings` are
    /// environment variables; nothing else of this process's environment reaches the server.
    ///
    /// # Errors
    /// The program is missing, or ends before it listens; the message has what it printed.
    pub async fn start(settings: &[(&str, &str)]) -> Result<Self> {
        let mut child = Command::new(program("flightdeck-server")?)
            .env_clear()
            .env("PORT", "0")
            .env("WS_PORT", "0")
            .envs(settings.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("starting flightdeck-server")?;
        let output = Arc::new(Mutex::new(String::new()));
        let (found, url) = tokio::sync::oneshot::channel();
        drain(child.stdout.take().context("the server has a stdout")?, output.clone(), Some(found));
        let complaints = drain(child.stderr.take().context("the server has a stderr")?, output.clone(), None);
        let Ok(url) = url.await else {
            let status = child.wait().await.context("waiting for the server's end")?;
            // Its last words may still be on their way.
            complaints.await.context("reading what the server said")?;
            bail!("the server ended with {status} before it listened:\n{}", text(&output));
        };
        Ok(Self { child, url, output, faults: Faults::default() })
    }

    /// Where it listens, e.g. `http://127.0.0.1:40123`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A client without credentials, whose answers are judged.
    ///
    /// # Panics
    /// Never: the settings are right.
    #[must_use]
    pub fn client(&self, database: Kind) -> Client {
        let builder = client::builder(&self.url, database, Arc::new(SystemClock), &Line::default(), &self.faults);
        builder.build().expect("the client's settings are right")
    }

    /// Host and port.
    #[must_use]
    pub fn address(&self) -> &str {
        self.url.trim_start_matches("http://")
    }

    /// Its process.
    ///
    /// # Errors
    /// It has ended already.
    pub fn id(&self) -> Result<u32> {
        self.child.id().context("the server has ended already")
    }

    /// Everything that it has printed.
    #[must_use]
    pub fn output(&self) -> String {
        text(&self.output)
    }

    /// Ends it at once, as `kill -9` does.
    ///
    /// # Errors
    /// The operating system refuses.
    pub async fn kill(&mut self) -> Result<()> {
        self.child.kill().await.context("killing the server")
    }

    /// Asks it to end, as `kill` does, and waits for its end. Gives its exit code; `None` if a signal ended it.
    ///
    /// # Errors
    /// The operating system refuses.
    pub async fn terminate(&mut self) -> Result<Option<i32>> {
        self.signal("TERM").await?;
        Ok(self.child.wait().await?.code())
    }

    /// Sends it a signal, e.g. `STOP`.
    ///
    /// # Errors
    /// It has ended already.
    pub async fn signal(&self, name: &str) -> Result<()> {
        let id = self.id()?;
        let status = Command::new("kill").arg(format!("-{name}")).arg(id.to_string()).status().await?;
        anyhow::ensure!(status.success(), "kill -{name} {id} failed");
        Ok(())
    }
}

/// Reads a stream to its end, so that the server never blocks on it; the first line that says where the server listens
/// goes to `found`.
fn drain(
    stream: impl AsyncRead + Unpin + Send + 'static,
    output: Arc<Mutex<String>>,
    mut found: Option<tokio::sync::oneshot::Sender<String>>,
) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move {
        let mut lines = BufReader::new(stream).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            if let Some((_, url)) = line.split_once("Listening on ")
                && let Some(found) = found.take()
            {
                // Nobody waits any more if the test gave up.
                drop(found.send(url.trim().to_owned()));
            }
            let mut output = output.lock().expect("nobody panics while it keeps a line");
            output.push_str(&line);
            output.push('\n');
        }
    })
}

fn text(output: &Mutex<String>) -> String {
    output.lock().expect("nobody panics while it keeps a line").clone()
}

/// The ids of processes that have this word on their command line.
#[must_use]
pub fn running(mark: &str) -> Vec<u32> {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    ids.filter(|id: &u32| {
        let line = std::fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
        line.split(|byte| *byte == 0).any(|word| word == mark.as_bytes())
    })
    .collect()
}
